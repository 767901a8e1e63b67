"""Fetch five Omniglot alphabets and the twenty one-shot runs into the data folder's ``omniglot``.

Lake, Salakhutdinov and Tenenbaum (2015), licence MIT.  Ink is grey below 128.
"""

import io
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fetch import ContentError, run

BASE_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
BACKGROUND, RUNS = "images_background_small1.zip", "one-shot-classification/all_runs.zip"
SOURCES = {BACKGROUND: None, RUNS: None}  # the arrays are checked after conversion
BACKGROUND_FILE, RUNS_FILE = "omniglot/omniglot_background_small1.npz", "omniglot/omniglot_oneshot_runs.npz"
DIGESTS = {
    BACKGROUND_FILE: "45b6ef497ef3219a08e4b42b9ca6e6d3caf4cabd0b642d50e30e29029f0e0478",
    RUNS_FILE: "5d89c2c157d87d4ba7700c94b1682eaeb851b9390bb9f1270f7a144a57eb0bb6",
}
DRAWING = re.compile(r"(?:^|/)([^/]+)/character(\d+)/\d+_(\d+)\.png$")
MOST_BYTES = 1 << 20  # of one picture or list, unpacked


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of an archive, unless it is unreasonably large."""
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ContentError(f"{name} unpacks to more than {MOST_BYTES} bytes")
    return archive.read(name)


def ink(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """A picture of an archive: uint8 (rows, columns), 1 = ink."""
    from PIL import Image  # comes with scikit-image

    with Image.open(io.BytesIO(member(archive, name))) as picture:
        return (np.asarray(picture.convert("L")) < 128).astype(np.uint8)


def read_background(path: Path) -> dict[str, np.ndarray]:
    """Every drawing with its alphabet, character and drawer, sorted by them."""
    with zipfile.ZipFile(path) as archive:
        found = [(match, name) for name in archive.namelist() if (match := DRAWING.search(name))]
        drawings = sorted((match[1], int(match[2]), int(match[3]), name) for match, name in found)
        if not drawings:
            raise ContentError(f"{path.name} has no alphabet/character/drawing.png")
        images = np.stack([ink(archive, name) for *_, name in drawings])
    alphabet, character, drawer, _ = zip(*drawings, strict=True)
    numbers = {"character": np.array(character, np.int16), "drawer": np.array(drawer, np.int16)}
    return {"images": images, "alphabet": np.array(alphabet), **numbers}


def read_runs(path: Path) -> dict[str, np.ndarray]:
    """Training and test items of each run, and which training item each test item belongs to."""
    train, test, answer = [], [], []
    with zipfile.ZipFile(path) as archive:
        lists = sorted(name for name in archive.namelist() if re.search(r"(?:^|/)run\d+/class_labels\.txt$", name))
        if not lists:
            raise ContentError(f"{path.name} has no run/class_labels.txt")
        for name in lists:
            lines = [line.split() for line in member(archive, name).decode().splitlines() if line.strip()]
            if any(len(line) != 2 for line in lines):
                raise ContentError(f"{name}: two names per line were expected")
            top = name.rpartition("/")[0].rpartition("run")[0]
            pairs = sorted((top + item, top + cls) for item, cls in lines)
            classes = sorted(cls for _, cls in pairs)
            test.append([ink(archive, item) for item, _ in pairs])
            train.append([ink(archive, cls) for cls in classes])
            answer.append([classes.index(cls) for _, cls in pairs])
    return {"train": np.array(train), "test": np.array(test), "answer": np.array(answer, np.int8)}


def convert(paths: dict[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of both files."""
    return {BACKGROUND_FILE: read_background(paths[BACKGROUND]), RUNS_FILE: read_runs(paths[RUNS])}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    text = (__doc__ or "").partition("\n")[0]
    return run(argv, description=text, base_url=BASE_URL, sources=SOURCES, convert=convert, digests=DIGESTS)


if __name__ == "__main__":
    sys.exit(main())
