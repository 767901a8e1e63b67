"""Items with a structure, of any kind: exemplars of a few classes, and the same with their components in disorder."""

from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.retention.items import ROLE_BITS, SLOT_BITS, ItemSource, chosen

ORDER = 448  # purpose of the random numbers that shuffle components; others: items.PURPOSES
SLOTS_PER_ROLE = 1 << (ROLE_BITS - SLOT_BITS - 2)  # of the four roles' foils
DENSE = 0.5
PROTOTYPES = 1 << 30  # place among the items of the role control from which prototypes are taken


class Exemplars(ItemSource):
    """Exemplars of a few classes: item i is the prototype of class i mod ``n_classes`` with some components changed.

    Parameters
    ----------
    source : ItemSource
        Gives the prototypes, and how components are changed: their kind and density stay.  Not of fixed rows.
    n_classes : int, default 40
    level : float in (0, 1], optional
        Share of components that are changed (an even number of sparse bits); default: one eighth, or where items are sparse, a
        quarter of their non-zeros.

    Examples
    --------
    >>> from neuromem.retention import RandomBits
    >>> items = Exemplars(RandomBits(64), n_classes=4)
    >>> items.classes([1, 5, 6]).tolist(), [int((items.get([1]) != items.get([i])).sum()) <= 16 for i in (5, 6)]
    ([1, 1, 2], [True, False])
    """

    def __init__(self, source: ItemSource, n_classes: int = 40, level: float | None = None) -> None:
        self.n_features, self.seeds, self.key = source.n_features, source.seeds, source.key
        self.kind, self.density, self.source = source.kind, source.density, source
        self.n_classes: int = validate.integer(n_classes, "n_classes", 1)
        if level is None:
            sparse = source.density is not None and source.density < DENSE
            level = max(source.density / 2 if sparse and source.density else 1 / 8, 2 / source.n_features)
        self.level = validate.number(level, "level", low=0.0, high=1.0, low_open=True)

    def reseeded(self, seed: int) -> Self:
        """Other prototypes and other exemplars."""
        made = super().reseeded(seed)
        made.source = self.source.reseeded(seed)
        return made

    def settings(self) -> dict[str, Any]:
        """Arguments beyond the width and the seed."""
        return {"n_classes": self.n_classes, "level": self.level, "source": [type(self.source).__name__, self.source.settings()]}

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        prototypes = self.source.get(self.source.ids("control", self.n_classes, PROTOTYPES)[ids % self.n_classes])
        n_changed = max(1, round(self.level * self.n_features))
        if self.kind == "binary" and self.density is not None:
            n_changed = 2 * max(1, n_changed // 2)  # as many go off as come on
        if self.kind != "real":
            return self.source.change_some(prototypes, ids, n_changed)
        changed = chosen(ids, self.key, ORDER, n_changed, self.n_features)
        return np.where(changed, self.source.get(ids), prototypes)


class Shuffled(ItemSource):
    """Items of another source with their components in disorder, another one for each; a novel foil is the item in order.

    What gibberish is to the sentence that it was made of: the same parts, no structure (Orhan 2023, experiment 6).

    Parameters
    ----------
    source : ItemSource
        Not of fixed rows.

    Examples
    --------
    >>> from neuromem.retention import RandomBits
    >>> source = RandomBits(64)
    >>> items = Shuffled(source)
    >>> bool((items.get(items.novel_ids([3])) == source.get([3])).all())
    True
    """

    def __init__(self, source: ItemSource) -> None:
        self.n_features, self.seeds, self.key = source.n_features, source.seeds, source.key
        self.kind, self.density, self.source = source.kind, source.density, source

    def reseeded(self, seed: int) -> Self:
        """Other items in another disorder."""
        made = super().reseeded(seed)
        made.source = self.source.reseeded(seed)
        return made

    def settings(self) -> dict[str, Any]:
        """Arguments beyond the width and the seed."""
        return {"source": [type(self.source).__name__, self.source.settings()]}

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids: those of the role "foil" in order."""
        first, stop = self.range_of("foil")
        foils = (ids >= first) & (ids < stop)
        of_role = ((ids - first) >> SLOT_BITS) // SLOTS_PER_ROLE
        slot = (ids - first) & ((1 << SLOT_BITS) - 1)
        items = self.source.get(np.where(foils, (of_role << ROLE_BITS) + slot, ids))
        order = np.argsort(self.words(ids, ORDER), axis=1, kind="stable")
        return np.where(foils[:, None], items, np.take_along_axis(items, order, axis=1))
