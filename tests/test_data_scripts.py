"""The download scripts, against a server on this machine."""

import gzip
import importlib
import io
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from neuromem import datasets

pooch = pytest.importorskip("pooch", reason="the data scripts need the extra `data`")
SCRIPTS = Path(__file__).parent.parent / "data_scripts"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) + (1000 if self.path in self.server.cut else 0)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """Serves ``server.files`` (path to bytes); those in ``server.cut`` end early."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.files, found.cut, found.asked = {}, set(), []
    found.url = f"http://127.0.0.1:{found.server_address[1]}/data"
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def script(monkeypatch):
    """Imports a script as Python does when it is run: from its own folder."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def load(name):
        for module in (name, "fetch"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        return importlib.import_module(name)

    yield load
    for module in ("mnist", "omniglot", "weizmann", "fetch"):
        sys.modules.pop(module, None)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes(), 1, mtime=0)


def small_mnist():
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 256, (n, 28, 28)).astype(np.uint8) for n in (6, 3)]
    y = [rng.integers(0, 10, n).astype(np.uint8) for n in (6, 3)]
    return {"x_train": x[0], "y_train": y[0], "x_test": x[1], "y_test": y[1]}


def serve_mnist(server, module, arrays, monkeypatch):
    """Puts arrays on the server and tells the script their packed files' checksums."""
    import hashlib

    packed = {source: idx(arrays[name]) for source, name in module.NAMES.items()}
    server.files = {f"/data/{source}": data for source, data in packed.items()}
    monkeypatch.setattr(module, "SOURCES", {s: "sha256:" + hashlib.sha256(d).hexdigest() for s, d in packed.items()})


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_mnist_small(server, script, tmp_path, monkeypatch):
    module, arrays = script("mnist"), small_mnist()
    serve_mnist(server, module, arrays, monkeypatch)
    monkeypatch.setattr(module, "DIGESTS", {module.FILE: script("fetch").digest(arrays)})
    monkeypatch.setenv("NEUROMEM_DATA", str(tmp_path))
    assert module.main(["--base-url", server.url]) == 0
    assert files_in(tmp_path) == ["mnist/mnist.npz"]
    for found, wanted in zip(datasets.mnist(), arrays.values(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    asked = len(server.asked)
    assert module.main(["--base-url", server.url]) == 0 and len(server.asked) == asked  # there already
    assert module.main(["--base-url", server.url + "/", "--force"]) == 0 and len(server.asked) == 2 * asked


@pytest.mark.parametrize("fault", ["changed", "missing", "cut"])
def test_a_bad_download_leaves_what_was_there(server, script, tmp_path, monkeypatch, fault, caplog):
    module, arrays = script("mnist"), small_mnist()
    serve_mnist(server, module, arrays, monkeypatch)
    victim = "/data/t10k-images-idx3-ubyte.gz"
    if fault == "changed":
        server.files[victim] = server.files[victim][:-9] + b"x" * 9
    elif fault == "missing":
        del server.files[victim]
    else:
        server.cut.add(victim)
    old = tmp_path / "mnist" / "mnist.npz"
    old.parent.mkdir()
    old.write_bytes(b"old")
    assert module.main(["--base-url", server.url, "--out", str(tmp_path), "--force"]) == 1
    assert files_in(tmp_path) == ["mnist/mnist.npz"] and old.read_bytes() == b"old"
    assert "failed" in caplog.text


def test_arrays_that_are_not_the_published_ones_are_refused(server, script, tmp_path, monkeypatch, caplog):
    module = script("mnist")
    serve_mnist(server, module, small_mnist(), monkeypatch)
    assert module.main(["--base-url", server.url, "--out", str(tmp_path)]) == 1
    assert files_in(tmp_path) == [] and module.DIGESTS[module.FILE] in caplog.text


def test_no_server(script, tmp_path, server):
    url = server.url
    server.server_close()
    assert script("mnist").main(["--base-url", url, "--out", str(tmp_path)]) == 1
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        gzip.compress(b""),
        gzip.compress(b"\0\0\x08"),
        gzip.compress(b"\0\0\x0d\1\0\0\0\1x"),
        idx(np.zeros(5, np.uint8))[:-9],
    ],
    ids=["empty", "text", "nothing", "header", "floats", "cut"],
)
def test_bad_idx_files(script, tmp_path, content):
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    module = script("mnist")
    with pytest.raises(sys.modules["fetch"].ContentError, match=r"file\.gz"):
        module.read_idx(path)


