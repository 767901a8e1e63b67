"""Memories of any make under probe: other names for the verbs, copies, and the proof that reading changes nothing."""

import copy
import hashlib
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from neuromem.backend import backend_named, is_device_array, to_host
from neuromem.base import Estimator
from neuromem.errors import CapacityError, InputError, InputTypeError, NotFittedError, ProbeMutatedMemoryError
from neuromem.protocols import ItemSpec
from neuromem.retention.items import ItemSource
from neuromem.retention.statistics import scores_of

VERBS = ("write", "read", "familiarity", "complete", "predict", "forget", "idle")
ROWS_READ = 4096  # rows that are read at a time
SMALL_STATE = 1 << 20  # bytes of state up to which purity is checked unless asked otherwise
Route = str | Callable[..., Any] | None


class AdaptedMemory:
    """A memory whose verbs have other names; see :func:`adapt`."""

    def __init__(
        self,
        inner: Any,
        routes: Mapping[str, Route],
        item_spec: ItemSpec | None,
        pure: bool,
        name: str | None,
        device: str | None = None,
    ) -> None:
        self.inner = inner
        self.routes = dict(routes)
        self.device = device
        self.backend = None if device is None else backend_named(device)
        self.probe_is_pure = pure
        self.given_spec = item_spec
        self.given_name = name
        for verb, route in self.routes.items():
            self.__dict__[verb] = self.bound(verb, route)

    def bound(self, verb: str, route: Route) -> Callable[..., Any]:
        """A verb of the inner object as a function."""
        if isinstance(route, str):
            found = getattr(self.inner, route, None)
            if not callable(found):
                raise InputTypeError(f"{verb}={route!r}, but {type(self.inner).__name__} has no method {route}")
            return self.brought(found)
        if not callable(route):
            raise InputTypeError(f"{verb} is {route!r}, a method's name or a function was expected")
        return self.brought(lambda *arguments, **named: route(self.inner, *arguments, **named))

    def brought(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        """A verb that is given arrays of the device, whatever it is called with."""
        backend = self.backend
        if backend is None:
            return verb

        def placed(value: Any) -> Any:
            return backend.placed(value) if isinstance(value, np.ndarray) else value

        return lambda *arguments, **named: verb(*map(placed, arguments), **{key: placed(value) for key, value in named.items()})

    def copy(self) -> "AdaptedMemory":
        """A deep copy, with the same names."""
        inner = copy_of(self.inner)
        return AdaptedMemory(inner, self.routes, self.given_spec, self.probe_is_pure, self.given_name, self.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> "AdaptedMemory":
        return self.copy()

    def __getattr__(self, name: str) -> Any:
        # what the inner object offers beside its verbs, but no verb that was not asked for under its own name
        if name.startswith("__") or name in ("inner", "routes"):
            raise AttributeError(name)
        if name == "item_spec" and self.given_spec is not None:
            return self.given_spec
        found = getattr(self.inner, name)
        return self.brought(found) if name in VERBS and callable(found) else found

    def __len__(self) -> int:
        return len(self.inner)

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        return tuple(verb for verb in getattr(self.inner, "unavailable_", ()) if verb not in self.routes)

    @property
    def system_name(self) -> str:
        """What tables call it."""
        return self.given_name or system_name(self.inner)


def adapt(
    memory: Any,
    *,
    write: Route = None,
    read: Route = None,
    familiarity: Route = None,
    complete: Route = None,
    predict: Route = None,
    idle: Route = None,
    item_spec: ItemSpec | None = None,
    pure: bool = True,
    name: str | None = None,
    device: str | None = None,
) -> AdaptedMemory:
    """Give an object the verbs that probes use.

    Parameters
    ----------
    memory : object
    write, read, familiarity, complete, predict, idle : str or callable, optional
        A method's name, or a function that takes the object first: ``write(memory, items)``, ``read(memory, cues, k=1)``,
        ``familiarity(memory, items)`` -> (n,), ``complete(memory, cues, known)`` -> (n, d), ``predict(memory, items)`` -> (n,),
        ``idle(memory, n)`` (time for n items passes, nothing is written).  What is not given keeps its own name.
    item_spec : ItemSpec, optional
        What it takes, where the object does not say.
    pure : bool, default True
        Whether reads leave it as it is; False: reads run on a copy each time.
    name : str, optional
        What tables call it; default: the class's name.
    device : str, optional
        "gpu" or "gpu:1": where the object takes its arrays.  Probes make items and foils on the host; each block is moved once
        for each read or write.

    Returns
    -------
    AdaptedMemory

    Raises
    ------
    InputTypeError
        For a name that the object does not have.
    BackendError
        For a device that is not there.

    Examples
    --------
    >>> class Sums:
    ...     total = 0.0
    ...     def learn(self, items):
    ...         self.total = self.total + items.sum(axis=0)
    >>> memory = adapt(Sums(), write="learn", familiarity=lambda sums, items: items @ np.broadcast_to(sums.total, items.shape[1]))
    >>> memory.write(np.ones((1, 2)))
    >>> memory.familiarity(np.ones((1, 2))).tolist()
    [2.0]
    """
    given = {
        "write": write,
        "read": read,
        "familiarity": familiarity,
        "complete": complete,
        "predict": predict,
        "idle": idle,
    }
    return AdaptedMemory(
        memory, {verb: route for verb, route in given.items() if route is not None}, item_spec, pure, name, device
    )


# ---------------------------------------------------------------- asking a memory


def system_name(memory: Any) -> str:
    """What tables call a memory."""
    return str(getattr(memory, "system_name", None) or type(memory).__name__)


def require(memory: Any, verbs: Iterable[str], probe: str) -> None:
    """Check that a memory has what a probe needs.

    Raises
    ------
    InputTypeError
        With the verb, the probe, and the argument of :func:`adapt` that would supply it.
    """
    unavailable = getattr(memory, "unavailable_", ())
    for verb in verbs:
        if not callable(getattr(memory, verb, None)):
            raise InputTypeError(
                f"{system_name(memory)} has no {verb}, which {probe} needs; if it has one under another name, "
                f"wrap it: adapt(memory, {verb}=...)"
            )
        if verb in unavailable and verb != "write" and is_written(memory):
            raise InputTypeError(
                f"{system_name(memory)} cannot {verb} as it stands, which {probe} needs (it is listed in unavailable_); "
                f"see its documentation, or supply one: adapt(memory, {verb}=...)"
            )


def is_written(memory: Any) -> bool:
    """Whether a memory holds anything; True where it does not say."""
    try:
        return len(memory) > 0
    except TypeError:
        return True


def copy_of(memory: Any) -> Any:
    """A deep copy of a memory, by its own ``copy`` where it has one.

    Raises
    ------
    InputTypeError
        If it cannot be copied.
    """
    own = getattr(memory, "copy", None)
    try:
        made = own() if callable(own) and not isinstance(memory, (dict, list)) else copy.deepcopy(memory)
    except (TypeError, pickle.PicklingError, AttributeError, NotImplementedError) as error:
        raise InputTypeError(f"{system_name(memory)} cannot be copied ({error}); give it a method copy()") from None
    if made is memory:
        raise InputTypeError(f"{system_name(memory)}.copy() gives the memory itself, a deep copy was expected")
    return made


def fresh(memory: Any, seed: int) -> Any:
    """A memory to write to: a copy, or what a factory makes for this seed."""
    if callable(memory) and not hasattr(memory, "write"):
        return memory(seed)
    return copy_of(memory)


def seed_within(seed: int, number: int) -> int:
    """A seed for one of several memories of a seed: other numbers for other memories and seeds."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def feed(digest: Any, value: Any, seen: set[int]) -> None:
    """Put all that a value holds into a digest, in a fixed order."""
    if isinstance(value, (str, bytes, int, float, complex, bool)) or value is None:
        digest.update(f"{type(value).__name__}:{value!r};".encode())
    elif isinstance(value, np.generic):
        digest.update(f"{value.dtype.str}:{value!r};".encode())
    elif isinstance(value, np.ndarray) and value.dtype.kind != "O":
        digest.update(f"{value.dtype.str}{value.shape};".encode())
        digest.update(np.ascontiguousarray(value).data if value.size else b"")
    elif id(value) in seen:
        digest.update(b"again;")
    elif isinstance(value, Mapping):
        seen.add(id(value))
        digest.update(f"map{len(value)};".encode())
        for name in sorted(value, key=repr):
            feed(digest, name, seen)
            feed(digest, value[name], seen)
    elif isinstance(value, (list, tuple, np.ndarray)) or type(value).__name__ == "deque":
        seen.add(id(value))
        digest.update(f"list{len(value)};".encode())
        for inner in value:
            feed(digest, inner, seen)
    elif isinstance(value, (set, frozenset)):
        digest.update(repr(sorted(value, key=repr)).encode())
    elif isinstance(value, np.random.Generator):
        feed(digest, value.bit_generator.state, seen)
    elif isinstance(value, Estimator):
        # what it declares, without the copies that get_state would make
        seen.add(id(value))
        names = (*value._STATE, *value._SCALARS, *value._CHILDREN)
        feed(digest, {name: getattr(value, name) for name in names if hasattr(value, name)}, seen)
    elif callable(getattr(value, "get_state", None)):
        seen.add(id(value))
        feed(digest, value.get_state(), seen)
    elif hasattr(value, "__array__") or is_device_array(value):
        feed(digest, to_host(value.detach().cpu() if hasattr(value, "detach") else value), seen)
    elif getattr(value, "__dict__", None):
        seen.add(id(value))
        feed(digest, {name: inner for name, inner in vars(value).items() if not callable(inner)}, seen)
    else:
        digest.update(f"{type(value).__qualname__};".encode())


def state_digest(memory: Any) -> str:
    """A digest of all that a memory has learned: what an estimator declares, ``get_state()``, or else its attributes."""
    digest = hashlib.blake2b(digest_size=16)
    inner = memory.inner if isinstance(memory, AdaptedMemory) else memory
    feed(digest, inner, set())
    return digest.hexdigest()


class Reader:
    """Reads of a memory, in blocks, that are checked and must leave it as it was.

    Parameters
    ----------
    memory : object
        The copy under probe.
    check_purity : bool or None
        Compare the state before and after: None where the state is small.
    probe : str
        Words of messages.

    Notes
    -----
    Used as ``with Reader(memory, None, "recall_probe") as reader: reader.familiarity(items)``; the comparison is made at the end
    of the block.  Where the memory says ``probe_is_pure = False``, reads run on a copy of it.
    """

    def __init__(self, memory: Any, check_purity: bool | None, probe: str) -> None:
        pure = getattr(memory, "probe_is_pure", True)
        self.memory = memory if pure else copy_of(memory)
        self.probe = probe
        n_bytes = getattr(memory, "nbytes", 0)
        small = isinstance(n_bytes, (int, np.integer)) and bool(n_bytes <= SMALL_STATE)
        self.check = bool(pure) and (small if check_purity is None else bool(check_purity))

    def __enter__(self) -> "Reader":
        self.before = state_digest(self.memory) if self.check else ""
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and self.check and state_digest(self.memory) != self.before:
            raise ProbeMutatedMemoryError(
                f"reading changed {system_name(self.memory)} during {self.probe}; make its reads pure, or wrap it: "
                "adapt(memory, pure=False) reads copies"
            )

    def familiarity(self, items: np.ndarray) -> np.ndarray:
        """Finite scores, float64 (n,); an empty memory to which nothing is familiar (-inf) gives zeros."""
        require(self.memory, ("familiarity",), self.probe)
        parts = [np.empty(0)]
        for start in range(0, len(items), ROWS_READ):
            block = items[start : start + ROWS_READ]
            found = np.asarray(to_host(self.memory.familiarity(block)))
            if found.dtype.kind == "f" and len(found) and np.isneginf(found).all() and not is_written(self.memory):
                found = np.zeros_like(found)
            parts.append(scores_of(found, f"familiarity of {system_name(self.memory)}", len(block)))
        return np.concatenate(parts)

    def complete(self, cues: np.ndarray, known: np.ndarray) -> np.ndarray:
        """What the memory makes of cues (n, d), finite, (n, d); known (n, d) or (d,)."""
        require(self.memory, ("complete",), self.probe)
        parts = []
        for start in range(0, len(cues), ROWS_READ):
            rows = slice(start, start + ROWS_READ)
            found = self.memory.complete(cues[rows], known if known.ndim == 1 else known[rows])
            parts.append(self.recalled(found, cues[rows].shape))
        return np.concatenate(parts) if parts else np.empty(cues.shape)

    def read(self, cues: np.ndarray) -> np.ndarray:
        """The best match of cues (n, d), finite, (n, d)."""
        require(self.memory, ("read",), self.probe)
        parts = []
        for start in range(0, len(cues), ROWS_READ):
            block = cues[start : start + ROWS_READ]
            found = self.memory.read(block, k=1)
            parts.append(self.recalled(getattr(found, "values", found)[:, 0], block.shape))
        return np.concatenate(parts) if parts else np.empty(cues.shape)

    def recalled(self, found: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Items from a memory, checked."""
        found = np.asarray(to_host(found))
        if found.shape != shape:
            raise InputError(f"{system_name(self.memory)} recalled items of shape {found.shape}, {shape} was expected")
        scores_of(found.ravel(), f"components recalled by {system_name(self.memory)}")
        return found


def empty_answers(error: Exception) -> bool:
    """Whether an error only says that nothing was stored yet."""
    return isinstance(error, (NotFittedError, CapacityError))


def items_made(batch_size: int) -> int:
    """How many items are made at a time: whole batches, of which small ones share a block."""
    return max(1, ROWS_READ // batch_size) * batch_size


def write_batches(memory: Any, source: ItemSource, ids: np.ndarray, batch_size: int, with_targets: bool = False) -> int:
    """Write items in order, with their classes as targets where asked; returns in how many batches."""
    n_made = items_made(batch_size)
    for start in range(0, len(ids), n_made):
        block = ids[start : start + n_made]
        items = source.get(block)
        classes = source.classes(block) if with_targets else None
        for first in range(0, len(block), batch_size):
            rows = slice(first, first + batch_size)
            if classes is None:
                memory.write(items[rows])
            else:
                memory.write(items[rows], classes[rows])
    return -(-len(ids) // batch_size)


def described(memory: Any) -> str:
    """A memory and its parameters in words that are the same on any machine."""
    return repr(memory) if isinstance(memory, Estimator) else system_name(memory)
