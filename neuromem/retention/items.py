"""Items that are made again from their ids, so that a stream of any length needs no storage.

Item i is a pure function of (seed, i): the same in whatever batch, order or process it is asked for.  Ids are handed out
by role, from ranges that cannot meet: what is studied, what fills the time, what was never studied.
"""

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY
from neuromem.errors import InputError
from neuromem.parallel import kernel_threads
from neuromem.protocols import ItemSpec
from neuromem.random import key_for

ROLES = ("target", "filler", "foil", "control")
ROLE_BITS = 40  # ids of one role
SLOT_BITS = 32  # of these, the ids that have foils of their own
FOIL_SLOTS = 64  # ranges of foils for each role; the upper half serves changed components
MOST_ALTERNATIVES = FOIL_SLOTS // 2
PURPOSES = {
    "item": 0,
    "template": 1,
    "flip": 2,
    "position": 3,
    "change": 64,
    "changed on": 128,
    "mask": 192,
    "values": 256,
    "hidden": 320,
}
# Nanoseconds for a component, roughly, on one thread.
BIT, WORD, NORMAL = 0.1, 0.6, 8.0


class ItemSource:
    """Base of all sources.

    Parameters
    ----------
    n_features : int
        Width of items.
    seed : int, default 0

    Attributes
    ----------
    kind : {"binary", "sign", "ternary", "real"}
    density : float or None
        Expected share of non-zeros, for binary and ternary items.
    n_classes : int or None
        Classes that items fall into, None where there are none.

    Notes
    -----
    A source of one's own gives ``draw(ids)`` and, with classes, ``classes(ids)``; everything else is here.
    """

    kind = "real"
    density: float | None = None
    n_classes: int | None = None

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self.n_features = validate.integer(n_features, "n_features", 1)
        self.seeds: tuple[int, ...] = (validate.integer(seed, "seed", 0),)
        self.key = key_for(self.seed_sequence, "retention.items")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.describe().items())})"

    def settings(self) -> dict[str, Any]:
        """Arguments beyond the width and the seed, as JSON values."""
        return {}

    def describe(self) -> dict[str, Any]:
        """What makes this source, as JSON values."""
        return {"n_features": self.n_features, **self.settings(), "seeds": list(self.seeds)}

    @property
    def item_spec(self) -> ItemSpec:
        """What a memory has to take."""
        return ItemSpec(self.n_features, self.kind, self.density)  # type: ignore[arg-type]

    @property
    def seed_sequence(self) -> np.random.SeedSequence:
        """Where all random numbers of this source come from."""
        return np.random.SeedSequence([len(self.seeds), *self.seeds])  # NumPy takes (0,) and (0, 0) for the same

    def reseeded(self, seed: int) -> Self:
        """The same kind of source with other items: one for each repetition of an experiment."""
        made = copy.copy(self)
        made.seeds = (*self.seeds, validate.integer(seed, "seed", 0))
        made.key = key_for(made.seed_sequence, "retention.items")
        return made

    # ---------------------------------------------------------------- ids

    def range_of(self, role: str) -> tuple[int, int]:
        """First id of a role, and the id after its last."""
        number = ROLES.index(validate.choice(role, "role", ROLES))
        return number << ROLE_BITS, (number + 1) << ROLE_BITS

    def ids(self, role: str, n: int, start: int = 0) -> np.ndarray:
        """``n`` ids of a role from its ``start``-th on, int64 (n,).

        Parameters
        ----------
        role : {"target", "filler", "foil", "control"}
        n : int
        start : int, default 0

        Raises
        ------
        InputError
            If the source has not so many items of that role.

        Examples
        --------
        >>> RandomBits(8).ids("target", 3, start=5)
        array([5, 6, 7])
        """
        first, stop = self.range_of(role)
        n, start = validate.integer(n, "n", 0), validate.integer(start, "start", 0)
        if start + n > stop - first:
            raise InputError(f"{start + n} items are asked for as {role}, the source has {stop - first} of them")
        return np.arange(first + start, first + start + n, dtype=np.int64)

    def checked_ids(self, ids: Any) -> np.ndarray:
        """Ids as int64 (n,), none negative."""
        ids = np.asarray(ids)
        if ids.ndim != 1 or (ids.dtype.kind not in "iu" and ids.size):
            raise InputError(f"ids are {ids.dtype} with {ids.ndim} axes, whole numbers (n,) were expected")
        ids = ids.astype(np.int64)
        if ids.size and ids.min() < 0:
            raise InputError(f"ids have {ids.min()}, numbers from 0 up were expected")
        return ids

    # ---------------------------------------------------------------- items

    def get(self, ids: Any) -> np.ndarray:
        """Items of any ids in any order: uint8 (binary), int8 (sign, ternary) or float32 (real), (n, d)."""
        return self.draw(self.checked_ids(ids))

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        raise NotImplementedError

    def classes(self, ids: Any) -> np.ndarray:
        """Class of each id, int64 (n,).

        Raises
        ------
        InputError
            If the source has no classes.
        """
        if self.n_classes is None:
            raise InputError(f"{type(self).__name__} has no classes; use Templates, HierarchicalItems, or ArrayItems with y")
        return self.checked_ids(ids) % self.n_classes

    # ---------------------------------------------------------------- items that were not studied

    def novel_ids(self, ids: Any, alternative: int = 0) -> np.ndarray:
        """An id of the role "foil" for each item, another one for each alternative (0 ... 31)."""
        ids = self.checked_ids(ids)
        validate.integer(alternative, "alternative", 0, MOST_ALTERNATIVES - 1)
        slot = ids & ((1 << ROLE_BITS) - 1)
        if slot.size and slot.max() >> SLOT_BITS:
            raise InputError(f"foils are made for the first {1 << SLOT_BITS} items of a role")
        own = (ids >> ROLE_BITS) * FOIL_SLOTS + alternative  # 4 roles of 64 slots fill the 40 bits
        return self.range_of("foil")[0] + (own << SLOT_BITS) + slot

    def class_ids(self, ids: Any, alternative: int = 0) -> np.ndarray:
        """An id of the role "foil" that is of the same class as each item."""
        wanted = self.classes(ids)
        novel = self.novel_ids(ids, alternative)
        return novel + (wanted - novel) % self.n_classes if self.n_classes else novel

    def change_some(self, items: np.ndarray, ids: np.ndarray, n_changed: int, alternative: int = 0) -> np.ndarray:
        """Items with exactly ``n_changed`` components changed each, their density kept as well as that allows.

        Binary components are swapped: as many go off as come on (one more of either where the number is odd); signs are
        turned; in ternary items non-zeros are turned; real components are drawn anew.

        Raises
        ------
        InputError
            If an item has not enough components to change.
        """
        ids, n_changed = self.checked_ids(ids), validate.integer(n_changed, "n_changed", 1, self.n_features)
        if self.kind == "real":
            changed = chosen(ids, self.key, PURPOSES["change"] + alternative, n_changed, self.n_features)
            return np.where(changed, self.other_values(ids, alternative), items)
        if self.kind == "sign" or (self.kind == "binary" and self.density is None):
            changed = chosen(ids, self.key, PURPOSES["change"] + alternative, n_changed, self.n_features)
            return items ^ changed if self.kind == "binary" else np.where(changed, -items, items)
        active = items != 0
        n_active = active.sum(axis=1)
        order = self.words(ids, PURPOSES["change"] + alternative).astype(np.int64)
        extra = self.words(ids, PURPOSES["changed on"] + alternative, 1)[:, 0] & np.uint32(1)
        n_off = (n_changed + extra.astype(np.int64)) // 2 if self.kind == "binary" else np.full(len(ids), n_changed)
        short = (n_active < n_off) | (self.n_features - n_active < n_changed - n_off)
        if short.any():
            raise InputError(
                f"{n_changed} of {self.n_features} components are to be changed, but item {ids[short.argmax()]} has only "
                f"{n_active[short.argmax()]} non-zeros; ask for a smaller level"
            )
        off = lowest(np.where(active, order, 1 << 32), n_off)
        if self.kind == "ternary":
            return np.where(off, -items, items)
        on = lowest(np.where(active, 1 << 32, order), n_changed - n_off)
        return items ^ (off | on).astype(items.dtype)

    def variants(self, ids: Any, level: float, alternative: int = 0) -> np.ndarray:
        """Items with exactly round(level * d) components changed; see :meth:`change_some`.

        Raises
        ------
        InputError
            If the level changes nothing.

        Examples
        --------
        >>> source = RandomBits(64)
        >>> (source.variants([7], 1 / 32) != source.get([7])).sum()
        np.int64(2)
        """
        level = validate.number(level, "level", low=0.0, high=1.0, low_open=True)
        n_changed = round(level * self.n_features)
        if n_changed == 0:
            raise InputError(f"level {level} changes none of {self.n_features} components; ask for 1/{self.n_features} or more")
        ids = self.checked_ids(ids)
        return self.change_some(self.get(ids), ids, n_changed, alternative)

    def recombined(self, ids: Any, alternative: int = 0) -> np.ndarray:
        """The first half of each item with the second half of another of the same items."""
        ids = self.checked_ids(ids)
        if len(ids) < alternative + 2:
            raise InputError(f"{len(ids)} items are too few to recombine, {alternative + 2} are needed")
        items = self.get(ids)
        half = self.n_features // 2
        return np.concatenate([items[:, :half], np.roll(items, -1 - alternative, axis=0)[:, half:]], axis=1)

    def other_values(self, ids: np.ndarray, alternative: int) -> np.ndarray:
        """Further draws of real components."""
        return self.draw(self.novel_ids(ids, alternative) + (MOST_ALTERNATIVES << SLOT_BITS))

    def words(self, ids: np.ndarray, purpose: int, width: int | None = None) -> np.ndarray:
        """Uniform words, uint32 (n, width)."""
        out = np.empty((len(ids), width or self.n_features), np.uint32)
        with kernel_threads(out.size * WORD):
            NUMPY.kernels("retention").random_words(ids, self.key, purpose, out)
        return out

    def bits(self, ids: np.ndarray, purpose: int, low: int = 0, high: int = 1) -> np.ndarray:
        """Two values with equal chance, int8 (n, d)."""
        out = np.empty((len(ids), self.n_features), np.int8)
        with kernel_threads(out.size * BIT):
            NUMPY.kernels("retention").random_bits(ids, self.key, purpose, low, high, out)
        return out