@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1), (4,), (1, 1, 1, 1)])
def test_forged_idx_shapes(script, tmp_path, shape):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes() + b"abc"))
    module = script("mnist")
    with pytest.raises(sys.modules["fetch"].ContentError, match="header"):
        module.read_idx(path)


def test_as_a_user_runs_it(server, tmp_path):
    server.files = {"/data/train-images-idx3-ubyte.gz": b"something else"}
    command = [sys.executable, str(SCRIPTS / "mnist.py"), "--base-url", server.url, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "train-images-idx3-ubyte.gz" in done.stderr and "Traceback" not in done.stderr
    assert files_in(tmp_path) == []
    told = subprocess.run([*command[:2], "--help"], capture_output=True, text=True, check=True).stdout
    assert "--base-url" in told and "https://" in told


def png(ink):
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).convert("1").save(out, "png")
    return out.getvalue()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files, reverse=True):  # the order in an archive must not matter
            archive.writestr(name, files[name])
    return out.getvalue()


def pack_omniglot(background, runs):
    """The two archives as they are published, from the arrays."""
    images, alphabet, character, drawer = background
    drawings = {
        f"images_background_small1/{a}/character{c:02d}/{i:04d}_{d:02d}.png": png(image)
        for i, (image, a, c, d) in enumerate(zip(images, alphabet, character, drawer, strict=True))
    }
    items = {}
    for r, (train, test, answer) in enumerate(zip(*runs, strict=True), 1):
        top = f"run{r:02d}"
        for kind, pictures in (("training/class", train), ("test/item", test)):
            items |= {f"{top}/{kind}{i:02d}.png": png(picture) for i, picture in enumerate(pictures, 1)}
        lines = [f"{top}/test/item{j:02d}.png {top}/training/class{k + 1:02d}.png\n" for j, k in enumerate(answer, 1)]
        items[f"{top}/class_labels.txt"] = "".join(lines[::-1])
    return zipped(drawings), zipped(items)


def small_omniglot():
    rng = np.random.default_rng(1)
    pictures = rng.random((17, 105, 105)) < 0.1
    background = pictures[:5], ["Greek", "Greek", "Greek", "Latin", "Latin"], [1, 2, 2, 1, 1], [1, 1, 2, 1, 2]
    return background, (pictures[5:11].reshape(2, 3, 105, 105), pictures[11:].reshape(2, 3, 105, 105), [[2, 0, 1], [0, 2, 1]])


