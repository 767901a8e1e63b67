"""What every estimator and memory is built on: parameters, state, copies, files."""

import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from neuromem.backend import NUMPY, Backend, backend_named, to_host
from neuromem.errors import BackendError, FormatError, InputError, NotFittedError


class Estimator:
    """Base class, following scikit-learn's conventions without importing it.

    The constructor of a subclass stores its arguments unchanged.  A subclass declares what it learns:

    ``_STATE``: arrays, ``name -> (dtype or dtypes, number of axes)``; ``_SCALARS``: names of plain values (numbers, strings,
    None, lists of them); ``_CHILDREN``: names of attributes that hold an estimator, or a list of them; ``_DERIVED``: names of
    attributes that are computed from these when needed; ``_HOST_STATE``: arrays of ``_STATE`` that never leave the host;
    ``_ON_GPU``: whether its work can be done on a GPU.

    Notes
    -----
    Reads may run from several threads at once; writes need the caller's own lock.
    """

    _STATE: ClassVar[dict[str, tuple[Any, int]]] = {}
    _SCALARS: ClassVar[tuple[str, ...]] = ()
    _CHILDREN: ClassVar[tuple[str, ...]] = ()
    _DERIVED: ClassVar[tuple[str, ...]] = ()
    _HOST_STATE: ClassVar[tuple[str, ...]] = ()
    _ON_GPU: ClassVar[bool] = False
    _ESTIMATOR_TYPE: ClassVar[str | None] = None

    # ---------------------------------------------------------------- parameters

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments, with those of nested estimators as ``name__argument`` when ``deep``."""
        params = {}
        for name in self._parameter_names():
            value = getattr(self, name)
            params[name] = value
            if deep and isinstance(value, Estimator):
                params |= {f"{name}__{inner}": v for inner, v in value.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments.

        Raises
        ------
        InputError
            For a name that is not an argument; nothing is changed then.
        """
        names = self._parameter_names()
        for name in params:
            if name.split("__")[0] not in names:
                raise InputError(f"invalid parameter {name!r} for {type(self).__name__}; valid are {names}")
        for name, value in params.items():
            outer, _, inner = name.partition("__")
            if inner:
                getattr(self, outer).set_params(**{inner: value})
            else:
                setattr(self, outer, value)
        return self

    def __repr__(self) -> str:
        defaults = {k: p.default for k, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = {k: v for k, v in self.get_params(deep=False).items() if repr(v) != repr(defaults[k])}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _validate_params(self) -> None:
        """Raise InputError for a parameter out of range."""

    # ---------------------------------------------------------------- scikit-learn

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags, TransformerTags

        classifies = self._ESTIMATOR_TYPE == "classifier"
        return Tags(
            estimator_type=self._ESTIMATOR_TYPE,
            target_tags=TargetTags(required=classifies),
            transformer_tags=TransformerTags(preserves_dtype=[]) if hasattr(self, "transform") else None,
            classifier_tags=ClassifierTags() if classifies else None,
            input_tags=InputTags(),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted()

    def _is_fitted(self) -> bool:
        return any(getattr(self, name, None) is not None for name in self._STATE)

    def _check_fitted(self) -> None:
        if not self._is_fitted():
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet. Call 'fit' or 'write' first.")

    # ---------------------------------------------------------------- state

    @property
    def nbytes(self) -> int:
        """Bytes of learned state."""
        own = sum(getattr(self, name).nbytes for name in self._STATE if getattr(self, name, None) is not None)
        return own + sum(child.nbytes for name in self._CHILDREN for child in children_in(getattr(self, name, None)))

    def get_state(self) -> dict[str, Any]:
        """Everything that was learned, as copies on the host: ``class``, ``params``, ``arrays``, ``scalars``, ``children``."""
        from neuromem.io import name_of_class, plain_parameter

        return {
            "class": name_of_class(type(self)),
            "params": {name: plain_parameter(value, name) for name, value in self.get_params(deep=False).items()},
            "arrays": {n: to_host(getattr(self, n)).copy() for n in self._STATE if getattr(self, n, None) is not None},
            "scalars": {name: copy.deepcopy(getattr(self, name)) for name in self._SCALARS if hasattr(self, name)},
            "children": {
                name: [child.get_state() for child in value] if isinstance(value, list) else value.get_state()
                for name in self._CHILDREN
                if (value := getattr(self, name, None)) is not None
            },
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Replace parameters and everything learned; the object is unchanged if the state is not sound.

        Raises
        ------
        FormatError
            If the state is of another class, or its arrays do not fit together.
        """
        self.__dict__ = type(self)._from_state(state).__dict__

    @classmethod
    def _from_state(cls, state: Mapping[str, Any]) -> Self:
        from neuromem.io import class_of_name, name_of_class, rebuilt_parameter

        if not isinstance(state, Mapping) or set(state) != {"class", "params", "arrays", "scalars", "children"}:
            raise FormatError("state has not the five parts class, params, arrays, scalars and children")
        if state["class"] != name_of_class(cls):
            raise FormatError(f"state is of class {state['class']!r}, {name_of_class(cls)!r} was expected")
        if set(state["params"]) != set(cls._parameter_names()):
            raise FormatError(f"state has other parameters than {cls.__name__}")
        for part, known in (("scalars", cls._SCALARS), ("arrays", tuple(cls._STATE)), ("children", cls._CHILDREN)):
            if extra := set(state[part]) - set(known):
                raise FormatError(f"state has unknown {part} {sorted(extra)}")
        try:
            made = cls(**{name: rebuilt_parameter(value) for name, value in state["params"].items()})
            made._validate_params()
        except (InputError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"parameters are out of range: {error}") from None
        arrays = {}
        for name, array in state["arrays"].items():
            dtypes, n_axes = cls._STATE[name]
            allowed = [np.dtype(d) for d in (dtypes if isinstance(dtypes, tuple) else (dtypes,))]
            if array.dtype not in allowed or array.ndim != n_axes:
                raise FormatError(f"{name} is {array.dtype} with {array.ndim} axes, {allowed[0]} with {n_axes} was expected")
            arrays[name] = np.array(array, order="C")
        scalars = copy.deepcopy(dict(state["scalars"]))
        try:
            made._check_state(arrays, scalars)
        except FormatError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
            raise FormatError(f"state does not fit together: {error}") from None
        made.__dict__ |= arrays | scalars
        for name, child in state["children"].items():
            built = [class_of_name(c["class"])._from_state(c) for c in child] if isinstance(child, list) else None
            made.__dict__[name] = class_of_name(child["class"])._from_state(child) if built is None else built
        made._after_load()
        return made

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        """Raise FormatError unless arrays and scalars are what this class could have learned."""

    def _after_load(self) -> None:
        """Rebuild what is derived from the state."""

    def __getstate__(self) -> dict[str, Any]:
        return self.get_state()

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.set_state(state)

    def copy(self) -> Self:
        """A deep copy, random state included."""
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__dict__ = {name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()}
        return made

    def to(self, device: str) -> Self:
        """A copy whose learned arrays live on another device; it takes, and gives, arrays that live there.

        An object that has learned nothing has no arrays: the first write decides where it will live.

        Parameters
        ----------
        device : str
            "cpu", "gpu" (the GPU that CuPy is using) or "gpu:1" (that of this number).

        Raises
        ------
        BackendError
            Where there is no such device, it cannot be used, or this class has nothing that runs on a GPU.
        """
        return self._moved(backend_named(device))

    def _check_device(self, backend: Backend) -> None:
        """Raise BackendError where this object cannot work on a device."""
        if backend != NUMPY and not self._ON_GPU:
            raise BackendError(f"{type(self).__name__} works on the CPU only")

    def _moved(self, backend: Backend) -> Self:
        self._check_device(backend)
        made = object.__new__(type(self))
        for name, value in self.__dict__.items():
            if name in self._CHILDREN and value is not None:
                children = [child._moved(backend) for child in children_in(value)]
                made.__dict__[name] = children if isinstance(value, list) else children[0]
            elif name in self._STATE and name not in self._HOST_STATE and value is not None:
                made.__dict__[name] = backend.placed(value)
            elif name not in self._DERIVED:
                made.__dict__[name] = copy.deepcopy(value)
        made._after_load()
        return made

    def save(self, path: str | Path) -> None:
        """Write this object to a ``.nmem`` file; an older file stays whole until the new one is complete."""
        from neuromem.io import save

        save(self, path)


def children_in(value: Any) -> list["Estimator"]:
    """The estimators in an attribute that holds none, one, or a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
