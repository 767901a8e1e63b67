"""Binary items as lists of their active features."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem.errors import InputError


@dataclass(frozen=True, slots=True)
class ActiveRows:
    """Binary items in compressed form: a few percent of the memory of a table, and what the kernels read.

    Parameters
    ----------
    indices : int32 (nnz,)
        Active features, each once per item, items one after the other.
    indptr : int64 (n_items + 1,)
        Where each item starts in ``indices``.
    n_features : int

    Raises
    ------
    InputError
        If the arrays do not fit together or name a feature that does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.sparsey import ActiveRows
    >>> rows = ActiveRows.from_dense(np.array([[0, 1, 1], [1, 0, 0]], np.uint8))
    >>> len(rows), rows.indices.tolist(), rows.to_dense().tolist()
    (2, [1, 2, 0], [[0, 1, 1], [1, 0, 0]])
    """

    indices: np.ndarray
    indptr: np.ndarray
    n_features: int

    def __post_init__(self) -> None:
        if not all(isinstance(array, np.ndarray) and array.ndim == 1 for array in (self.indices, self.indptr)):
            raise InputError("indices and indptr must be one-dimensional arrays; ActiveRows.from_dense makes them")
        if self.indices.dtype != np.int32 or self.indptr.dtype != np.int64:
            raise InputError(
                f"indices and indptr are {self.indices.dtype} and {self.indptr.dtype}, int32 and int64 were expected"
            )
        if (
            len(self.indptr) < 1
            or self.indptr[0] != 0
            or self.indptr[-1] != len(self.indices)
            or (np.diff(self.indptr) < 0).any()
        ):
            raise InputError("indptr does not cut indices into items: it must rise from 0 to len(indices)")
        if len(self.indices) and not 0 <= self.indices.min() <= self.indices.max() < self.n_features:
            raise InputError(f"indices name features outside 0 ... {self.n_features - 1}")

    @classmethod
    def from_dense(cls, X: Any) -> "ActiveRows":
        """List the non-zero features of a table (n_items, n_features).

        Raises
        ------
        InputError
            If X does not have two axes.
        """
        X = np.asarray(X)
        if X.ndim != 2:
            raise InputError(f"X has shape {X.shape}, a table (n_items, n_features) was expected; one item is X[None]")
        n_items, n_features = X.shape
        flat = np.flatnonzero(X.astype(bool))  # three times as fast as on integers
        indptr = np.searchsorted(flat, np.arange(n_items + 1) * n_features).astype(np.int64)
        return cls((flat % max(1, n_features)).astype(np.int32), indptr, n_features)

    def to_dense(self) -> np.ndarray:
        """The table, uint8 (n_items, n_features)."""
        X = np.zeros((len(self), self.n_features), np.uint8)
        X[np.repeat(np.arange(len(self)), np.diff(self.indptr)), self.indices] = 1
        return X

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def rows(self, start: int, stop: int) -> "ActiveRows":
        """Items ``start`` to ``stop`` (exclusive), as a slice of a list would give them."""
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        begin, end = self.indptr[start], self.indptr[stop]
        return ActiveRows(self.indices[begin:end], self.indptr[start : stop + 1] - begin, self.n_features)