def test_omniglot_small(server, script, tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    module, (background, runs) = script("omniglot"), small_omniglot()
    packed = pack_omniglot(background, runs)
    server.files = {f"/data/{source}": data for source, data in zip(module.SOURCES, packed, strict=True)}
    assert module.main(["--base-url", server.url, "--out", str(tmp_path)]) == 1  # not the published arrays
    assert files_in(tmp_path) == []
    monkeypatch.setattr(sys.modules["fetch"], "digest", lambda arrays: "any")
    monkeypatch.setattr(module, "DIGESTS", dict.fromkeys(module.DIGESTS, "any"))
    assert module.main(["--base-url", server.url, "--out", str(tmp_path)]) == 0
    with np.load(tmp_path / module.BACKGROUND_FILE, allow_pickle=False) as file:
        for name, wanted in zip(("images", "alphabet", "character", "drawer"), background, strict=True):
            np.testing.assert_array_equal(file[name], wanted)
    with np.load(tmp_path / module.RUNS_FILE, allow_pickle=False) as file:
        for name, wanted in zip(("train", "test", "answer"), runs, strict=True):
            np.testing.assert_array_equal(file[name], wanted)


@pytest.mark.parametrize("content", [b"", b"no zip", zipped({"other.txt": "x"})], ids=["empty", "text", "other"])
def test_bad_omniglot_archives(server, script, tmp_path, content, caplog):
    module = script("omniglot")
    server.files = {f"/data/{source}": content for source in module.SOURCES}
    assert module.main(["--base-url", server.url, "--out", str(tmp_path)]) == 1
    assert files_in(tmp_path) == [] and "failed" in caplog.text


def test_published_mnist_goes_through(server, script, tmp_path, monkeypatch, mnist_data):
    module = script("mnist")
    serve_mnist(server, module, dict(zip(("x_train", "y_train", "x_test", "y_test"), mnist_data, strict=True)), monkeypatch)
    assert module.main(["--base-url", server.url, "--out", str(tmp_path)]) == 0  # with the script's own digest


def test_published_omniglot_goes_through(server, script, tmp_path, read_data):
    pytest.importorskip("PIL")
    background, runs = read_data(datasets.omniglot_background), read_data(datasets.omniglot_runs)
    module = script("omniglot")
    packed = pack_omniglot(background, runs)
    server.files = {f"/data/{source}": data for source, data in zip(module.SOURCES, packed, strict=True)}
    assert module.main(["--base-url", server.url, "--out", str(tmp_path)]) == 0  # with the script's own digests


def pack_masks(clips, dtype=np.uint8, compressed=False):
    """The authors' file: one stack of masks (rows, columns, frames) per clip, under the names they gave."""
    from scipy.io import savemat

    stacks = {name: np.asarray(frames).transpose(1, 2, 0).astype(dtype) for name, frames in clips.items()}
    out = io.BytesIO()
    savemat(out, {"aligned_masks": stacks, "original_masks": np.zeros(3)}, do_compression=compressed)
    return out.getvalue()


def tiny_weizmann(module):
    """The same clips, cut down to a few pixels."""
    return {name: frames[:, 40:60, 30:45] for name, frames in small_weizmann(module).items()}


def small_weizmann(module, rows=120, columns=95):
    """Every action of nine people, one of whom ran twice; the box that all of them fill is rows 15 to 109, columns 12 to 82."""
    rng = np.random.default_rng(2)
    people = ["daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar"]
    names = [
        f"{p}_{a}{take}" for p in people for a in module.ACTIONS for take in (("1", "2") if (p, a) == ("lena", "run") else ("",))
    ]
    clips = {}
    for name in names:
        frames = np.zeros((2 + rng.integers(3), rows, columns), np.uint8)
        frames[:, 15:110, 12:83] = rng.random((len(frames), 95, 71)) < 0.3
        clips[name] = frames
    clips["eli_walk"][:, [15, 109], [12, 82]] = 1
    return clips


@pytest.mark.parametrize("own_copy", [False, True])
def test_weizmann_small(server, script, tmp_path, monkeypatch, own_copy):
    module = script("weizmann")
    clips = small_weizmann(module)
    packed = pack_masks(clips)
    options = ["--base-url", server.url]
    if own_copy:
        (tmp_path / "mine.mat").write_bytes(packed)
        options = ["--file", str(tmp_path / "mine.mat")]
    else:
        server.files = {f"/data/{module.MASKS}": packed}
    monkeypatch.setenv("NEUROMEM_DATA", str(tmp_path / "out"))
    assert module.main(options) == 0 and len(server.asked) == (not own_copy)
    found = datasets.weizmann()
    assert len(found.length) == 91 and found.frames.shape[1:] == (112, 88)
    labels = list(zip(found.action.tolist(), found.person.tolist(), found.take.tolist(), strict=True))
    assert labels == sorted(labels)
    for c, (action, person, take) in enumerate(labels):
        frames = clips[f"{person}_{action}{ {'e01': '', 'e02': '1', 'e03': '2'}[take] }"]
        mine = found.frames[found.start[c] : found.start[c] + found.length[c]]
        np.testing.assert_array_equal(mine[:, 11:106, 10:81], frames[:, 15:110, 12:83])
        assert mine.sum() == frames.sum()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float64])
