"""Encoders of film against plain forms, by what they must keep and what they must not see."""

import numpy as np
import pytest

from neuromem import InputError
from neuromem.sparsey.encode import change_maps, deviation_maps, foreground, normalize_silhouettes


def walkers(n_clips=3, seed=0, shape=(60, 50)):
    """Clips of a torso, a head and a swinging arm, each of its own place and size: frames, lengths."""
    rng = np.random.default_rng(seed)
    frames, lengths = [], rng.integers(6, 15, n_clips)
    for n in lengths:
        top, left, height = rng.integers(5, 12), rng.integers(15, 25), rng.integers(25, 40)
        for t in range(n):
            frame = np.zeros(shape, bool)
            sway = t % 3 - 1
            frame[top : top + height, left + sway : left + sway + 7] = True
            frame[top + 4 + t % 5 : top + 7 + t % 5, left + sway + 7 : left + sway + 16] = True
            frames.append(frame)
    return np.array(frames), lengths


def area_averaged(frame, scale, across, down, size, fine=16):
    """A picture drawn by asking many points of each pixel which input pixel is nearest."""
    points = (np.arange(size * fine) + 0.5) / fine - 0.5
    y, x = (np.rint((points - shift) / scale).astype(int) for shift in (down, across))
    inside = ((y >= 0) & (y < frame.shape[0]))[:, None] & ((x >= 0) & (x < frame.shape[1]))
    drawn = frame[np.clip(y, 0, frame.shape[0] - 1)[:, None], np.clip(x, 0, frame.shape[1] - 1)] & inside
    return 255 * drawn.reshape(size, fine, size, fine).mean(axis=(1, 3))


def plain_statistics(frames):
    """Centre, bottom and height of large silhouettes, one pixel list at a time, as the median and 60th percentiles."""
    found = []
    for frame in frames:
        y, x = np.nonzero(frame)
        if len(y) >= 30:
            centre = np.median(x)
            found.append((centre, y.max(), y.max() - y[abs(x - centre) <= 4].min()))
    centre, bottom, height = zip(*found, strict=True)
    return np.median(centre), np.percentile(bottom, 60), np.percentile(height, 60)


def plain_normalised(frames, size=40, body=0.62, feet=0.93):
    centre, bottom, height = plain_statistics(frames)
    scale = body * size / height
    return np.array([area_averaged(f, scale, size / 2 - scale * centre, feet * size - scale * bottom, size) for f in frames])


def clips_of(values, lengths):
    return np.split(values, np.cumsum(lengths)[:-1])


def test_normalised_as_plainly():
    frames, lengths = walkers()
    found = normalize_silhouettes(frames, lengths)
    wanted = np.concatenate([plain_normalised(clip) for clip in clips_of(frames, lengths)])
    difference = abs(found - wanted)
    assert found.dtype == np.uint8 and found.shape == (len(frames), 40, 40)
    # linear interpolation softens borders by half a fine pixel; what is inside or outside by more must agree
    assert difference.mean() < 4 and (difference > 128).mean() < 1e-3


def test_place_and_size_are_taken_out():
    frames, _ = walkers(1, shape=(60, 50))
    moved = np.zeros((len(frames), 90, 80), bool)
    moved[:, 20:80, 25:75] = frames
    np.testing.assert_array_equal(normalize_silhouettes(moved), normalize_silhouettes(frames))
    doubled = frames.repeat(2, axis=1).repeat(2, axis=2)
    far = abs(normalize_silhouettes(doubled).astype(int) - normalize_silhouettes(frames))
    assert far.mean() < 8


def test_what_happens_within_a_clip_stays():
    frames = np.zeros((9, 60, 40), bool)
    for t in range(9):
        frames[t, 15 - 3 * (t == 4) : 45 - 3 * (t == 4), 15:22] = True  # one jump
    frames[7, 15:30] = False  # one bend
    rows = [np.flatnonzero(p.any(axis=1)) for p in normalize_silhouettes(frames)]
    assert rows[4][-1] < rows[3][-1] and rows[7][0] > rows[3][0] + 5


def test_raised_arms_do_not_count():
    frames = np.zeros((5, 60, 40), bool)
    frames[:, 20:50, 17:24] = True
    raised = frames.copy()
    raised[:, 5:30, 28:31] = raised[:, 5:30, 10:13] = True  # beyond four columns from the middle, on both sides
    calm, up = normalize_silhouettes(frames), normalize_silhouettes(raised)
    np.testing.assert_array_equal(up[:, :, 16:24], calm[:, :, 16:24])


