"""Encoders against their plain form, on sizes, borders and ranges that real pictures seldom have."""

import numpy as np
import pytest

import neuromem
from neuromem import InputError
from neuromem.sparsey import ActiveRows, reference_encode
from neuromem.sparsey.encode import (
    IdentityEncoder,
    OrientedEdgeEncoder,
    SkeletonEncoder,
    ThermometerEncoder,
    binarize,
    deskew,
    oriented_edges,
    skeletonize_to,
    thermometer,
)
from neuromem.sparsey.kernels import encode as kernels

SIZES = [(1, 1), (1, 6), (6, 1), (2, 2), (3, 3), (3, 8), (7, 4), (9, 13), (16, 16), (28, 28)]


def noise(shape, seed=0, n=12):
    """Half the pictures with every grey level, half with few, so that gradients lie on borders between bins."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, *shape))
    images[n // 2 :] = images[n // 2 :] // 64 * 64
    return images.astype(np.uint8)


@pytest.mark.jit_off
@pytest.mark.parametrize("shape", SIZES)
def test_edges_and_deskewing_of_every_size(shape):
    images = noise(shape)
    np.testing.assert_array_equal(oriented_edges(images), reference_encode.oriented_edges(images))
    straight = deskew(images)
    np.testing.assert_array_equal(straight, reference_encode.deskew(images))
    fused = OrientedEdgeEncoder(deskew=True).fit(images).transform(images)
    np.testing.assert_array_equal(fused, reference_encode.oriented_edges(straight))


@pytest.mark.jit_off
@pytest.mark.parametrize("n_bins", range(2, 17))
def test_edges_in_any_number_of_directions(n_bins):
    images = noise((9, 11), seed=n_bins)
    np.testing.assert_array_equal(oriented_edges(images, n_bins, 20), reference_encode.oriented_edges(images, n_bins, 20))


@pytest.mark.parametrize("threshold", [0, 0.25, 3.5, 59.999, 60, 250, 400, 1e300])
def test_any_threshold(threshold):
    images = noise((12, 12))
    wanted = reference_encode.oriented_edges(images, threshold=min(threshold, 1e6))
    np.testing.assert_array_equal(oriented_edges(images, threshold=threshold), wanted)


@pytest.mark.jit_off
def test_octant_is_that_of_arctan2():
    rng = np.random.default_rng(3)
    g = np.concatenate([np.stack(np.mgrid[-40:41, -40:41], axis=-1).reshape(-1, 2), rng.integers(-1020, 1021, (20_000, 2))])
    g = g[g.any(axis=1)]
    # the gradients nearest to the irrational border: continued fractions of sqrt(2) - 1
    near = np.array([[2, 1], [5, 2], [12, 5], [29, 12], [70, 29], [169, 70], [408, 169], [985, 408]])
    g = np.concatenate(
        [g, *[near[:, order] * signs for order in ([0, 1], [1, 0]) for signs in ([1, 1], [1, -1], [-1, 1], [-1, -1])]]
    )
    wanted = np.floor((np.arctan2(g[:, 1], g[:, 0]) + np.pi) / (2 * np.pi) * 8 + 0.5).astype(int) % 8
    octant = getattr(kernels.octant, "py_func", kernels.octant)
    assert [octant(x, y) for x, y in g.tolist()] == wanted.tolist()


@pytest.mark.jit_off
def test_deskewing_of_hard_pictures():
    """Blank, full, one dot, one row, one column, and thin diagonals that move far out of the picture."""
    images = np.zeros((8, 15, 40), np.uint8)
    images[1] = 255
    images[2, 3, 4] = 255
    images[3, 7] = 200
    images[4, :, 9] = 200
    images[5, [7, 8], [0, 39]] = 255
    images[6, [8, 7], [0, 39]] = 255
    images[7, np.arange(15), np.arange(15) * 2] = 255
    found = deskew(images)
    np.testing.assert_array_equal(found, reference_encode.deskew(images))
    np.testing.assert_array_equal(found[[0, 1, 3, 4]], images[[0, 1, 3, 4]])
    upright = found[7]
    assert (upright.any(axis=0).sum() <= 2) and upright.any(axis=1).all()


def test_a_sheared_bar_comes_out_upright():
    bar = np.zeros((1, 20, 40), np.uint8)
    for y in range(20):
        bar[0, y, 8 + y : 12 + y] = 255  # slant 1
    straight = deskew(bar)[0]
    columns = [np.flatnonzero(row).tolist() for row in straight]
    assert all(row == columns[0] for row in columns) and len(columns[0]) == 4


def test_threads_and_cuts_change_nothing():
    images = noise((17, 13), n=70)
    encoder = OrientedEdgeEncoder(deskew=True).fit(images)
    with neuromem.threads(1):
        one, straight = encoder.active(images), deskew(images)
    for n in (2, 3, 7):
        try:
            neuromem.set_num_threads(n)
        except InputError:
            continue
        finally:
            neuromem.set_num_threads(1)
        with neuromem.threads(n):
            found = encoder.active(images)
            np.testing.assert_array_equal(deskew(images), straight)
        np.testing.assert_array_equal(found.indices, one.indices)
        np.testing.assert_array_equal(found.indptr, one.indptr)
    singles = [encoder.active(images[i : i + 1]).indices for i in range(len(images))]
    np.testing.assert_array_equal(np.concatenate(singles), one.indices)


def test_large_pictures_are_listed_in_small_blocks(monkeypatch):
    images = noise((9, 9), n=11)
    encoder = OrientedEdgeEncoder().fit(images)
    whole = encoder.active(images)
    monkeypatch.setattr("neuromem.sparsey.encode.NUMBERS_PER_BLOCK", 3 * 49)
    np.testing.assert_array_equal(encoder.active(images).indices, whole.indices)
    monkeypatch.setattr("neuromem.sparsey.encode.NUMBERS_PER_BLOCK", 1)
    np.testing.assert_array_equal(encoder.active(images).indices, whole.indices)


def test_input_is_neither_changed_nor_kept():
    images = noise((10, 10))
    images.flags.writeable = False
    before = images.copy()
    for result in (deskew(images), oriented_edges(images), binarize(images)):
        assert not np.shares_memory(result, images)
    np.testing.assert_array_equal(images, before)
    view = np.repeat(images, 2, axis=2)[:, ::-1, ::2]
    np.testing.assert_array_equal(oriented_edges(view), oriented_edges(view.copy()))
    np.testing.assert_array_equal(oriented_edges(images.reshape(12, 100).astype(float)), oriented_edges(images))


@pytest.mark.parametrize("shape", [(0, 8, 8), (0, 64)])
def test_no_pictures_give_no_items(shape):
    empty = np.zeros(shape, np.uint8)
    assert binarize(empty).shape == (0, 64)
    assert deskew(empty).shape == (0, 8, 8)
    assert oriented_edges(empty).shape == (0, 512)
    fitted = OrientedEdgeEncoder().fit(np.zeros((1, 8, 8), np.uint8))
    assert fitted.transform(empty).shape == (0, 512) and len(fitted.active(empty)) == 0


def test_no_pictures_give_no_skeletons():
    pytest.importorskip("cv2")
    pytest.importorskip("skimage")
    assert skeletonize_to(np.zeros((0, 8, 8), np.uint8)).shape == (0, 384)
    assert SkeletonEncoder(5, 4).fit(np.zeros((1, 8, 8), np.uint8)).transform(np.zeros((0, 8, 8))).shape == (0, 20)


def test_no_rows_give_no_thermometer_codes():
    assert thermometer(np.zeros((0, 3)), 2, 0, 1).shape == (0, 6)
    fitted = ThermometerEncoder(4).fit(np.zeros((2, 3)))
    assert fitted.transform(np.zeros((0, 3))).shape == (0, 24) and len(fitted.active(np.zeros((0, 3)))) == 0


@pytest.mark.parametrize("shape", [(2, 0, 5), (2, 5, 0), (0, 0, 0)])
@pytest.mark.parametrize("function", [binarize, deskew, oriented_edges])
def test_pictures_without_pixels_are_refused(shape, function):
    with pytest.raises(InputError, match="at least one row and column"):
        function(np.zeros(shape, np.uint8))


@pytest.mark.jit_off
@pytest.mark.parametrize("n_levels", [1, 3, 16])
def test_thermometer_is_the_formula(n_levels):
    rng = np.random.default_rng(n_levels)
    X = rng.normal(size=(20, 5)) * 10.0 ** np.arange(-6, 9, 3)
    low, high = X.min(axis=0), X.max(axis=0)
    np.testing.assert_array_equal(thermometer(X, n_levels, low, high), reference_encode.thermometer(X, n_levels, low, high))
    whole = rng.integers(0, 5, (20, 3)).astype(float)
    bounds = (np.zeros(3), np.full(3, 4.0))
    np.testing.assert_array_equal(thermometer(whole, 3, 0, 4), reference_encode.thermometer(whole, 3, *bounds))


def test_thermometer_takes_any_finite_table():
    top = np.finfo(np.float64).max
    X = np.array([[-top, 7.0, 0.0, 1e-300], [top, 7.0, -0.0, 2e-300], [0.0, 7.0, 0.0, 3e-300]])
    encoder = ThermometerEncoder(3).fit(X)
    with np.errstate(all="raise", under="ignore"):
        levels = encoder.transform(X).reshape(3, 2, 3, 4)
    np.testing.assert_array_equal(levels[:, 0] + levels[:, 1], 1)
    assert levels[:, 0, :, 0].sum(axis=1).tolist() == [0, 3, 1]
    assert levels[:, 0, :, 3].sum(axis=1).tolist() == [0, 1, 3]
    assert not levels[:, 0, :, 1:3].any()  # features that never vary
    beyond = encoder.transform(np.array([[0, 8.0, 1.0, 1.0], [0, 6.0, -1.0, -1.0]])).reshape(2, 2, 3, 4)
    assert beyond[0, 0, :, 1:].all() and not beyond[1, 0, :, 1:].any()


def test_thermometer_codes_are_nested():
    X = np.sort(np.random.default_rng(0).normal(size=(50, 1)), axis=0)
    levels = thermometer(X, 9, X.min(), X.max())
    assert (np.diff(levels.sum(axis=1).astype(int)) >= 0).all()
    assert (np.diff(levels.astype(int), axis=1) <= 0).all() and levels.sum(axis=1).max() == 9


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (0, np.nan, "high"),
        (-np.inf, 0, "low"),
        ([0, 1, 2], 4, "low"),
        (5, 4, "low exceeds high"),
        ("a", 4, "low"),
        ([0, 3], [1, 2], "feature 1"),
    ],
)
def test_thermometer_ranges_are_checked(low, high, name):
    with pytest.raises(InputError, match=name):
        thermometer([[1.0, 2.0]], 3, low, high)


@pytest.mark.parametrize("shape", [(0, 5), (-1, -4), (2.5, 2), "ab", (2,), 3, (True, 4), (3, 2)])
def test_identity_shapes_are_checked(shape):
    with pytest.raises((InputError, neuromem.InputTypeError), match="shape"):
        IdentityEncoder(shape).fit(np.zeros((2, 4), np.uint8))


def test_identity_passes_binary_items_only():
    X = np.array([[0, 1, 1, 0, 1, 0, 0, 0]])
    encoder = IdentityEncoder((2, 2)).fit(X)
    assert (encoder.shape_, encoder.channels_, encoder.n_features_out_) == ([2, 2], 2, 8)
    np.testing.assert_array_equal(encoder.transform(X.astype(float)), X)
    assert encoder.active(X.astype(bool)).indices.tolist() == [1, 2, 4]
    with pytest.raises(InputError, match="binary input expected"):
        encoder.transform(X * 2)


@pytest.mark.parametrize("threshold", ["x", None, np.nan])
def test_thresholds_are_checked(threshold):
    with pytest.raises((InputError, neuromem.InputTypeError), match="threshold"):
        binarize(np.zeros((1, 4, 4)), threshold)
    with pytest.raises((InputError, neuromem.InputTypeError), match="threshold"):
        oriented_edges(np.zeros((1, 4, 4)), threshold=threshold)


def test_too_many_features_are_refused_before_anything_is_made():
    with pytest.raises(InputError, match="n_bins"):
        OrientedEdgeEncoder(2**30).fit(np.zeros((1, 8, 8), np.uint8))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_active_rows_and_tables(dtype):
    rng = np.random.default_rng(5)
    for shape in ((0, 4), (1, 1), (6, 1), (9, 33), (40, 200)):
        X = (rng.random(shape) < 0.3).astype(dtype)
        X[1::3] = 0
        rows = ActiveRows.from_dense(X)
        assert rows.indices.dtype == np.int32 and rows.indptr.dtype == np.int64 and len(rows) == len(X)
        assert [rows.indices[a:b].tolist() for a, b in zip(rows.indptr, rows.indptr[1:], strict=False)] == [
            np.flatnonzero(x).tolist() for x in X
        ]
        np.testing.assert_array_equal(rows.to_dense(), X)


def test_parts_of_active_rows_are_those_of_a_list():
    X = (np.random.default_rng(6).random((7, 10)) < 0.5).astype(np.uint8)
    rows = ActiveRows.from_dense(X)
    for start, stop in ((0, 7), (2, 5), (3, 3), (5, 2), (-3, -1), (4, 99), (9, 12)):
        np.testing.assert_array_equal(rows.rows(start, stop).to_dense(), X[start:stop])
    with pytest.raises(InputError, match="one item"):
        ActiveRows.from_dense(X[0])
    with pytest.raises(InputError, match="arrays"):
        ActiveRows([1], [0, 1], 3)