def test_masks_of_every_class(script, tmp_path, dtype, compressed):
    """MATLAB writes logical, whole or real masks, compressed since its version 7."""
    module = script("weizmann")
    clips = tiny_weizmann(module)
    path = tmp_path / "mine.mat"
    path.write_bytes(pack_masks(clips, dtype, compressed))
    expected = module.arrays_of({name: frames.transpose(1, 2, 0) for name, frames in clips.items()})
    found = module.arrays_of(module.masks_of(path))
    assert sys.modules["fetch"].digest(found) == sys.modules["fetch"].digest(expected)


def test_damaged_masks_are_refused_or_read(script, tmp_path):
    """Bytes changed or cut off: a clear error or masks, nothing else."""
    module = script("weizmann")
    rng = np.random.default_rng(0)
    clips = tiny_weizmann(module)
    path = tmp_path / "mine.mat"
    refused = 0
    for compressed in (False, True):
        packed = pack_masks(clips, compressed=compressed)
        for trial in range(40):
            damaged = bytearray(packed)
            damaged[rng.integers(1200 if trial % 2 else len(damaged))] = rng.integers(256)
            path.write_bytes(bytes(damaged[: rng.integers(len(damaged)) if trial % 8 == 0 else None]))
            try:
                assert module.arrays_of(module.masks_of(path))["frames"].shape[1:] == (112, 88)
            except sys.modules["fetch"].ContentError:
                refused += 1
    assert 20 < refused < 80


@pytest.mark.parametrize("odd", ["several structures", "cells", "a structure within", "text", "not a number", "one frame"])
def test_odd_masks(script, tmp_path, odd):
    from scipy.io import savemat

    module = script("weizmann")
    stacks = {name: frames.transpose(1, 2, 0) for name, frames in tiny_weizmann(module).items()}
    masks = stacks
    if odd == "several structures":
        masks = np.empty((1, 2), [(name, object) for name in stacks])
        masks[0] = tuple(stacks.values())
    elif odd == "cells":
        masks = np.empty((1, len(stacks)), object)
        masks[0] = list(stacks.values())
    elif odd == "a structure within":
        stacks["ido_run"] = {"masks": stacks["ido_run"]}
    elif odd == "text":
        stacks["ido_run"] = "masks"
    elif odd == "not a number":
        stacks["ido_run"] = stacks["ido_run"] * np.nan
    else:
        stacks["ido_run"] = stacks["ido_run"][:, :, 0]
    path = tmp_path / "mine.mat"
    savemat(path, {"aligned_masks": masks})
    with pytest.raises(sys.modules["fetch"].ContentError, match=r"mine\.mat|ido_run"):
        module.arrays_of(module.masks_of(path))


@pytest.mark.parametrize("fault", ["no file", "text", "no masks", "strange name", "somebody missing", "too wide", "no frames"])
def test_bad_masks(server, script, tmp_path, fault, caplog):
    from scipy.io import savemat

    module = script("weizmann")
    clips = small_weizmann(module)
    if fault == "strange name":
        clips["daria_swim"] = clips["daria_run"]
    elif fault == "somebody missing":
        del clips["ido_skip"]
    elif fault == "too wide":
        clips["ido_skip"][:, :, [0, -1]] = 1
    elif fault == "no frames":
        clips["ido_skip"] = np.zeros((2, 120, 95), np.uint8)
    packed = pack_masks(clips)
    if fault == "text":
        packed = b"nothing of the kind"
    elif fault == "no masks":
        out = io.BytesIO()
        savemat(out, {"other": np.zeros(3)})
        packed = out.getvalue()
    path = tmp_path / "mine.mat"
    if fault != "no file":
        path.write_bytes(packed)
    assert module.main(["--file", str(path), "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists() and "failed" in caplog.text and not server.asked


def test_published_silhouettes_go_through(script, tmp_path, read_data):
    found = read_data(datasets.weizmann)
    module = script("weizmann")
    takes = {"e01": "", "e02": "1", "e03": "2"}
    names = [f"{p}_{a}{takes[t]}" for a, p, t in zip(found.action, found.person, found.take, strict=True)]
    parts = [found.frames[s : s + n] for s, n in zip(found.start, found.length, strict=True)]
    arrays = module.arrays_of({name: part.transpose(1, 2, 0) for name, part in zip(names, parts, strict=True)})
    assert sys.modules["fetch"].digest(arrays) == module.KNOWN
