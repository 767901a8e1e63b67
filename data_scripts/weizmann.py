"""Fetch the Weizmann actions' silhouettes into the data folder as ``weizmann/weizmann_silhouettes.npz``.

The authors' own mask file (Gorelick, Blank, Shechtman, Irani and Basri, PAMI 2007; research data, cite the paper) holds one
stack of aligned masks per clip.  Who has it already names it with ``--file``.
"""

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fetch import ContentError, digest, run

from neuromem.datasets.silhouettes import RELATIVE as FILE

LOGGER = logging.getLogger("neuromem.data_scripts")
BASE_URL = "https://www.wisdom.weizmann.ac.il/~vision/VideoAnalysis/Demos/SpaceTimeActions/DB/"
MASKS = "classification_masks.mat"
SOURCES = {MASKS: None}  # no checksum was published
ACTIONS = ("bend", "jack", "jump", "pjump", "run", "side", "skip", "walk", "wave1", "wave2")
CLIP = re.compile(rf"([a-z]+)_({'|'.join(ACTIONS)})(\d?)$")
N_PEOPLE = 9
WINDOW, FIRST = (112, 88), (11, 10)  # rows and columns kept; where in them the people's common box begins
# Of the arrays that the library's figures were made with, which were rebuilt from published outlines of the same masks.
KNOWN = "02df886e5700fc889faa35b09c1dd3a935556919499a03011c3f0e6a2d0e5ee7"


def masks_of(path: Path) -> dict[str, np.ndarray]:
    """Each clip's aligned masks, (rows, columns, frames), by the name that the authors gave it.

    Raises
    ------
    ContentError
        If it is no such file.
    """
    from scipy.io import loadmat

    try:
        found: Any = loadmat(path, variable_names=["aligned_masks"])["aligned_masks"]
        clips = found.reshape(1)[0]  # one structure, not several
        return {name: np.asarray(clips[name]) for name in found.dtype.names}
    except Exception as error:  # a damaged file makes SciPy raise nearly anything
        raise ContentError(f"{path.name} has no aligned_masks: {type(error).__name__} {error}") from None


def box_of(masks: Sequence[np.ndarray]) -> tuple[slice, slice]:
    """The window around everything that any mask covers.

    Raises
    ------
    ContentError
        If it does not hold all of it.
    """
    window = []
    for axis in (0, 1):
        covered = [np.flatnonzero(mask.any(axis=(1 - axis, 2))) for mask in masks]
        low, high = min(int(c[0]) for c in covered), max(int(c[-1]) for c in covered)
        start = low - FIRST[axis]
        if high >= start + WINDOW[axis]:
            raise ContentError(f"masks cover {low} to {high} along axis {axis}, more than a window of {WINDOW[axis]} holds")
        window.append(slice(start, start + WINDOW[axis]))
    return window[0], window[1]


def cut(mask: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    """Frames of a clip within the window, uint8 (frames, rows, columns); zeros beyond the mask's edge."""
    out = np.zeros((mask.shape[2], *WINDOW), np.uint8)
    inside = [slice(max(0, part.start), min(size, part.stop)) for part, size in zip(window, mask.shape, strict=False)]
    place = [slice(part.start - w.start, part.stop - w.start) for part, w in zip(inside, window, strict=True)]
    out[:, place[0], place[1]] = (mask[inside[0], inside[1]] != 0).transpose(2, 0, 1)
    return out


def arrays_of(masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of the file: clips sorted by action, person and take.

    Raises
    ------
    ContentError
        If clips are missing, have strange names, or are no stacks of masks.
    """
    clips = []
    for name, mask in masks.items():
        match = CLIP.match(name)
        if match is None or mask.ndim != 3 or mask.dtype.kind not in "biuf" or not mask.any() or not np.isfinite(mask).all():
            raise ContentError(f"{name} of shape {mask.shape} is no clip of masks called person_action")
        person, action, take = match.groups()
        clips.append((action, person, f"e{int(take or 0) + 1:02d}", mask))
    clips.sort(key=lambda clip: clip[:3])
    present = {clip[:2] for clip in clips}
    people = {person for _, person in present}
    if len(people) != N_PEOPLE or len(present) != N_PEOPLE * len(ACTIONS):
        raise ContentError(f"{len(present)} actions of {len(people)} people were found, ten each of nine were expected")
    window = box_of([clip[3] for clip in clips])
    stacks = [cut(clip[3], window) for clip in clips]
    length = np.array([len(stack) for stack in stacks], np.int64)
    names = {key: np.array([clip[i] for clip in clips]) for i, key in enumerate(("action", "person", "rep"))}
    return {"frames": np.concatenate(stacks), "start": np.cumsum(length) - length, "length": length, **names}


def convert(paths: dict[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of ``weizmann/weizmann_silhouettes.npz``."""
    arrays = arrays_of(masks_of(paths[MASKS]))
    same = "the same as" if digest(arrays) == KNOWN else "not byte for byte"
    LOGGER.info(
        "%d clips, %d frames: %s the arrays behind the library's figures", len(arrays["length"]), len(arrays["frames"]), same
    )
    return {FILE: arrays}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    text = (__doc__ or "").partition("\n")[0]
    files = {"sources": SOURCES, "digests": {FILE: None}}
    return run(argv, description=text, base_url=BASE_URL, convert=convert, own_copy=f"a copy of {MASKS}", **files)


if __name__ == "__main__":
    sys.exit(main())
