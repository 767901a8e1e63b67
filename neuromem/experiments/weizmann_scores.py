"""From scores of frames to shares of clips and of stretches of clips, and what a design has over its rival."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neuromem.datasets import Weizmann
from neuromem.experiments.result import Result
from neuromem.experiments.weizmann_folds import WINDOWS


def whole(folds: Sequence[Mapping[str, np.ndarray]], clips: Weizmann) -> dict[str, np.ndarray]:
    """Scores of all tested frames in their places, NaN elsewhere; float64 (n_frames, n_classes) each."""
    n_classes = len(np.unique(clips.action))
    joined = {}
    for name in folds[0]:
        if name != "tested":
            joined[name] = np.full((len(clips.frames), n_classes), np.nan)
            for fold in folds:
                joined[name][fold["tested"]] = fold[name]
    return joined


def by_seed(folds: Sequence[Mapping[str, np.ndarray]], n_seeds: int, clips: Weizmann) -> list[dict[str, np.ndarray]]:
    """Folds of all people, seed after seed, as whole sets of scores."""
    n = len(folds) // n_seeds
    return [whole(folds[i * n : (i + 1) * n], clips) for i in range(n_seeds)]


def tested_clips(scores: np.ndarray, clips: Weizmann) -> list[tuple[int, np.ndarray]]:
    """Number and scores of every clip that was tested."""
    parts = [(c, scores[clips.start[c] : clips.start[c] + clips.length[c]]) for c in range(len(clips.length))]
    return [(c, part) for c, part in parts if not np.isnan(part[0, 0])]


def sub_clip_accuracy(scores: np.ndarray, clips: Weizmann, window: int) -> float:
    """Share of stretches of ``window`` frames, each decided by itself, that are named rightly: a mean over clips."""
    y = np.unique(clips.action, return_inverse=True)[1]
    shares = []
    for c, part in tested_clips(scores, clips):
        total = np.concatenate([np.zeros((1, part.shape[1])), np.cumsum(part, axis=0)])
        sums = total[window:] - total[:-window] if len(part) >= window else total[-1:]
        shares.append(float((sums.argmax(axis=1) == y[c]).mean()))
    return float(np.mean(shares))


def decisions(scores: np.ndarray, clips: Weizmann) -> tuple[np.ndarray, np.ndarray]:
    """Class of every tested clip by the sum over its frames, and the right one; int64 (n,) each."""
    y = np.unique(clips.action, return_inverse=True)[1]
    parts = tested_clips(scores, clips)
    return np.array([part.sum(axis=0).argmax() for _, part in parts]), y[[c for c, _ in parts]]


def name_of_window(window: int) -> str:
    """The metric of sub-clips of so many frames."""
    return f"sub-clips of {window} frame{'s' * (window > 1)}, accuracy"


def add_accuracies(result: Result, name: str, runs: list[np.ndarray], clips: Weizmann, **columns: Any) -> None:
    """Rows of whole clips and of each length of sub-clips."""
    right = [[int((named == y).sum()) for named, y in [decisions(scores, clips)]][0] for scores in runs]
    n = len(tested_clips(runs[0], clips))
    result.add(name, "clips right", right, n, **columns)
    result.add(name, "clips, accuracy", [count / n for count in right], n, **columns)
    for window in WINDOWS:
        shares = [sub_clip_accuracy(scores, clips, window) for scores in runs]
        result.add(name, name_of_window(window), shares, n, **columns)


def add_differences(result: Result, name: str, runs: list[np.ndarray], rival: np.ndarray, clips: Weizmann) -> None:
    """Rows of accuracies less the rival's: the mean over people, who are what was drawn, with Student's interval."""
    people = np.unique(clips.person)
    of_frame = clips.person[clips.clip_of_frame]
    for window in WINDOWS:
        ahead = []
        for person in people:
            mine = (of_frame == person)[:, None]
            ours = [sub_clip_accuracy(np.where(mine, scores, np.nan), clips, window) for scores in runs]
            ahead.append(float(np.mean(ours)) - sub_clip_accuracy(np.where(mine, rival, np.nan), clips, window))
        row = result.add(name, name_of_window(window).replace("accuracy", "ahead of 1-nearest-neighbour"), ahead, len(people))
        row.seeds = len(runs)
