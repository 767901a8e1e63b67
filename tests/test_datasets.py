"""Readers of data sets: what they return, and what they say when a file is missing or damaged."""

import hashlib
import sys

import numpy as np
import pytest

from neuromem import MissingDataError, NeuromemError, datasets
from neuromem.errors import FormatError, MissingDependencyError

READERS = [
    (datasets.mnist, "mnist/mnist.npz", "mnist.py"),
    (datasets.omniglot_runs, "omniglot/omniglot_oneshot_runs.npz", "omniglot.py"),
    (datasets.omniglot_background, "omniglot/omniglot_background_small1.npz", "omniglot.py"),
    (datasets.weizmann, "weizmann/weizmann_silhouettes.npz", "weizmann.py"),
]
readers = pytest.mark.parametrize(("reader", "relative", "script"), READERS, ids=[r[0].__name__ for r in READERS])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROMEM_DATA", str(tmp_path))
    return tmp_path


@readers
def test_a_missing_file_is_named_with_script_size_and_licence(folder, reader, relative, script):
    with pytest.raises(MissingDataError) as caught:
        reader()
    told = str(caught.value)
    for word in (relative, str(folder), f"data_scripts/{script}", "MB", "licence", "NEUROMEM_DATA"):
        assert word in told
    assert isinstance(caught.value, (NeuromemError, FileNotFoundError))


@readers
@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"], ids=["empty", "text", "cut"])
def test_a_damaged_file_is_a_format_error(folder, reader, relative, script, content):
    path = folder / relative
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(FormatError, match=path.name):
        reader()


@readers
def test_missing_and_misshapen_arrays_are_format_errors(folder, reader, relative, script):
    path = folder / relative
    path.parent.mkdir(parents=True)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(FormatError, match=path.name):
        reader()
    names = ["x_train", "y_train", "x_test", "y_test", "train", "test", "answer", "images", "alphabet", "character", "drawer"]
    names += ["frames", "start", "length", "action", "person", "rep"]
    np.savez(path, **{name: np.zeros((1, 2, 3, 4, 5), np.uint8) for name in names})
    with pytest.raises(FormatError, match="shape"):
        reader()


def test_pickled_arrays_are_refused(folder):
    path = folder / "mnist" / "mnist.npz"
    path.parent.mkdir()
    np.savez(path, x_train=np.array([{}], dtype=object))
    with pytest.raises(FormatError):
        datasets.mnist()


def test_a_directory_in_the_file_s_place_counts_as_missing(folder):
    (folder / "mnist" / "mnist.npz").mkdir(parents=True)
    with pytest.raises(MissingDataError):
        datasets.mnist()


def test_without_a_named_folder_it_is_the_cache_folder(monkeypatch):
    monkeypatch.delenv("NEUROMEM_DATA", raising=False)
    assert datasets.data_folder().name == "neuromem"
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert datasets.data_folder().name == "neuromem"


def test_embedded_digits():
    from sklearn.datasets import load_digits

    images, labels = datasets.digits()
    data = load_digits()
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    assert images.shape == (1797, 8, 8) and images.min() == 0 and images.max() == 255
    np.testing.assert_array_equal(labels, data.target)
    assert abs(images / 255 * 16 - data.images).max() <= 0.5 / 255 * 16 + 1e-12


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependencyError, match=r"neuromem\[data\]"):
        datasets.digits()


def test_mnist_is_the_original(mnist_data):
    x_train, y_train, x_test, y_test = mnist_data
    assert [a.shape for a in mnist_data] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert all(a.dtype == np.uint8 for a in mnist_data)
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    idx = np.array([2051, 60000, 28, 28], ">u4").tobytes() + x_train.tobytes()
    assert hashlib.md5(idx).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"


def test_omniglot_shapes(read_data):
    train, test, answer = read_data(datasets.omniglot_runs)
    assert train.shape == test.shape == (20, 20, 105, 105) and set(np.unique(train)) == {0, 1}
    assert all(sorted(run) == list(range(20)) for run in answer.tolist())
    images, alphabet, character, drawer = read_data(datasets.omniglot_background)
    assert images.shape == (2720, 105, 105) and len(set(alphabet.tolist())) == 5
    assert len(set(zip(alphabet.tolist(), character.tolist(), strict=True))) == 136
    assert sorted(set(drawer.tolist())) == list(range(1, 21))