def test_clips_do_not_see_each_other_and_the_causal_form_not_the_future():
    frames, lengths = walkers(4)
    for causal in (False, True):
        together = normalize_silhouettes(frames, lengths, causal=causal)
        alone = [normalize_silhouettes(clip, causal=causal) for clip in clips_of(frames, lengths)]
        np.testing.assert_array_equal(together, np.concatenate(alone))
    clip = clips_of(frames, lengths)[0]
    whole = normalize_silhouettes(clip, causal=True)
    for n in range(1, len(clip) + 1):
        np.testing.assert_array_equal(normalize_silhouettes(clip[:n], causal=True), whole[:n])
        np.testing.assert_array_equal(normalize_silhouettes(clip[:n])[-1], whole[n - 1])


def test_frames_with_next_to_nothing():
    frames, _ = walkers(1)
    assert not normalize_silhouettes(np.zeros((3, 20, 20), bool)).any()
    assert normalize_silhouettes(np.zeros((0, 20, 20), bool)).shape == (0, 40, 40)
    late = frames.copy()
    late[:2] = False
    late[0, 3, 3] = True
    found = normalize_silhouettes(late, causal=True)
    assert not found[:2].any() and found[2:].any()
    np.testing.assert_array_equal(found[2:], normalize_silhouettes(frames[2:], causal=True))
    np.testing.assert_array_equal(normalize_silhouettes(late)[2:], normalize_silhouettes(frames[2:]))


@pytest.mark.parametrize("lags", [(1,), (2, 4, 7), (30,)])
def test_changes_as_plainly(lags):
    rng = np.random.default_rng(1)
    lengths = [7, 1, 12]
    grey = rng.integers(0, 256, (20, 4, 5)).astype(np.uint8)
    found = change_maps(grey, lengths, lags, threshold=100).reshape(20, 2 * len(lags), 4, 5)
    start = 0
    for n in lengths:
        for t in range(n):
            for place, lag in enumerate(lags):
                change = grey[start + t].astype(int) - grey[start + max(0, t - lag)]
                np.testing.assert_array_equal(found[start + t, 2 * place], change > 100)
                np.testing.assert_array_equal(found[start + t, 2 * place + 1], change < -100)
        start += n


@pytest.mark.parametrize("window", [1, 3, 10, 50])
def test_deviations_as_plainly(window):
    rng = np.random.default_rng(2)
    lengths, thresholds = [7, 1, 22], (0.1, 0.3)
    grey = rng.integers(0, 256, (30, 4, 5)).astype(np.uint8)
    found = deviation_maps(grey, lengths, window, thresholds).reshape(30, 2, 4, 5)
    start = 0
    for n in lengths:
        for t in range(n):
            spread = grey[start + max(0, t + 1 - window) : start + t + 1].std(axis=0) / 255
            for place, threshold in enumerate(thresholds):
                np.testing.assert_array_equal(found[start + t, place], spread > threshold)
        start += n


def test_foreground_is_what_moves():
    pytest.importorskip("cv2")
    rng = np.random.default_rng(3)
    scene = rng.integers(60, 120, (50, 60)).astype(np.uint8)
    film = np.repeat(scene[None], 12, axis=0)
    wanted = np.zeros(film.shape, bool)
    for t in range(12):
        wanted[t, 10:40, 4 * t : 4 * t + 12] = True
    film[wanted] = 230
    film[3, 45:47, 50:52] = 255  # a speck, not the largest part
    for background in (None, scene):
        found = foreground(film, background, blur=0)
        shared = (found & wanted).sum(axis=(1, 2)) / (found | wanted).sum(axis=(1, 2))
        assert shared.min() > 0.9 and not found[3, 45:, 48:].any()
    assert foreground(film[:0]).shape == (0, 50, 60)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda f: normalize_silhouettes(f * 255), "0 and 1"),
        (lambda f: normalize_silhouettes(f[0]), "rows, columns"),
        (lambda f: normalize_silhouettes(f, [1]), "lengths"),
        (lambda f: normalize_silhouettes(f, [0, len(f)]), "lengths"),
        (lambda f: normalize_silhouettes(f, [0.5, len(f) - 0.5]), "lengths"),
        (lambda f: normalize_silhouettes(f, size=(40,)), "size"),
        (lambda f: normalize_silhouettes(f, size=(40, 0)), "size"),
        (lambda f: normalize_silhouettes(f, body=0), "body"),
        (lambda f: normalize_silhouettes(f, feet=1.5), "feet"),
        (lambda f: normalize_silhouettes(f, causal="yes"), "causal"),
        (lambda f: change_maps(f, lags=(0,)), "lags"),
        (lambda f: change_maps(f, threshold=-1), "threshold"),
        (lambda f: change_maps(f - 1.5), "0 ... 255"),
        (lambda f: deviation_maps(f, window=0), "window"),
        (lambda f: deviation_maps(f, thresholds=(2,)), "thresholds"),
        (lambda f: foreground(f, f[0, :3]), "background"),
    ],
)
def test_what_is_refused(call, told):
    frames, _ = walkers(1)
    with pytest.raises(InputError, match=told):
        call(frames.astype(np.uint8))
