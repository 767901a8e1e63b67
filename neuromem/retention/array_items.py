"""Rows of an array as items: real data under the same roles and foils as random items."""

import hashlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.retention.items import PURPOSES, ROLES, ItemSource


class ArrayItems(ItemSource):
    """Rows of an array, shuffled by the seed and shared out among the roles.

    Parameters
    ----------
    X : array (n, d)
    y : array (n,), optional
        Classes.
    kind : {"binary", "sign", "ternary", "real"}, optional
        Default: what the values are.
    shares : sequence of 4 numbers, default (1, 1, 1, 1)
        How many rows go to targets, fillers, foils and controls, in proportion.
    seed : int, default 0

    Examples
    --------
    >>> source = ArrayItems([[0, 1], [1, 0], [1, 1], [0, 0]], shares=(2, 0, 2, 0))
    >>> source.ids("target", 2), source.ids("foil", 1)
    (array([0, 1]), array([2]))
    """

    def __init__(
        self,
        X: Any,
        y: Any = None,
        *,
        kind: str | None = None,
        shares: Sequence[float] = (1, 1, 1, 1),
        seed: int = 0,
    ) -> None:
        X = validate.table(X, name="X", min_items=1)
        super().__init__(X.shape[1], seed)
        kinds = ("binary", "sign", "ternary", "real")
        self.kind = kind_of(X) if kind is None else validate.choice(kind, "kind", kinds)
        dtype = {"binary": np.uint8, "real": np.float32}.get(self.kind, np.int8)
        self.X = np.array(X, dtype, order="C")
        self.density = float((self.X != 0).mean()) if self.kind in ("binary", "ternary") else None
        self.labels: np.ndarray | None = None
        if y is not None:
            found, self.labels = np.unique(validate.labels(y, len(X)), return_inverse=True)
            self.n_classes = len(found)
        if len(shares) != len(ROLES) or min(shares) < 0 or not sum(shares) > 0:
            raise InputError(f"shares are {shares!r}, four numbers from 0 up for {', '.join(ROLES)} were expected")
        self.shares = tuple(float(share) for share in shares)
        self.bounds = np.floor(np.cumsum((0.0, *self.shares)) / sum(self.shares) * len(X) + 1e-9).astype(int).tolist()
        self.shuffle()

    def shuffle(self) -> None:
        """Choose the order of rows, and sort the foils' rows by class."""
        self.order = np.random.default_rng(self.key).permutation(len(self.X))
        if self.labels is not None and self.n_classes:
            first, stop = self.range_of("foil")
            of_foils = self.labels[self.order[first:stop]]
            self.foils_by_class = first + np.argsort(of_foils, kind="stable")
            self.foil_counts = np.bincount(of_foils, minlength=self.n_classes)

    def reseeded(self, seed: int) -> Self:
        """The same rows in another order, so that other ones are studied."""
        made = super().reseeded(seed)
        made.shuffle()
        return made

    def settings(self) -> dict[str, Any]:
        """Arguments beyond the width and the seed; rows by their digest."""
        digest = hashlib.sha256(self.X.tobytes())
        if self.labels is not None:
            digest.update(self.labels.astype(np.int64).tobytes())
        return {"n_rows": len(self.X), "kind": self.kind, "shares": list(self.shares), "sha256": digest.hexdigest()}

    def range_of(self, role: str) -> tuple[int, int]:
        """First id of a role, and the id after its last."""
        number = ROLES.index(validate.choice(role, "role", ROLES))
        return self.bounds[number], self.bounds[number + 1]

    def checked_ids(self, ids: Any) -> np.ndarray:
        """Ids as int64 (n,), below the number of rows."""
        ids = super().checked_ids(ids)
        if ids.size and ids.max() >= len(self.X):
            raise InputError(f"ids have {ids.max()}, the source has {len(self.X)} items")
        return ids

    def draw(self, ids: np.ndarray) -> np.ndarray:
        """Items of checked ids."""
        return self.X[self.order[ids]]

    def classes(self, ids: Any) -> np.ndarray:
        """Class of each id, int64 (n,), counted from 0 in the order of the sorted labels."""
        if self.labels is None:
            raise InputError("ArrayItems has no classes; give y")
        return self.labels[self.order[self.checked_ids(ids)]].astype(np.int64)

    def place_in_role(self, ids: np.ndarray) -> np.ndarray:
        """How many ids of its role come before each id."""
        return ids - np.array(self.bounds)[np.searchsorted(self.bounds, ids, side="right") - 1]

    def novel_ids(self, ids: Any, alternative: int = 0) -> np.ndarray:
        """A row of the role "foil" for each item."""
        ids = self.checked_ids(ids)
        first, stop = self.range_of("foil")
        place = self.place_in_role(ids)
        n_needed = max(int(place.max(initial=-1)), alternative) + 1
        if n_needed > stop - first:
            raise InputError(
                f"{n_needed} foils are needed, the source has {stop - first} of them; give more rows or other shares"
            )
        return first + (place + alternative) % max(1, stop - first)

    def class_ids(self, ids: Any, alternative: int = 0) -> np.ndarray:
        """A row of the role "foil" of the same class as each item; classes of few rows lend a row several times."""
        wanted = self.classes(ids)
        counts = self.foil_counts[wanted]
        if wanted.size and counts.min() <= alternative:
            raise InputError(f"class {wanted[counts.argmin()]} has {counts.min()} foils, {alternative + 1} are needed")
        starts = np.cumsum(self.foil_counts) - self.foil_counts
        return self.foils_by_class[starts[wanted] + (self.place_in_role(self.checked_ids(ids)) + alternative) % counts]

    def other_values(self, ids: np.ndarray, alternative: int) -> np.ndarray:
        """Components of another row, drawn at random; they may happen to be equal."""
        donors = self.words(ids, PURPOSES["values"] + alternative, 1)[:, 0].astype(np.int64) % max(1, len(self.X) - 1)
        return self.X[(self.order[ids] + 1 + donors) % len(self.X)]


def kind_of(X: np.ndarray) -> str:
    """What an array's values are."""
    if X.dtype == np.bool_ or ((X == 0) | (X == 1)).all():
        return "binary"
    if (np.abs(X) == 1).all():
        return "sign"
    return "ternary" if ((X == 0) | (np.abs(X) == 1)).all() else "real"
