"""Binary items as lists of their active features."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem.backend import array_module, as_array, backend_of, is_device_array, to_host
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

    Both arrays are NumPy's, or both CuPy's on one device.

    Raises
    ------
    InputError
        If the arrays do not fit together, name a feature that does not exist, or name one twice in an item.
    BackendError
        If they live on different devices.

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
        given = (self.indices, self.indptr)
        if not all((isinstance(array, np.ndarray) or is_device_array(array)) and array.ndim == 1 for array in given):
            raise InputError("indices and indptr must be one-dimensional arrays; ActiveRows.from_dense makes them")
        backend_of(indices=self.indices, indptr=self.indptr)
        if self.indices.dtype != np.int32 or self.indptr.dtype != np.int64:
            raise InputError(
                f"indices and indptr are {self.indices.dtype} and {self.indptr.dtype}, int32 and int64 were expected"
            )
        if (
            len(self.indptr) < 1
            or self.indptr[0] != 0
            or self.indptr[-1] != len(self.indices)
            or (self.indptr[1:] < self.indptr[:-1]).any()
        ):
            raise InputError("indptr does not cut indices into items: it must rise from 0 to len(indices)")
        if len(self.indices) and not 0 <= self.indices.min() <= self.indices.max() < self.n_features:
            raise InputError(f"indices name features outside 0 ... {self.n_features - 1}")
        xp = array_module(self.indices)
        item = self._item_of_each_index()
        found = xp.sort(item * self.n_features + self.indices)
        if (found[1:] == found[:-1]).any():  # kernels have room for each afferent once
            raise InputError("indices name a feature twice in one item")

    @classmethod
    def _trusted(cls, indices: Any, indptr: Any, n_features: int) -> "ActiveRows":
        """Without the checks, each of which would make a GPU and the host wait for each other."""
        made = object.__new__(cls)
        for name, value in (("indices", indices), ("indptr", indptr), ("n_features", n_features)):
            object.__setattr__(made, name, value)
        return made

    @classmethod
    def from_dense(cls, X: Any) -> "ActiveRows":
        """List the non-zero features of a table (n_items, n_features).

        Raises
        ------
        InputError
            If X does not have two axes.
        """
        X = as_array(X)
        xp = array_module(X)
        if X.ndim != 2:
            raise InputError(f"X has shape {X.shape}, a table (n_items, n_features) was expected; one item is X[None]")
        n_items, n_features = X.shape
        flat = xp.flatnonzero(X.astype(bool))  # three times as fast as on integers
        indptr = xp.searchsorted(flat, xp.arange(n_items + 1) * n_features).astype(np.int64)
        return cls._trusted((flat % max(1, n_features)).astype(np.int32), indptr, n_features)

    def to_dense(self) -> np.ndarray:
        """The table, uint8 (n_items, n_features)."""
        xp = array_module(self.indices)
        X = xp.zeros((len(self), self.n_features), np.uint8)
        X[self._item_of_each_index(), self.indices] = 1
        return X

    def _item_of_each_index(self) -> np.ndarray:
        xp = array_module(self.indices)
        item: np.ndarray = xp.searchsorted(self.indptr, xp.arange(len(self.indices)), side="right") - 1
        return item

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def rows(self, start: int, stop: int) -> "ActiveRows":
        """Items ``start`` to ``stop`` (exclusive), as a slice of a list would give them."""
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        begin, end = to_host(self.indptr[[start, stop]]).tolist()
        return ActiveRows._trusted(self.indices[begin:end], self.indptr[start : stop + 1] - begin, self.n_features)