def chosen(ids: np.ndarray, key: np.ndarray, purpose: int, n_chosen: int, width: int) -> np.ndarray:
    """Exactly ``n_chosen`` ones in each row, uint8 (n, width)."""
    out = np.empty((len(ids), width), np.uint8)
    with kernel_threads(out.size * WORD):
        NUMPY.kernels("retention").choose_some(ids, key, purpose, n_chosen, out)
    return out


def lowest(values: np.ndarray, n_lowest: np.ndarray) -> np.ndarray:
    """Which are the ``n_lowest[i]`` lowest of each row, bool; ties to the lowest index."""
    order = np.argsort(values, axis=1, kind="stable")
    found = np.empty(values.shape, bool)
    np.put_along_axis(found, order, np.arange(values.shape[1]) < n_lowest[:, None], axis=1)
    return found


class RandomBits(ItemSource):
    """Zeros and ones with equal chance, uint8.

    Parameters
    ----------
    n_features : int
    seed : int, default 0

    Examples
    --------
    >>> source = RandomBits(6, seed=1)
    >>> bool((source.get([4, 2])[1] == source.get([2])[0]).all())
    True
    """

    kind = "binary"

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        return self.bits(ids, PURPOSES["item"]).view(np.uint8)


class SparseBits(ItemSource):
    """Exactly ``n_active`` ones among zeros, uint8.

    Parameters
    ----------
    n_features, n_active : int
    seed : int, default 0

    Examples
    --------
    >>> SparseBits(100, 5).get([0, 1]).sum(axis=1).tolist()
    [5, 5]
    """

    kind = "binary"

    def __init__(self, n_features: int, n_active: int, seed: int = 0) -> None:
        super().__init__(n_features, seed)
        self.n_active = validate.integer(n_active, "n_active", 1, self.n_features)
        self.density = self.n_active / self.n_features

    def settings(self) -> dict[str, Any]:
        """Arguments beyond the width and the seed."""
        return {"n_active": self.n_active}

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        return chosen(ids, self.key, PURPOSES["item"], self.n_active, self.n_features)


