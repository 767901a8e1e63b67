"""Encoders against OpenCV, arctan2 and pictures drawn here."""

import numpy as np
import pytest

import neuromem
from neuromem import InputError
from neuromem.sparsey import ActiveRows
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

cv2 = pytest.importorskip("cv2")


def strokes(n, side=28, seed=0):
    """Slanted bars and rings, a stand-in for digits."""
    rng = np.random.default_rng(seed)
    images = np.zeros((n, side, side), np.uint8)
    for image in images:
        a, b = rng.integers(4, side - 4, (2, 2)).tolist()
        cv2.line(image, a, b, 255, 3, cv2.LINE_AA)
        cv2.circle(image, (side // 2, side // 2), int(rng.integers(3, side // 3)), 200, 2, cv2.LINE_AA)
    return images


def test_deskew_equals_opencv_within_one_level():
    images = strokes(60)
    found = deskew(images).astype(int)
    for image, straight in zip(images, found, strict=True):
        m = cv2.moments(image)
        s = m["mu11"] / m["mu02"]
        shear = np.float32([[1, s, -14 * s], [0, 1, 0]])
        wanted = cv2.warpAffine(image, shear, (28, 28), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
        assert np.abs(straight - wanted).max() <= 1
    blank = np.zeros((1, 28, 28), np.uint8)
    assert np.array_equal(deskew(blank), blank)


@pytest.mark.parametrize("n_bins", [5, 7, 8])
def test_edges_equal_arctan2(n_bins):
    images = strokes(20)
    found = oriented_edges(images, n_bins, 60).reshape(20, n_bins, 28, 28)
    for image, maps in zip(images, found, strict=True):
        gx = cv2.Sobel(image.astype(float), cv2.CV_64F, 1, 0, ksize=3) / 4
        gy = cv2.Sobel(image.astype(float), cv2.CV_64F, 0, 1, ksize=3) / 4
        k = np.floor((np.arctan2(gy, gx) + np.pi) / (2 * np.pi) * n_bins + 0.5).astype(int) % n_bins
        wanted = (np.arange(n_bins)[:, None, None] == k) & (np.hypot(gx, gy) > 60)
        wanted[:, [0, -1]] = wanted[:, :, [0, -1]] = False
        assert np.array_equal(maps, wanted)


def test_lists_equal_tables_over_blocks(monkeypatch):
    images = strokes(23)
    encoder = OrientedEdgeEncoder(deskew=True).fit(images)
    whole = encoder.active(images)
    monkeypatch.setattr("neuromem.sparsey.encode.IMAGES_PER_BLOCK", 7)
    parts = encoder.active(images)
    assert np.array_equal(whole.indices, parts.indices) and np.array_equal(whole.indptr, parts.indptr)
    assert np.array_equal(whole.to_dense(), oriented_edges(deskew(images)))
    assert len(encoder.active(images[:0])) == 0


@pytest.mark.parametrize("shape", [(1, 3, 3), (2, 1, 1), (2, 2, 5), (1, 7, 4)])
def test_small_pictures(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert oriented_edges(images).shape == (shape[0], 8 * shape[1] * shape[2])
    assert deskew(images).shape == shape


def test_skeletons_of_drawn_digits_keep_their_bits():
    """Ten generated figures: bars at five slants and rings of five sizes, 24 rows by 16 columns."""
    pytest.importorskip("skimage")
    images = np.zeros((10, 28, 28), np.uint8)
    for i in range(5):
        cv2.line(images[i], (8 + 3 * i, 4), (20 - 3 * i, 23), 255, 3)
        cv2.circle(images[5 + i], (14, 14), 4 + 2 * i, 255, 3)
    skeletons = skeletonize_to(images)
    assert skeletons.shape == (10, 384) and skeletons.dtype == np.uint8
    packed = np.packbits(skeletons, axis=1)
    assert [bytes(row).hex() for row in packed] == GOLDEN_SKELETONS
    tall = skeletons.reshape(10, 24, 16)
    assert (tall.any(axis=2).sum(axis=1) > tall.any(axis=1).sum(axis=1)).all()  # rows are the long side


GOLDEN_SKELETONS = [
    "000000000000080008000400040002000200020001000100008000800040004000200020002000100010000000000000",
    "000000000100020002000100010001000100010001000080008000800080008000400040004000400000000000000000",
    "000000000000000000800080008000800080008000800080008000800080008000800080008000800080000000000000",
    "000000000020004000400040004000400080008000800080008001000100010001000100010002000000000000000000",
    "000000000000000000100020002000200040004000800080010001000200020002000400040008000800000000000000",
    "000000000000000000000000000000000000008001400220022002200240018000000000000000000000000000000000",
    "000000000000000000000000000000800340042008100810081008100410042003c00000000000000000000000000000",
    "00000000000000000000018002400420081008081008100810081008100808080810042003c000000000000000000000",
    "0000000000000080076008100808100810042004200420042004200420042004100810080810042003c0000000000000",
    "00000080036004100808100820042002400240024002400240024002400240024002200220041008080807f000000000",
]


def test_binarize_and_thermometer():
    assert binarize(np.array([[[0, 100], [101, 255]]])).tolist() == [[0, 0, 1, 1]]
    X = np.array([[-1.0, 5.0], [0.0, 5.0], [1.0, 5.0]])
    code = ThermometerEncoder(3).fit(X).transform(X)
    assert code.shape == (3, 12) and (code.sum(axis=1) == 6).all()
    one_sided = ThermometerEncoder(3, two_sided=False).fit(X).transform(X)
    assert one_sided.reshape(3, 3, 2)[:, :, 0].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert thermometer([[1e308], [-1e308]], 2, -1e308, 1e308).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(InputError, match="n_levels is 0"):
        thermometer(X, 0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.full((1, 4, 4), 256), "0 ... 255"),
        (np.full((1, 4, 4), -1), "0 ... 255"),
        (np.full((1, 4, 4), 0.5), "not whole"),
        (np.full((1, 4, 4), np.nan), "NaN"),
        (np.zeros((1, 5)), "square number"),
    ],
)
def test_pictures_are_checked(bad, message):
    with pytest.raises(InputError, match=message):
        oriented_edges(bad)


def test_encoders_check_widths_and_can_be_saved(tmp_path):
    images = strokes(5)
    table = np.random.default_rng(0).normal(size=(9, 4))
    for encoder, X in (
        (OrientedEdgeEncoder(6, 50.0, True), images),
        (SkeletonEncoder(12, 10), images),
        (ThermometerEncoder(5), table),
        (IdentityEncoder((2, 2)), (table > 0).astype(np.uint8)),
    ):
        with pytest.raises(neuromem.NotFittedError):
            encoder.transform(X)
        encoder.fit(X)
        encoder.save(tmp_path / "e.nmem")
        loaded = neuromem.load(tmp_path / "e.nmem")
        assert np.array_equal(loaded.transform(X), encoder.transform(X))
        assert encoder.transform(X).shape == (len(X), encoder.n_features_out_)
        with pytest.raises(InputError, match="features"):
            encoder.transform(X[:, :-1] if X.ndim == 2 else X[:, :-1, :-1])


def test_active_rows_check_themselves():
    rows = ActiveRows.from_dense(np.eye(3, dtype=np.uint8))
    assert np.array_equal(rows.rows(1, 3).to_dense(), np.eye(3)[1:])
    good = (np.array([0], np.int32), np.array([0, 1], np.int64))
    for indices, indptr in (
        (np.array([3], np.int32), good[1]),
        (np.array([-1], np.int32), good[1]),
        (good[0], np.array([0, 2], np.int64)),
        (good[0].astype(np.int64), good[1]),
        (np.array([0, 2, 0], np.int32), np.array([0, 3], np.int64)),
    ):
        with pytest.raises(InputError, match="ind"):
            ActiveRows(indices, indptr, 3)
