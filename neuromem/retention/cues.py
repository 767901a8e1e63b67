"""Cues to recall from: a part of an item, chosen in several ways, or the whole of it with noise."""

from dataclasses import dataclass

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.retention.items import PURPOSES, ItemSource, chosen

CUE_KINDS = ("prefix", "random_mask", "block", "noise", "key")


@dataclass(frozen=True, slots=True)
class Cues:
    """Cues of n items.

    Parameters
    ----------
    kind : str
    fraction : float
        Share of components that are given right.
    items, cues : (n, d)
        What is to be recalled, and what of it is given; the rest is 0, or random where items are signs.
    known : bool (d,) or (n, d)
        What is given; all of a noisy item.
    scored : bool (n, d)
        Components on which recall is judged.
    """

    kind: str
    fraction: float
    items: np.ndarray
    cues: np.ndarray
    known: np.ndarray
    scored: np.ndarray


def hidden_blocks(source: ItemSource, ids: np.ndarray, n_hidden: int, shape: tuple[int, int]) -> np.ndarray:
    """A nearly square block of exactly ``n_hidden`` places at a random place of each picture, bool (n, d).

    Where the number is no rectangle, the block's last row is cut short.
    """
    height, width = shape
    n_columns = min(width, n_hidden, max(1, round((n_hidden * width / height) ** 0.5)))
    n_columns = max(n_columns, -(-n_hidden // height))  # so that its rows fit
    n_rows = -(-n_hidden // n_columns)
    draws = source.words(ids, PURPOSES["mask"], 2).astype(np.int64)
    top = (draws[:, :1] * (height - n_rows + 1)) >> 32
    left = (draws[:, 1:] * (width - n_columns + 1)) >> 32
    place = np.arange(n_hidden)
    hidden = np.zeros((len(ids), height * width), bool)
    np.put_along_axis(hidden, (top + place // n_columns) * width + left + place % n_columns, True, axis=1)
    return hidden


def cue_mask(
    source: ItemSource, ids: np.ndarray, fraction: float, kind: str = "prefix", shape: tuple[int, int] | None = None
) -> np.ndarray:
    """What is given of each item: exactly round(fraction * d) components.

    Parameters
    ----------
    source : ItemSource
    ids : int64 (n,)
    fraction : float in (0, 1]
    kind : {"prefix", "random_mask", "block"}
    shape : (height, width), optional
        Of pictures, for "block"; default: one row.

    Returns
    -------
    bool (d,) for "prefix", else (n, d)

    Raises
    ------
    InputError
        If the fraction is outside (0, 1], or gives no component.

    Examples
    --------
    >>> from neuromem.retention import RandomBits
    >>> cue_mask(RandomBits(8), np.arange(2), 0.25, "random_mask").sum(axis=1).tolist()
    [2, 2]
    """
    width = source.n_features
    fraction = validate.number(fraction, "cue_fraction", low=0.0, high=1.0, low_open=True)
    n_known = round(fraction * width)
    if n_known == 0:
        raise InputError(f"cue_fraction {fraction} gives none of {width} components")
    if kind == "prefix":
        return np.arange(width) < n_known
    if kind == "random_mask":
        return chosen(ids, source.key, PURPOSES["mask"], n_known, width).astype(bool)
    validate.choice(kind, "cue_kind", CUE_KINDS[:3])
    shape = (1, width) if shape is None else (int(shape[0]), int(shape[1]))
    if shape[0] * shape[1] != width or min(shape) < 1:
        raise InputError(f"shape is {shape}, {width} components were expected")
    if n_known == width:
        return np.ones((len(ids), width), bool)
    return ~hidden_blocks(source, ids, width - n_known, shape)


def make_cues(
    source: ItemSource,
    ids: np.ndarray,
    fraction: float,
    kind: str = "prefix",
    *,
    include_cue: bool = False,
    shape: tuple[int, int] | None = None,
    n_key: int | None = None,
) -> Cues:
    """Cues of items.

    Parameters
    ----------
    source : ItemSource
    ids : int64 (n,)
    fraction : float in (0, 1]
        Share of components that are given right: known ones or, of noisy items, those left as they are.  A key's share is what
        ``n_key`` makes it.
    kind : {"prefix", "random_mask", "block", "noise", "key"}
    include_cue : bool, default False
        Judge recall on what was given, too.  Noisy items are always judged as a whole.
    shape : (height, width), optional
    n_key : int, optional
        Components of a key, the first ones, for "key".

    Raises
    ------
    InputError
        If a fraction or the key's width is out of range, or leaves nothing to recall.
    """
    validate.choice(kind, "cue_kind", CUE_KINDS)
    width, items = source.n_features, source.get(ids)
    everything = np.ones((len(ids), width), bool)
    if kind == "noise":
        fraction = validate.number(fraction, "cue_fraction", low=0.0, high=1.0, low_open=True)
        n_wrong = width - round(fraction * width)
        cues = source.change_some(items, ids, n_wrong) if n_wrong else items
        return Cues(kind, fraction, items, cues, everything[0], everything)
    if kind == "key":
        if n_key is None:
            raise InputError("cue_kind='key' needs n_key, the width of keys")
        fraction = validate.integer(n_key, "n_key", 1, width) / width
        known = np.arange(width) < n_key
    else:
        known = cue_mask(source, ids, fraction, kind, shape)
    scored = everything if include_cue else np.broadcast_to(~known, everything.shape)
    if not scored[:1].any() and len(ids):
        raise InputError(f"cue_fraction {fraction} gives everything, nothing is left to recall; use include_cue=True")
    # what is hidden is 0, but for signs, which have no 0: signs that tell nothing of the item
    hidden = source.bits(ids, PURPOSES["hidden"], -1, 1) if source.kind == "sign" else items.dtype.type(0)
    return Cues(kind, fraction, items, np.where(known, items, hidden), known, scored)
