"""Batches of several views of few items: longer between two visits of an item at the same amount of training."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError


class ViewBatchSampler:
    """Batches of ``batch_size / views`` items, each in ``views`` successive rows (Kang et al. 2025, the view-batch model).

    Parameters
    ----------
    n : int
        Items.
    batch_size : int
        Rows of a batch; a multiple of ``views``.
    views : int, default 1
        Rows of each item.  With 1 it is plain shuffling.
    rng : Generator, int or None, default None
        Gives one permutation for each pass, as ``rng.permutation(n)``.
    drop_last : bool, default False
        Leave out a last batch that is not full.

    Attributes
    ----------
    recall_interval : int
        Rows from one training of an item to the next, on average: views * n.

    Notes
    -----
    One pass over the sampler visits every item once, in one batch, in ``views`` rows: as many rows as ``views`` passes of plain
    shuffling.  For the same number of rows the passes fall by ``views``, and the recall interval grows by as much.
    The paper's code tells views of one item by equal labels; here they are told by their place.

    Examples
    --------
    >>> sampler = ViewBatchSampler(5, 4, views=2, rng=0)
    >>> for ids, views in sampler:
    ...     print(ids, views)
    [2 2 4 4] [0 1 0 1]
    [3 3 0 0] [0 1 0 1]
    [1 1] [0 1]
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        views: int = 1,
        rng: np.random.Generator | int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.n = validate.integer(n, "n", 1)
        self.views = validate.integer(views, "views", 1)
        self.batch_size = validate.integer(batch_size, "batch_size", 1)
        if self.batch_size % self.views:
            raise InputError(f"batch_size is {batch_size}, a multiple of views={views} was expected")
        self.rng = np.random.default_rng(rng)
        self.drop_last = bool(drop_last)

    @property
    def recall_interval(self) -> int:
        """Rows from one training of an item to the next, on average."""
        return self.views * self.n

    @property
    def items_per_batch(self) -> int:
        """Items of a full batch."""
        return self.batch_size // self.views

    def __len__(self) -> int:
        """Batches of a pass."""
        return self.n // self.items_per_batch if self.drop_last else -(-self.n // self.items_per_batch)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One pass: ids and number of the view, int64 (rows,) each."""
        order = self.rng.permutation(self.n)
        for start in range(0, len(self) * self.items_per_batch, self.items_per_batch):
            chosen = order[start : start + self.items_per_batch]
            yield np.repeat(chosen, self.views), np.tile(np.arange(self.views), len(chosen))


def view_kl(probabilities: Any, views: int) -> tuple[float, np.ndarray]:
    """How far the predictions for further views of items are from those for their first, and the slope in the logits.

    Parameters
    ----------
    probabilities : array (n * views, n_classes)
        Of softmax; the views of an item in successive rows, the first one the anchor.
    views : int >= 2

    Returns
    -------
    loss : float
        Sum over items i and views j >= 2 of KL(p_i1 || p_ij), over n (views - 1).
    d_logits : (n * views, n_classes)
        (p_ij - p_i1) / (n (views - 1)); 0 for the anchors, which are held constant.

    Raises
    ------
    InputError
        If rows are no probabilities, or not in groups of ``views``.

    Notes
    -----
    The formula of Kang et al. 2025; their code divides by the number of classes too.

    Examples
    --------
    >>> import numpy as np
    >>> loss, slope = view_kl(np.array([[0.5, 0.5], [0.25, 0.75]]), 2)
    >>> round(loss, 4), slope.tolist()
    (0.1438, [[0.0, 0.0], [-0.25, 0.25]])
    """
    views = validate.integer(views, "views", 2)
    p = np.asarray(probabilities)
    if p.dtype.kind != "f" or p.ndim != 2 or not len(p) or len(p) % views:
        raise InputError(f"probabilities have shape {p.shape} ({p.dtype}), floats (n * {views}, n_classes) were expected")
    if not (p >= 0).all() or not np.allclose(p.sum(axis=1), 1.0, atol=1e-4):
        raise InputError("probabilities have negative values or rows that do not sum to 1; give what softmax returns")
    grouped = p.reshape(-1, views, p.shape[1])
    anchors, others = grouped[:, :1].astype(np.float64), grouped[:, 1:].astype(np.float64)
    n = others.shape[0] * others.shape[1]
    tiny = np.finfo(p.dtype).tiny
    ratio = np.log(np.maximum(anchors, tiny)) - np.log(np.maximum(others, tiny))  # where p is 0 it counts nothing
    d_logits = np.zeros_like(grouped)
    d_logits[:, 1:] = (others - anchors) / n
    return float((anchors * ratio).sum() / n), d_logits.reshape(p.shape)
