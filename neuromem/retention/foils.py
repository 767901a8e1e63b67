"""What a studied item is to be told from: foils of several families, each at a dose."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.retention.items import ItemSource

FAMILIES = ("novel", "class", "variant", "recombined", "easier_foil_source")
LARGEST_DENOMINATOR = 1 << 20


@dataclass(frozen=True, slots=True)
class Foil:
    """A family of foils.

    Parameters
    ----------
    family : {"novel", "class", "variant", "recombined", "easier_foil_source"}
        Unrelated items of the same source; other items of the same class; the item with a share ``level`` of its components
        changed; halves of two studied items (a system that knows the parts but not what went together is at chance); items of
        another source (one that a system with a strong prior prefers before it has studied anything).
    level : float, optional
        Of variants.
    source : ItemSource, optional
        Of "easier_foil_source".

    Examples
    --------
    >>> foil_of("variant:1/32")
    Foil(family='variant', level=0.03125, source=None)
    """

    family: str
    level: float | None = None
    source: ItemSource | None = None

    def __post_init__(self) -> None:
        validate.choice(self.family, "foil", FAMILIES)
        if (self.family == "variant") != (self.level is not None):
            raise InputError(f"foil {self.family!r} has level {self.level}; variants have one ('variant:1/32'), others none")
        if self.level is not None:
            validate.number(self.level, "level", low=0.0, high=1.0, low_open=True)
        if (self.family == "easier_foil_source") != (self.source is not None):
            raise InputError("foils of another source are made by Foil('easier_foil_source', source=...)")

    @property
    def paired(self) -> bool:
        """Whether foils are made of studied items, so that only the pair may be compared, never all with all."""
        return self.family in ("variant", "recombined")

    @property
    def label(self) -> str:
        """The family with its level: "variant:1/32"."""
        if self.level is None:
            return self.family
        return f"{self.family}:{Fraction(self.level).limit_denominator(LARGEST_DENOMINATOR)}"

    def make(self, source: ItemSource, ids: np.ndarray, alternative: int = 0) -> np.ndarray:
        """Foils of items, (n, d)."""
        if self.family == "novel":
            return source.get(source.novel_ids(ids, alternative))
        if self.family == "class":
            return source.get(source.class_ids(ids, alternative))
        if self.family == "recombined":
            return source.recombined(ids, alternative)
        if self.level is not None:
            return source.variants(ids, self.level, alternative)
        other = self.source.reseeded(source.seeds[-1]) if self.source is not None else source
        if other.n_features != source.n_features:
            raise InputError(f"foils have {other.n_features} features, studied items {source.n_features}")
        return other.get(other.ids("foil", len(ids), alternative * len(ids)))

    def describe(self) -> str | list:
        """The foil as JSON values."""
        return self.label if self.source is None else [self.label, type(self.source).__name__, self.source.describe()]


def foil_of(foil: str | Foil) -> Foil:
    """A foil from its name: "novel", "class", "recombined", "variant:1/32".

    Raises
    ------
    InputError
        For another name.
    """
    if isinstance(foil, Foil):
        return foil
    family, _, dose = str(foil).partition(":")
    try:
        level = float(Fraction(dose)) if dose else None
    except (ValueError, ZeroDivisionError):
        raise InputError(f"foil {foil!r} has the level {dose!r}; a fraction such as 1/32 was expected") from None
    if level is not None and not math.isfinite(level):
        raise InputError(f"foil {foil!r} has no finite level")
    return Foil(family, level)


def foils_of(foils: str | Foil | Iterable[str | Foil]) -> list[Foil]:
    """Foils without repeats, in the given order.

    Raises
    ------
    InputError
        For none, or the same one twice.
    """
    found = [foil_of(foil) for foil in ([foils] if isinstance(foils, (str, Foil)) else foils)]
    labels = [foil.label for foil in found]
    if not found or len(set(labels)) != len(labels):
        raise InputError(f"foils are {labels}, at least one and none twice was expected")
    return found
