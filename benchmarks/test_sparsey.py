"""Sparsey's hot loops, each beside a rival that does the same work, in one run: a group is a row of the table.

A benchmark named ``test_..._rival`` is the rival of the one in its group without that ending.  ``extra_info`` has ``items``,
the number of items that one round works on, and ``rival``, its name in the table.
"""

import numpy as np
import pytest

from neuromem import SparseyMac
from neuromem.sparsey import ActiveRows, LabelField, encode
from neuromem.sparsey.encode import OrientedEdgeEncoder
from neuromem.sparsey.reference import ReferenceMac
from neuromem.sparsey.reference_encode import deskew as plain_deskew
from neuromem.sparsey.reference_encode import oriented_edges as plain_edges

N_INPUTS, N_ACTIVE = 384, 24
SHAPES = [(24, 32), (100, 20), (100, 100)]


def random_items(n, seed=0):
    rng = np.random.default_rng(seed)
    items = np.zeros((n, N_INPUTS), np.uint8)
    np.put_along_axis(items, rng.random((n, N_INPUTS)).argpartition(N_ACTIVE, axis=1)[:, :N_ACTIVE], 1, axis=1)
    return items


def pictures(n):
    """Strokes like a digit's: smooth noise, dark for the most part."""
    rng = np.random.default_rng(2)
    rough = rng.random((n, 7, 7))
    smooth = np.kron(rough, np.ones((4, 4)))
    smooth = (smooth + np.roll(smooth, 1, axis=1) + np.roll(smooth, 1, axis=2) + np.roll(smooth, 2, axis=2)) / 4
    return np.clip((smooth - 0.5) * 800, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("n_modules", "units"), SHAPES)
def test_accumulate_and_choose(benchmark, one_thread, n_modules, units):
    mac = SparseyMac(N_INPUTS, n_modules, units, freeze=None, random_state=0)
    mac.write(random_items(4 * units, seed=1))  # a fifth of the weights set
    items = ActiveRows.from_dense(random_items(2000))
    benchmark.group = f"accumulate and winner, one mac, 384 inputs, 24 active, Q {n_modules}, K {units}, one thread"
    benchmark.extra_info["items"] = len(items)
    benchmark(lambda: mac.present(items, False, familiarity=False))


@pytest.mark.parametrize(("n_modules", "units"), SHAPES)
def test_accumulate_and_choose_rival(benchmark, one_thread, n_modules, units):
    items = random_items(2000).astype(np.float32)
    weights = (np.random.default_rng(1).random((N_INPUTS, n_modules * units)) < 0.2).astype(np.float32)
    sums = np.empty((len(items), weights.shape[1]), np.float32)
    benchmark.group = f"accumulate and winner, one mac, 384 inputs, 24 active, Q {n_modules}, K {units}, one thread"
    benchmark.extra_info.update(items=len(items), rival="float32 BLAS product and argmax")

    def product_and_argmax():
        np.matmul(items, weights, out=sums)
        return sums.reshape(-1, n_modules, units).argmax(axis=2)

    benchmark(product_and_argmax)


def new_mac():
    return (SparseyMac(N_INPUTS, freeze=None, random_state=0), ActiveRows.from_dense(random_items(200))), {}


def test_write(benchmark, one_thread):
    benchmark.group = "write one item, one mac, Q 24, K 32, one thread"
    benchmark.extra_info["items"] = 200
    benchmark.pedantic(lambda mac, items: mac.write(items), setup=new_mac, rounds=30, warmup_rounds=2)


