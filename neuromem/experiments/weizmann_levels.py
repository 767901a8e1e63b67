"""A second level and codes of the time before (H) on the Weizmann clips: what they add to one level, or take from it."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neuromem import SparseyNetwork
from neuromem.errors import SaturationWarning
from neuromem.experiments.weizmann_folds import GRIDS, MIRRORED, NET, SIDE, Design, cut_of, data, field_of, n_maps_of
from neuromem.sparsey import FieldGrid, SparseyLevel

BASE = Design(grids=("14/6",))
N_FIELDS = 5  # of the first level, along each side; the second has one mac for every two by two of them


@dataclass(frozen=True)
class Levels:
    """Settings of a network whose first level is the base design's; the defaults are of its second level."""

    upper: bool = True
    persistence: int = 1
    release: float | None = None
    u_exponent: float = 8.0
    saturation: float = 0.06
    horizontal: int = 0  # the level that hears its own code of the time before; 0: none does
    h_exponent: float = 0.5
    backoff_ratio: float = 0.8


LEVELS = {
    "codes last 1 frame": Levels(),
    "codes last 4 frames": Levels(persistence=4),
    "codes last 4 frames, release .5": Levels(persistence=4, release=0.5),
    "codes last 8 frames": Levels(persistence=8),
    "codes last 4 frames, H on level 2": Levels(persistence=4, release=0.4, horizontal=2, backoff_ratio=0.5),
    "codes last 4 frames, level 2 never frozen": Levels(persistence=4, u_exponent=3.0, saturation=1.0),
    "H on level 1": Levels(upper=False, horizontal=1, h_exponent=0.3, backoff_ratio=0.3),
}


def network_of(levels: Levels, seed: int) -> SparseyNetwork:
    """One or two levels of macs: 25 over fields of 14 x 14 pixels, 16 over two by two of those."""
    size, stride = GRIDS[BASE.grids[0]]
    common: dict[str, Any] = {"h_exponent": levels.h_exponent, "top_down": False}
    parts = [
        SparseyLevel(
            BASE.modules,
            BASE.units,
            FieldGrid((SIDE, SIDE), (size, size), (stride, stride), n_maps_of(BASE.maps)),
            u_exponent=NET["u_exponent"],
            activation_bounds=NET["activation_bounds"],
            saturation_limit=BASE.saturation,
            horizontal=levels.horizontal == 1,
            **common,
        )
    ]
    if levels.upper:
        parts.append(
            SparseyLevel(
                BASE.modules,
                BASE.units,
                FieldGrid((N_FIELDS, N_FIELDS), (2, 2), (1, 1)),
                persistence=levels.persistence,
                u_exponent=levels.u_exponent,
                saturation_limit=levels.saturation,
                release=levels.release,
                horizontal=levels.horizontal == 2,
                **common,
            )
        )
    return SparseyNetwork(None, parts, upper_input="argmax", backoff_ratio=levels.backoff_ratio, random_state=seed)


def episodes(frames: np.ndarray) -> np.ndarray:
    """Lengths of the clips that frames in order of presentation consist of, int64; a mirrored clip is one of its own."""
    clip = data().clip_of_frame[frames % MIRRORED] * 2 + (frames >= MIRRORED)
    starts = np.flatnonzero(np.diff(clip, prepend=-1))
    return np.diff(starts, append=len(frames))


def level_fold(out: Sequence[str], seed: int, levels: dict[str, Any]) -> dict[str, np.ndarray]:
    """A task: scores of the tested frames, with their mirror images', by "level 1", "level 2" and "levels 1 and 2"."""
    cut = cut_of(tuple(out), seed, BASE)
    network = network_of(Levels(**levels), seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaturationWarning)  # one row is there to show it
        learned = network.present(cut.shown, True, lengths=episodes(cut.learned))
    read = [network.trace(cues, episodes(cut.tested)) for cues in cut.cues.values()]
    scores: dict[str, np.ndarray] = {}
    for level in range(network.n_levels_):
        label_field = field_of(learned.recalled[level], BASE.units, cut.classes, cut.n_classes)
        scores[f"level {level + 1}"] = np.sum([label_field.scores(trace.codes[level]) for trace in read], axis=0)
    if len(scores) > 1:
        scores["levels 1 and 2"] = np.sum(list(scores.values()), axis=0)
    return {"tested": cut.tested, **scores}


def level_task(person: str, seed: int, levels: Levels) -> dict[str, Any]:
    """Arguments of :func:`level_fold`."""
    return {"out": [person], "seed": seed, "levels": asdict(levels)}


def conditions_of(name: str, levels: Levels) -> dict[str, str]:
    """What each kind of scores of a network is called in the table; the first level without H is one and the same in all."""
    if not levels.upper:
        return {"level 1": f"network: {name}"}
    found = {"level 2": f"network: level 2 alone, {name}", "levels 1 and 2": f"network: levels 1 and 2 added, {name}"}
    return ({"level 1": "network: level 1 alone"} if levels == Levels() else {}) | found
