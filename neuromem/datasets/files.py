"""Where data sets lie, and readers that check what they read."""

import os
import zipfile
from pathlib import Path

import numpy as np

from neuromem.errors import FormatError, MissingDataError, MissingDependencyError


def data_folder() -> Path:
    """The folder named by ``NEUROMEM_DATA``, or the cache folder that the scripts in ``data_scripts`` fill."""
    chosen = os.environ.get("NEUROMEM_DATA")
    if chosen:
        return Path(chosen)
    try:
        import pooch
    except ImportError:
        return Path.home() / ".cache" / "neuromem"
    return Path(pooch.os_cache("neuromem"))


def locate(relative: str, *, script: str, size: str, licence: str) -> Path:
    """The path of a data file.

    Raises
    ------
    MissingDataError
        If it is not there; the message says which file, how to get it, its size and licence.
    """
    path = data_folder() / relative
    if not path.is_file():
        raise MissingDataError(
            f"{relative} is not in {data_folder()}: run `python data_scripts/{script}` ({size}, licence: {licence}), or set "
            "NEUROMEM_DATA to a folder that has it"
        )
    return path


def read_arrays(path: Path, shapes: dict[str, tuple[int, ...]]) -> list[np.ndarray]:
    """Arrays of an ``.npz`` file; ``shapes`` says which, and the axes they must have (-1: any length)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in shapes]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path.name}: {error}") from None
    for array, (name, shape) in zip(arrays, shapes.items(), strict=True):
        if array.ndim != len(shape) or any(want not in (-1, have) for have, want in zip(array.shape, shape, strict=True)):
            raise FormatError(f"{path.name}: {name} has shape {array.shape}, {shape} was expected")
    return arrays


def mnist() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The MNIST digits: 60,000 for training, 10,000 for testing.

    Returns
    -------
    x_train, y_train, x_test, y_test : uint8 (60000, 28, 28), (60000,), (10000, 28, 28), (10000,)
    """
    path = locate("mnist/mnist.npz", script="mnist.py", size="11 MB", licence="CC BY-SA 3.0 as usually stated")
    pixels = (-1, 28, 28)
    x_train, y_train, x_test, y_test = read_arrays(path, {"x_train": pixels, "y_train": (-1,), "x_test": pixels, "y_test": (-1,)})
    return x_train, y_train, x_test, y_test


def omniglot_runs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The twenty standard one-shot classification runs of Omniglot.

    Returns
    -------
    train, test : uint8 (20, 20, 105, 105), 1 = ink
    answer : int8 (20, 20)
        ``answer[r, j]`` is the item of ``train[r]`` of the same character as ``test[r, j]``.
    """
    path = locate("omniglot/omniglot_oneshot_runs.npz", script="omniglot.py", size="0.2 MB when converted", licence="MIT")
    train, test, answer = read_arrays(path, {"train": (20, 20, -1, -1), "test": (20, 20, -1, -1), "answer": (20, 20)})
    return train, test, answer


def omniglot_background() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Five alphabets of Omniglot: 136 characters, each by 20 drawers.

    Returns
    -------
    images : uint8 (2720, 105, 105), 1 = ink
    alphabet : str (2720,)
    character, drawer : int16 (2720,), from 1
    """
    relative = "omniglot/omniglot_background_small1.npz"
    path = locate(relative, script="omniglot.py", size="0.5 MB when converted", licence="MIT")
    shapes: dict[str, tuple[int, ...]] = {"images": (-1, 105, 105)}
    shapes |= dict.fromkeys(("alphabet", "character", "drawer"), (-1,))
    images, alphabet, character, drawer = read_arrays(path, shapes)
    return images, alphabet, character, drawer


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's embedded handwritten digits; no download.

    Returns
    -------
    images : uint8 (1797, 8, 8), grey levels 0 ... 255
    labels : int64 (1797,)

    Raises
    ------
    MissingDependencyError
        Without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(f'digits: {error}; pip install "neuromem[data]"') from None
    data = load_digits()
    return np.rint(data.images * (255 / 16)).astype(np.uint8), data.target.astype(np.int64)