def test_write_rival(benchmark, one_thread):
    benchmark.group = "write one item, one mac, Q 24, K 32, one thread"
    benchmark.extra_info.update(items=50, rival="the algorithm in plain NumPy")
    order = np.tile(np.arange(32), (24, 1))
    items = random_items(50)

    def write():
        mac = ReferenceMac(N_INPUTS, order, np.zeros(2, np.uint32))
        for item in items:
            mac.present(item, True)

    benchmark.pedantic(write, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("stored", [100, 1000, 10_000, 100_000])
def test_read(benchmark, one_thread, stored):
    mac = SparseyMac(N_INPUTS, random_state=0)
    mac.saturation_warned_ = True
    mac.write(random_items(stored, seed=3))
    cues = ActiveRows.from_dense(random_items(2000))
    benchmark.group = f"read one item, one mac, {stored:,} items stored, one thread"
    benchmark.extra_info["items"] = len(cues)
    benchmark(lambda: mac.present(cues, False))


@pytest.mark.parametrize("deskew", [False, True], ids=["as it is", "straightened"])
def test_edges(benchmark, one_thread, deskew):
    images = pictures(1000)
    encoder = OrientedEdgeEncoder(deskew=deskew).fit(images)
    benchmark.group = f"oriented edges of a picture of 28 x 28, {'straightened' if deskew else 'as it is'}, one thread"
    benchmark.extra_info["items"] = len(images)
    benchmark(encoder.active, images)


@pytest.mark.parametrize("deskew", [False, True], ids=["as it is", "straightened"])
def test_edges_rival(benchmark, one_thread, deskew):
    images = pictures(200)
    benchmark.group = f"oriented edges of a picture of 28 x 28, {'straightened' if deskew else 'as it is'}, one thread"
    benchmark.extra_info.update(items=len(images), rival="the formulas in NumPy, on whole arrays where they can be")
    benchmark.pedantic(lambda: plain_edges(plain_deskew(images) if deskew else images), rounds=5, warmup_rounds=1)


def labelled_codes(n=5000, n_modules=392, units=128):
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 10, n)
    usual = rng.integers(0, units, (10, n_modules))
    codes = np.where(rng.random((n, n_modules)) < 0.3, usual[labels], rng.integers(0, units, (n, n_modules)))
    return codes.astype(np.uint8), labels


@pytest.mark.parametrize("readout", ["counts", "delta"])
def test_label_field_learns(benchmark, one_thread, readout):
    codes, labels = labelled_codes()
    benchmark.group = f"label one code of 392 modules, {readout}, one thread"
    benchmark.extra_info["items"] = len(codes)
    benchmark(lambda: LabelField(392, 128, 10, readout).learn(codes, labels))


@pytest.mark.parametrize("readout", ["counts", "delta"])
def test_label_field_learns_rival(benchmark, one_thread, readout):
    codes, labels = labelled_codes(1000)
    rows = np.arange(392) * 128 + codes
    benchmark.group = f"label one code of 392 modules, {readout}, one thread"
    benchmark.extra_info.update(items=len(codes), rival="NumPy, indexed addition item by item")

    def learn():
        weights, weighted = np.zeros((2, 392 * 128, 10), np.int64)
        for step, (cells, label) in enumerate(zip(rows, labels, strict=True)):
            if readout == "counts":
                weights[cells, label] += 1
                continue
            scores = weights[cells].sum(axis=0)
            others = scores.copy()
            others[label] = np.iinfo(np.int64).min
            rival = others.argmax()
            if scores[label] < scores[rival] + 0.1 * len(cells):
                for cls, change in ((label, 1), (rival, -1)):
                    weights[cells, cls] += change
                    weighted[cells, cls] += change * step

    benchmark.pedantic(learn, rounds=5, warmup_rounds=1)


def test_label_field_reads(benchmark, one_thread):
    codes, labels = labelled_codes()
    field = LabelField(392, 128, 10).learn(codes, labels)
    benchmark.group = "score one code of 392 modules for 10 classes, one thread"
    benchmark.extra_info["items"] = len(codes)
    benchmark(field.scores, codes)


def test_label_field_reads_rival(benchmark, one_thread):
    codes, labels = labelled_codes(1000)
    table = LabelField(392, 128, 10).learn(codes, labels).score_table()
    rows = np.arange(392) * 128 + codes
    benchmark.group = "score one code of 392 modules for 10 classes, one thread"
    benchmark.extra_info.update(items=len(codes), rival="NumPy, gather and sum")
    benchmark(lambda: table[rows].sum(axis=1))


def test_skeletons(benchmark, one_thread):
    images = pictures(500)
    benchmark.group = "skeleton of a picture, 24 x 16, one thread"
    benchmark.extra_info["items"] = len(images)
    benchmark(encode.skeletonize_to, images)
