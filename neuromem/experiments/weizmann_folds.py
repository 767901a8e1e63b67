"""What one worker does with the Weizmann clips: encode them, store all people but some in one presentation, score the rest."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from neuromem import SparseyLayer
from neuromem.datasets import Weizmann, weizmann
from neuromem.sparsey import ActiveRows, LabelField
from neuromem.sparsey.encode import change_maps, deviation_maps, normalize_silhouettes, oriented_edges

SIDE, EDGE_THRESHOLD = 40, 40.0
EDGES, CHANGES, DEVIATIONS = 8, 6, 4  # maps of each kind
GRIDS = {"14/6": (14, 6), "10/5": (10, 5), "20/10": (20, 10)}  # receptive field and stride
SMOOTHING = 0.1
NET: dict[str, Any] = {"u_exponent": 8.0, "freeze": "cell", "activation_bounds": (3, None)}
WINDOWS = (1, 5, 10, 20)  # frames of a sub-clip
READOUTS = ("counts", "binary")
MORE_READOUTS = (*READOUTS, "delta", "delta twice", "second look")
MIRRORED = 1_000_000  # added to a frame's number to name its mirror image
DEVIATION_MAPS = ("edges", "changes", "deviations")


@dataclass(frozen=True)
class Design:
    """One row's settings; the defaults are the design that the others are compared with."""

    grids: tuple[str, ...] = ("14/6", "10/5")
    units: int = 128  # per module
    modules: int = 8
    saturation: float = 0.08  # share of its weights at which a cell stops learning
    order: str = "time"  # of the frames within a clip, or "interleaved" over all clips
    normalised: str = "clip"  # "clip", "causal" or "no"
    mirror: bool = True
    maps: tuple[str, ...] = ("edges", "changes")
    permuted: bool = False  # labels of the training clips, as a control
    n_teachers: int = 8  # people learned from
    readouts: tuple[str, ...] = READOUTS


@dataclass
class Fold:
    """What a fold learned from and what it says, for inspection: frame numbers, layers, scores of the tested frames."""

    learned: np.ndarray  # frame numbers in the order of presentation, mirror images with MIRRORED added
    tested: np.ndarray
    scores: dict[str, np.ndarray]
    layers: list[SparseyLayer] = field(default_factory=list)


@lru_cache(maxsize=1)
def data() -> Weizmann:
    """The clips, read once per worker."""
    return weizmann()


