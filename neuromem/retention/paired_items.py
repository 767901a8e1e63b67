"""Items as pairs of a cue and an associate, several of which may have a cue in common."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.retention.foils import Foil
from neuromem.retention.items import ItemSource, chosen

KEPT = 384  # purpose of the random numbers that say which components a similar cue keeps; others: items.PURPOSES


class PairedItems(ItemSource):
    """Items of another source, whose first components are taken as the cue and the others as its associate.

    Targets are a list of ``n_targets`` pairs that have ``n_cues`` cues: target i has the cue of target i mod n_cues.  Fillers
    come in lists of the same length: filler i has a cue that is similar to that of target i mod n_targets.  All other items are
    those of the source.

    Parameters
    ----------
    source : ItemSource
    n_targets : int
    n_key : int, optional
        Components of a cue; default: half.
    n_cues : int, optional
        Cues of all targets; default: each has its own.
    similarity : float in [0, 1], default 0.0
        Share of its components that a filler's cue has from its target's; the others are those of an unrelated item.

    Raises
    ------
    InputError
        If a cue would be the whole item, or be of no component.
    """

    def __init__(
        self, source: ItemSource, n_targets: int, n_key: int | None = None, n_cues: int | None = None, similarity: float = 0.0
    ) -> None:
        if source.n_features < 2:
            raise InputError(f"items have {source.n_features} component, a cue and an associate need two or more")
        self.base, self.n_features, self.seeds, self.key = source, source.n_features, source.seeds, source.key
        self.kind, self.density, self.n_classes = source.kind, source.density, source.n_classes
        self.n_targets = validate.integer(n_targets, "n_study", 2)
        self.n_key = self.n_features // 2 if n_key is None else validate.integer(n_key, "n_key", 1, self.n_features - 1)
        self.n_cues = self.n_targets if n_cues is None else validate.integer(n_cues, "n_cues", 1, self.n_targets)
        self.similarity = validate.number(similarity, "similarity", low=0.0, high=1.0)

    def range_of(self, role: str) -> tuple[int, int]:
        """First id of a role, and the id after its last."""
        return self.base.range_of(role)

    def checked_ids(self, ids: Any) -> np.ndarray:
        """Ids as int64 (n,), which the source has."""
        return self.base.checked_ids(ids)

    def classes(self, ids: Any) -> np.ndarray:
        """Class of each id, int64 (n,)."""
        return self.base.classes(ids)

    def novel_ids(self, ids: Any, alternative: int = 0) -> np.ndarray:
        """An id of the role "foil" for each item."""
        return self.base.novel_ids(ids, alternative)

    def class_ids(self, ids: Any, alternative: int = 0) -> np.ndarray:
        """An id of the role "foil" that is of the same class as each item."""
        return self.base.class_ids(ids, alternative)

    def other_values(self, ids: np.ndarray, alternative: int) -> np.ndarray:
        """Further draws of real components."""
        return self.base.other_values(ids, alternative)

    def cue_ids(self, slots: np.ndarray) -> np.ndarray:
        """Ids of the items that give the cues of targets."""
        return self.range_of("target")[0] + slots % self.n_targets % self.n_cues

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        items = self.base.draw(ids)
        for role in ("target", "filler"):
            first, stop = self.range_of(role)
            rows = np.flatnonzero((ids >= first) & (ids < stop))
            cues = self.base.draw(self.cue_ids(ids[rows] - first))[:, : self.n_key]
            if role == "filler":
                n_kept = round(self.similarity * self.n_key)
                kept = chosen(ids[rows], self.key, KEPT, n_kept, self.n_key).astype(bool)
                cues = np.where(kept, cues, items[rows, : self.n_key])
            items[rows, : self.n_key] = cues
        return items


@dataclass(frozen=True, slots=True)
class RepairedFoil(Foil):
    """The cue of each target with the associate of a target of another cue: both were studied, but not together."""

    def make(self, source: ItemSource, ids: np.ndarray, alternative: int = 0) -> np.ndarray:
        """Foils of targets of :class:`PairedItems`, (n, d)."""
        if not isinstance(source, PairedItems):
            return Foil.make(self, source, ids, alternative)
        if source.n_cues < 2:
            raise InputError("targets have one cue, foils of family 'recombined' need two; study more pairs")
        first = source.range_of("target")[0]
        items = source.get(ids)
        # the neighbour in the list has the next cue, and the last target's neighbour the first one
        slots = ids - first
        shift = 1 + alternative % (source.n_cues - 1)
        others = np.where(slots + shift < source.n_targets, slots + shift, (slots + shift) % source.n_cues)
        items[:, source.n_key :] = source.get(first + others)[:, source.n_key :]
        return items


def paired_foil(foil: Foil) -> Foil:
    """Foils that suit pairs: halves are those of the pair."""
    return RepairedFoil("recombined") if foil.family == "recombined" else foil