class RandomSigns(ItemSource):
    """-1 and 1 with equal chance, int8; with ``n_active`` the others are 0 (ternary items).

    Parameters
    ----------
    n_features : int
    n_active : int or None, default None
        Non-zeros of an item; None: all.
    seed : int, default 0

    Examples
    --------
    >>> sorted(set(RandomSigns(50, 10).get([3])[0].tolist()))
    [-1, 0, 1]
    """

    def __init__(self, n_features: int, n_active: int | None = None, seed: int = 0) -> None:
        super().__init__(n_features, seed)
        self.n_active = None if n_active is None else validate.integer(n_active, "n_active", 1, self.n_features)
        self.kind = "sign" if n_active is None else "ternary"
        self.density = None if self.n_active is None else self.n_active / self.n_features

    def settings(self) -> dict[str, Any]:
        """Arguments beyond the width and the seed."""
        return {"n_active": self.n_active}

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        items = self.bits(ids, PURPOSES["item"], -1, 1)
        if self.n_active is not None:
            items *= chosen(ids, self.key, PURPOSES["position"], self.n_active, self.n_features).view(np.int8)
        return items


class Gaussian(ItemSource):
    """Independent standard normal components, float32.

    Parameters
    ----------
    n_features : int
    seed : int, default 0

    Examples
    --------
    >>> Gaussian(3).get([0]).shape
    (1, 3)
    """

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        out = np.empty((len(ids), self.n_features), np.float32)
        with kernel_threads(out.size * NORMAL):
            NUMPY.kernels("retention").normals(ids, self.key, PURPOSES["item"], out)
        return out


