"""What the scripts beside this file share: arguments, checked downloads, checked and atomic writing."""

import argparse
import hashlib
import logging
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pooch

from neuromem.datasets import data_folder

LOGGER = logging.getLogger("neuromem.data_scripts")
SECONDS_WITHOUT_A_BYTE = 60
Convert = Callable[[dict[str, Path]], dict[str, dict[str, np.ndarray]]]


class ContentError(ValueError):
    """What was downloaded is not what was expected."""


def download(url: str, known_hash: str | None, folder: Path) -> Path:
    """Fetch one file into ``folder``.

    Parameters
    ----------
    url : str
    known_hash : str or None
        ``"sha256:..."`` or ``"md5:..."``; None where only the converted arrays have a published checksum.
    folder : Path

    Raises
    ------
    ValueError
        If the checksum differs.
    OSError
        If the server does not answer, or not with the file.
    """
    LOGGER.info("fetching %s", url)
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=SECONDS_WITHOUT_A_BYTE)
    name = url.rpartition("/")[2]
    return Path(pooch.retrieve(url, known_hash, fname=name, path=folder, downloader=downloader))


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes: the same however an archive was packed.

    Examples
    --------
    >>> digest({"a": np.zeros(2, np.uint8)})[:8]
    '3598b269'
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def run(
    argv: Sequence[str] | None,
    *,
    description: str,
    base_url: str,
    sources: Mapping[str, str | None],
    convert: Convert,
    digests: Mapping[str, str | None],
    own_copy: str = "",
) -> int:
    """Download the sources, convert them, check what came out and write it; the exit code.

    Parameters
    ----------
    argv : sequence of str or None
    description, base_url : str
    sources : mapping
        Path below ``base_url`` to checksum or None.
    convert : callable
        From the paths of the sources to arrays by the path of the file that they go into.
    digests : mapping
        Path of each file to :func:`digest` of its arrays; None where ``convert`` itself checks them.
    own_copy : str, default ""
        What a copy that the user has already is called in the help of ``--file``; only where there is one source.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--base-url", default=base_url, help="where the files are (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=None, help="data folder (default: NEUROMEM_DATA or the cache folder)")
    parser.add_argument("--force", action="store_true", help="fetch again what is there already")
    if own_copy:
        parser.add_argument("--file", type=Path, default=None, help=f"{own_copy}, instead of fetching it")
    options = parser.parse_args(argv)
    copy: Path | None = getattr(options, "file", None)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    out = data_folder() if options.out is None else options.out
    if not options.force and copy is None and all((out / relative).is_file() for relative in digests):
        LOGGER.info("%s: there already (--force fetches again)", ", ".join(str(out / relative) for relative in digests))
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = {}
            for number, (source, known_hash) in enumerate(sources.items()):
                url = f"{options.base_url.rstrip('/')}/{source}"
                paths[source] = copy or download(url, known_hash, Path(folder) / str(number))
            files = convert(paths)
            for relative, arrays in files.items():
                found = digest(arrays)
                if digests[relative] not in (None, found):
                    raise ContentError(f"{relative}: the arrays' SHA-256 is {found}, {digests[relative]} was expected")
            for relative, arrays in files.items():
                write(out / relative, arrays)
                LOGGER.info("wrote %s", out / relative)
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:  # requests' errors are OSErrors
        LOGGER.error("failed: %s", error)
        return 1
    return 0
