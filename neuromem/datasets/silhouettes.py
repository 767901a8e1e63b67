"""Reader of the Weizmann actions: silhouettes of nine people, ten actions each."""

from dataclasses import dataclass

import numpy as np

from neuromem.datasets.files import locate, read_arrays
from neuromem.errors import FormatError

RELATIVE = "weizmann/weizmann_silhouettes.npz"


@dataclass(frozen=True, slots=True)
class Weizmann:
    """Silhouettes of all clips, one after the other.

    Parameters
    ----------
    frames : uint8 (n_frames, rows, columns)
        1 = person; 5,687 frames of 112 x 88 in the published set.
    start, length : int64 (n_clips,)
        Clip i is ``frames[start[i] : start[i] + length[i]]``.
    action, person, take : str (n_clips,)
        Ten actions, nine people; one of them has two takes of three actions, hence 93 clips.
    """

    frames: np.ndarray
    start: np.ndarray
    length: np.ndarray
    action: np.ndarray
    person: np.ndarray
    take: np.ndarray

    @property
    def clip_of_frame(self) -> np.ndarray:
        """Number of each frame's clip, int64 (n_frames,)."""
        return np.repeat(np.arange(len(self.length)), self.length)


def weizmann() -> Weizmann:
    """The Weizmann actions (Gorelick, Blank, Shechtman, Irani and Basri, PAMI 2007), as aligned silhouettes.

    The person's travel across the scene was taken out by the authors; there are no grey levels.  About 25 frames a second.

    Returns
    -------
    Weizmann

    Raises
    ------
    MissingDataError
        If the file is not there.
    FormatError
        If it is damaged, or clips do not follow each other.
    """
    path = locate(RELATIVE, script="weizmann.py", size="0.7 MB when converted", licence="research data, cite the paper")
    shapes: dict[str, tuple[int, ...]] = {"frames": (-1, -1, -1)}
    shapes |= dict.fromkeys(("start", "length", "action", "person", "rep"), (-1,))
    frames, start, length, action, person, take = read_arrays(path, shapes)
    if frames.dtype != np.uint8 or (frames.size and frames.max() > 1):
        raise FormatError(f"{path.name}: frames are {frames.dtype}, uint8 of 0 and 1 were expected")
    n_clips = len(length)
    if any(len(array) != n_clips for array in (start, action, person, take)):
        raise FormatError(f"{path.name}: clips have {len(start)} starts, {n_clips} lengths and {len(action)} actions")
    if start.dtype.kind not in "iu" or length.dtype.kind not in "iu" or any(a.dtype.kind != "U" for a in (action, person, take)):
        raise FormatError(f"{path.name}: whole numbers for start and length and text for the rest were expected")
    start, length = start.astype(np.int64), length.astype(np.int64)
    if (length < 1).any() or (start != np.cumsum(length) - length).any() or length.sum() != len(frames):
        raise FormatError(f"{path.name}: start and length do not cut {len(frames)} frames into clips that follow each other")
    return Weizmann(frames, start, length, action, person, take)