class Templates(ItemSource):
    """Random bits in classes: item i is the template of class i mod ``n_classes`` with each bit flipped with chance ``flip``.

    Parameters
    ----------
    n_features, n_classes : int
    flip : float in [0, 0.5]
    seed : int, default 0

    Examples
    --------
    >>> source = Templates(64, n_classes=4, flip=0.1)
    >>> source.classes([0, 1, 4]).tolist()
    [0, 1, 0]
    """

    kind = "binary"

    def __init__(self, n_features: int, n_classes: int, flip: float, seed: int = 0) -> None:
        super().__init__(n_features, seed)
        self.n_classes: int = validate.integer(n_classes, "n_classes", 1)
        self.flip = validate.number(flip, "flip", low=0.0, high=0.5)

    def settings(self) -> dict[str, Any]:
        """Arguments beyond the width and the seed."""
        return {"n_classes": self.n_classes, "flip": self.flip}

    def templates(self) -> np.ndarray:
        """What items of each class are made from, uint8 (n_classes, d)."""
        return self.bits(np.arange(self.n_classes), PURPOSES["template"]).view(np.uint8)

    def flipped(self, items: np.ndarray, ids: np.ndarray, purpose: int) -> np.ndarray:
        """Items with each bit flipped with chance ``flip``."""
        return items ^ (self.words(ids, purpose) < np.uint64(round(self.flip * 2**32))).astype(np.uint8)

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        return self.flipped(self.templates()[ids % self.n_classes], ids, PURPOSES["flip"])


class HierarchicalItems(Templates):
    """Random bits in a tree of classes: each child flips each of its parent's bits with chance ``flip``, and so do items.

    Parameters
    ----------
    n_features : int
    tree : sequence of int
        Branches at each level: (3, 4) has 3 branches of 4 classes.
    flip : float in [0, 0.5]
    seed : int, default 0

    Examples
    --------
    >>> HierarchicalItems(64, (3, 4), flip=0.1).n_classes
    12
    """

    def __init__(self, n_features: int, tree: Sequence[int], flip: float, seed: int = 0) -> None:
        self.tree = tuple(validate.integer(branches, "tree", 1) for branches in tree)
        super().__init__(n_features, int(np.prod(self.tree)) if self.tree else 1, flip, seed)

    def settings(self) -> dict[str, Any]:
        """Arguments beyond the width and the seed."""
        return {"tree": list(self.tree), "flip": self.flip}

    def templates(self) -> np.ndarray:
        """What items of each class are made from, uint8 (n_classes, d); neighbours share the most."""
        nodes = self.bits(np.zeros(1, np.int64), PURPOSES["template"]).view(np.uint8)
        first = 1
        for branches in self.tree:
            nodes = np.repeat(nodes, branches, axis=0)
            nodes = self.flipped(nodes, np.arange(first, first + len(nodes)), PURPOSES["template"])
            first += len(nodes)
        return nodes


def source_for(item_spec: ItemSpec, seed: int = 0) -> ItemSource:
    """Random items that fit a memory's ``item_spec``.

    Parameters
    ----------
    item_spec : ItemSpec
    seed : int, default 0

    Returns
    -------
    ItemSource
        RandomBits (binary without a density, or one half), SparseBits (another density), RandomSigns (sign, ternary) or
        Gaussian (real).

    Examples
    --------
    >>> from neuromem import ItemSpec
    >>> source_for(ItemSpec(100, "binary", 0.05))
    SparseBits(n_features=100, n_active=5, seeds=[0])
    """
    width, density = item_spec.n_features, item_spec.density
    n_active = None if density is None else min(width, max(1, round(density * width)))
    if item_spec.kind == "binary":
        return RandomBits(width, seed) if n_active is None or density == 0.5 else SparseBits(width, n_active, seed)
    if item_spec.kind == "real":
        return Gaussian(width, seed)
    if item_spec.kind == "sign":
        return RandomSigns(width, None, seed)
    return RandomSigns(width, round(width / 2) or 1 if n_active is None else n_active, seed)