def pictures_of(clips: Weizmann, normalised: str) -> np.ndarray:
    """Grey pictures uint8 (n_frames, 40, 40), of one size and place or only shrunk."""
    if normalised != "no":
        return normalize_silhouettes(clips.frames, clips.length, (SIDE, SIDE), causal=normalised == "causal")
    import cv2

    return np.stack([cv2.resize(frame * 255, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in clips.frames])


def encoded(pictures: np.ndarray, length: np.ndarray, maps: tuple[str, ...]) -> np.ndarray:
    """Binary maps of pictures, uint8 (n_frames, n_maps * 1600); ``length`` holds the frames of each clip."""
    found = []
    if "edges" in maps:
        found.append(oriented_edges(pictures, EDGES, EDGE_THRESHOLD))
    if "changes" in maps:
        found.append(change_maps(pictures, length))
    if "deviations" in maps:
        found.append(deviation_maps(pictures, length))
    return np.concatenate(found, axis=1)


@lru_cache(maxsize=5)
def film(normalised: str, maps: tuple[str, ...]) -> ActiveRows:
    """Every frame of every clip as a binary item, then every frame's mirror image."""
    clips = data()
    pictures = pictures_of(clips, normalised)
    sides = (pictures, np.ascontiguousarray(pictures[:, :, ::-1]))
    return joined([ActiveRows.from_dense(encoded(side, clips.length, maps)) for side in sides])


def joined(parts: list[ActiveRows]) -> ActiveRows:
    """Several lists of items as one."""
    starts = np.cumsum([0] + [len(part.indices) for part in parts])
    bounds = [part.indptr[1:] + start for part, start in zip(parts, starts, strict=False)]
    return ActiveRows(
        np.concatenate([part.indices for part in parts]),
        np.concatenate([np.zeros(1, np.int64), *bounds]),
        parts[0].n_features,
    )


def chosen(items: ActiveRows, which: np.ndarray) -> ActiveRows:
    """Items by number, in the order given."""
    counts = np.diff(items.indptr)[which]
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
    return ActiveRows(items.indices[np.repeat(items.indptr[which], counts) + within], bounds, items.n_features)


def presentation_order(clips: Weizmann, learned: np.ndarray, design: Design, rng: np.random.Generator) -> np.ndarray:
    """Frame numbers as they are shown once each: clips at random, each mirrored clip one more, frames in time order."""
    shown = [(c, side) for c in learned.tolist() for side in ((0, MIRRORED) if design.mirror else (0,))]
    parts = [np.arange(clips.length[c]) + clips.start[c] + side for c, side in (shown[i] for i in rng.permutation(len(shown)))]
    frames = np.concatenate(parts)
    return rng.permutation(frames) if design.order == "interleaved" else frames


def positions(frames: np.ndarray, n_frames: int) -> np.ndarray:
    """Where frames, mirrored or not, stand among the items of :func:`film`."""
    return np.where(frames >= MIRRORED, frames - MIRRORED + n_frames, frames)


def layer_of(grid: str, design: Design, seed: int) -> SparseyLayer:
    """A grid of macs over all maps, no weight shared between them."""
    size, stride = GRIDS[grid]
    shape = ((SIDE, SIDE), n_maps_of(design.maps), (size, size), (stride, stride), design.modules, design.units)
    return SparseyLayer(*shape, saturation_limit=design.saturation, random_state=seed, **NET)


def n_maps_of(maps: tuple[str, ...]) -> int:
    """How many maps an item has."""
    return sum(n for name, n in (("edges", EDGES), ("changes", CHANGES), ("deviations", DEVIATIONS)) if name in maps)


def field_of(codes: np.ndarray, units: int, classes: np.ndarray, n_classes: int, readout: str = "counts") -> LabelField:
    """A label field, learned from codes (n, n_macs, n_modules) in their order."""
    found = LabelField(codes.shape[1] * codes.shape[2], units, n_classes, readout.split()[0], SMOOTHING)
    for _ in range(2 if readout == "delta twice" else 1):
        found.learn(codes, classes)
    return found


@dataclass(frozen=True)
class Cut:
    """A fold's part in the clips: what is learned and what is tested."""

    learned: np.ndarray  # frame numbers in the order of presentation, mirror images with MIRRORED added
    classes: np.ndarray  # of the frames learned
    tested: np.ndarray  # frame numbers
    shown: ActiveRows  # items of the frames learned
    cues: dict[str, ActiveRows]  # items of the frames tested, by side
    n_classes: int


def cut_of(out: tuple[str, ...], seed: int, design: Design) -> Cut:
    """Everybody's clips but those of ``out`` in an order drawn from the seed, and those of ``out``."""
    clips = data()
    names, y = np.unique(clips.action, return_inverse=True)
    items = film(design.normalised, design.maps)
    rng = np.random.default_rng([seed, *(int(p) for p in np.flatnonzero(np.isin(np.unique(clips.person), out)))])
    teachers = np.setdiff1d(np.unique(clips.person), out)
    teachers = rng.permutation(teachers)[: design.n_teachers] if design.n_teachers < len(teachers) else teachers
    learned_clips = np.flatnonzero(np.isin(clips.person, teachers))
    label_of_clip = y.copy()
    if design.permuted:
        label_of_clip[learned_clips] = rng.permutation(y[learned_clips])
    learned = presentation_order(clips, learned_clips, design, rng)
    of_frame = clips.clip_of_frame
    tested = np.flatnonzero(np.isin(clips.person[of_frame], out))
    n = len(of_frame)
    cues = {"plain": chosen(items, tested)}
    if design.mirror:
        cues["mirrored"] = chosen(items, tested + n)
    classes = label_of_clip[of_frame[learned % MIRRORED]]
    return Cut(learned, classes, tested, chosen(items, positions(learned, n)), cues, len(names))


def fit_fold(out: tuple[str, ...], seed: int, design: Design) -> Fold:
    """Learn every clip of all people but those ``out`` once, then score the frames of those.

    Scores are float64 (n_tested, n_classes) by "grid readout side": of each frame alone ("plain") and with its mirror image's
    added ("both").
    """
    cut = cut_of(out, seed, design)
    fold = Fold(cut.learned, cut.tested, {})
    for grid in design.grids:
        layer = layer_of(grid, design, seed)
        codes = layer.present(cut.shown, True, familiarity=False).codes  # the argmax before each write
        read = {side: layer.present(cues, False, familiarity=False).codes for side, cues in cut.cues.items()}
        for readout in design.readouts:
            taught, rule = codes, readout
            if readout == "second look":
                taught, rule = layer.present(cut.shown, False, familiarity=False).codes, "counts"
            label_field = field_of(taught, design.units, cut.classes, cut.n_classes, rule)
            for side, found in read.items():
                fold.scores[f"{grid} {readout} {side}"] = label_field.scores(found)
        fold.layers.append(layer)
    for readout in design.readouts:
        add_together(fold.scores, design.grids, readout)
    return fold


def add_together(scores: dict[str, np.ndarray], grids: tuple[str, ...], readout: str) -> None:
    """Log-odds of several grids and of both sides are added."""
    for side in ("plain", "mirrored"):
        if len(grids) > 1 and f"{grids[0]} {readout} {side}" in scores:
            scores[f"all {readout} {side}"] = np.sum([scores[f"{grid} {readout} {side}"] for grid in grids], axis=0)
    for grid in (*grids, "all"):
        mirrored = scores.pop(f"{grid} {readout} mirrored", None)
        if mirrored is not None:
            scores[f"{grid} {readout} both"] = scores[f"{grid} {readout} plain"] + mirrored


def run_fold(out: list[str], seed: int, design: dict[str, Any]) -> dict[str, np.ndarray]:
    """A task for :func:`neuromem.sweep.run_tasks`: scores of the tested frames."""
    settings: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in design.items()}
    fold = fit_fold(tuple(out), seed, Design(**settings))
    return {"tested": fold.tested, **fold.scores}


def nearest_neighbour(out: list[str], normalised: str, mirror: bool, maps: list[str]) -> dict[str, np.ndarray]:
    """A task: votes of the frames' nearest neighbours (cosine) among the same items that a net would have learned."""
    from scipy.sparse import csr_matrix

    clips = data()
    names, y = np.unique(clips.action, return_inverse=True)
    items = film(normalised, tuple(maps))
    of_frame = clips.clip_of_frame
    n = len(of_frame)
    is_out = np.isin(clips.person[of_frame], out)
    learned, tested = np.flatnonzero(~is_out), np.flatnonzero(is_out)
    stored = np.concatenate([learned, learned + n]) if mirror else learned
    lengths = np.sqrt(np.maximum(np.diff(items.indptr), 1)).astype(np.float32)
    values = np.repeat(1 / lengths, np.diff(items.indptr))
    table = csr_matrix((values, items.indices, items.indptr), shape=(len(items), items.n_features))
    similarity = np.asarray((table[tested] @ table[stored].T).todense())
    votes = np.zeros((len(tested), len(names)))
    votes[np.arange(len(tested)), y[of_frame[stored[similarity.argmax(axis=1)] % n]]] = 1
    return {"tested": tested, "votes": votes}
