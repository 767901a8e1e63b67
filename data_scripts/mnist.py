"""Fetch the MNIST digits (11 MB) into the data folder as ``mnist/mnist.npz``.

LeCun, Cortes and Burges published them for research; the licence is usually stated as CC BY-SA 3.0.
"""

import gzip
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fetch import ContentError, run

BASE_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
SOURCES = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
NAMES = dict(zip(SOURCES, ("x_train", "y_train", "x_test", "y_test"), strict=True))
FILE = "mnist/mnist.npz"
DIGESTS = {FILE: "8fc8fc4f0343f34ece1fcfdfb65f0801fac48030ce7c70e62bbb62f64ee2e65b"}
MOST_BYTES = 1 << 26


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of a gzipped idx file.

    Raises
    ------
    ContentError
        If it is damaged, of another type, or unreasonably large.
    """
    try:
        with gzip.open(path) as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ContentError(f"{path.name}: {error}") from None
    if len(data) > MOST_BYTES or len(data) < 4 or data[:3] != b"\0\0\x08":
        raise ContentError(f"{path.name} is not an idx file of bytes")
    start = 4 + 4 * data[3]
    shape = np.frombuffer(data[4:start].ljust(4 * data[3], b"\0"), ">u4").tolist()
    pixels = np.frombuffer(data, np.uint8, offset=min(start, len(data)))
    if pixels.size != np.prod(shape, dtype=object):
        raise ContentError(f"{path.name} has {pixels.size} values, its header says {shape}")
    return pixels.reshape(shape)


def convert(paths: dict[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of ``mnist/mnist.npz``."""
    return {FILE: {NAMES[source]: read_idx(path) for source, path in paths.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    text = (__doc__ or "").partition("\n")[0]
    return run(argv, description=text, base_url=BASE_URL, sources=SOURCES, convert=convert, digests=DIGESTS)


if __name__ == "__main__":
    sys.exit(main())
