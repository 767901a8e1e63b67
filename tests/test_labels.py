"""The label field: every rule against its definition, written out; chunks, threads, silent modules, files."""

import numpy as np
import pytest

import neuromem
from neuromem import FormatError, InputError, NotFittedError
from neuromem.sparsey import LabelField

READOUTS = ["counts", "binary", "delta"]


def stream(seed, n_items=60, n_modules=11, units=5, n_classes=3, dtype=np.uint8, silent_share=0.1):
    """Codes that tell something about the class, some modules silent."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, n_classes, n_items)
    usual = rng.integers(0, units, (n_classes, n_modules))
    codes = np.where(rng.random((n_items, n_modules)) < 0.5, usual[classes], rng.integers(0, units, (n_items, n_modules)))
    codes[rng.random(codes.shape) < silent_share] = np.iinfo(dtype).max
    return codes.astype(dtype), classes


def one_hot(codes, units):
    """Active cells of each item, (n, n_modules * units)."""
    cells = codes[:, :, None] == np.arange(units)
    return cells.reshape(len(codes), -1).astype(int)


def naive_scores(readout, codes, classes, units, n_classes, cues, smoothing=0.3, margin=0.1):
    """The rules as their definitions say, with one-hot codes and without running sums."""
    active, asked = one_hot(codes, units), one_hot(cues, units)
    counts = active.T @ (classes[:, None] == np.arange(n_classes))
    if readout == "binary":
        return asked @ (counts > 0)
    if readout == "counts":
        per_module = counts.reshape(-1, units, n_classes)
        shares = (per_module + smoothing) / (per_module.sum(axis=1, keepdims=True) + smoothing * units)
        return asked @ np.log(shares).reshape(counts.shape)
    weights = np.zeros((active.shape[1], n_classes), int)
    history = []
    for item, true in zip(active, classes, strict=True):
        history.append(weights.copy())  # the weights that this item found
        scores = item @ weights
        rivals = [c for c in range(n_classes) if c != true]
        if not rivals:
            continue
        rival = max(rivals, key=lambda c: (scores[c], -c))
        if scores[true] < scores[rival] + margin * item.sum():
            weights[:, true] += item
            weights[:, rival] -= item
    history.append(weights)
    return asked @ np.mean(history[1:], axis=0)  # averaged over the items, after each


def state(field):
    return field.get_state()["arrays"]


def assert_same(a, b):
    assert state(a).keys() == state(b).keys()
    assert all(np.array_equal(state(a)[name], state(b)[name]) for name in state(a))
    assert a.n_labelled_ == b.n_labelled_


# 8 and 9 modules: a whole sweep of the kernel, and one more; 8 and 9 classes: whole registers, and one more
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (7, 2, 2), (8, 5, 3), (9, 5, 8), (25, 3, 9), (33, 254, 20)])
def test_scores_follow_the_definition(readout, sizes):
    n_modules, units, n_classes = sizes
    codes, classes = stream(sum(sizes), 80, n_modules, units, n_classes)
    field = LabelField(n_modules, units, n_classes, readout).learn(codes[:60], classes[:60])
    wanted = naive_scores(readout, codes[:60], classes[:60], units, n_classes, codes[60:])
    np.testing.assert_allclose(field.scores(codes[60:]), wanted, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("readout", READOUTS)
def test_wide_codes(readout):
    codes, classes = stream(3, units=300, dtype=np.uint16)
    field = LabelField(11, 300, 3, readout).learn(codes, classes)
    wanted = naive_scores(readout, codes, classes, 300, 3, codes)
    np.testing.assert_allclose(field.scores(codes), wanted, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_chunks_make_no_difference(readout, chunk):
    codes, classes = stream(4, 300)
    whole = LabelField(11, 5, 3, readout).learn(codes, classes)
    parts = LabelField(11, 5, 3, readout)
    for start in range(0, 300, chunk):
        parts.learn(codes[start : start + chunk], classes[start : start + chunk])
    assert_same(whole, parts)
    scores = whole.scores(codes)
    pieces = [parts.scores(codes[start : start + chunk]) for start in range(0, 300, chunk)]
    assert np.array_equal(scores, np.concatenate(pieces))


@pytest.mark.parametrize("readout", READOUTS)
def test_threads_make_no_difference(readout):
    codes, classes = stream(5, 300)
    with neuromem.threads(1):
        one = LabelField(11, 5, 3, readout).learn(codes, classes)
        scores = one.scores(codes)
    many = LabelField(11, 5, 3, readout).learn(codes, classes)
    assert_same(one, many)
    assert np.array_equal(scores, many.scores(codes))


@pytest.mark.parametrize("readout", READOUTS)
def test_saved_in_mid_stream_it_goes_on_as_if_nothing_had_happened(readout, tmp_path):
    codes, classes = stream(6, 200, n_classes=10)
    whole = LabelField(11, 5, 10, readout).learn(codes, classes)
    half = LabelField(11, 5, 10, readout).learn(codes[:90], classes[:90])
    half.scores(codes)
    half.save(tmp_path / "field.nmem")
    loaded = neuromem.load(tmp_path / "field.nmem").learn(codes[90:], classes[90:])
    assert_same(whole, loaded)
    assert np.array_equal(whole.scores(codes), loaded.scores(codes))


@pytest.mark.parametrize("readout", READOUTS)
def test_reading_changes_nothing_and_learning_is_seen_at_once(readout):
    codes, classes = stream(7)
    field = LabelField(11, 5, 3, readout).learn(codes[:30], classes[:30])
    before, first = field.copy(), field.scores(codes)
    assert_same(before, field)
    field.learn(codes[30:], classes[30:])
    assert not np.array_equal(first, field.scores(codes))


@pytest.mark.parametrize("readout", READOUTS)
def test_silent_codes_say_nothing(readout):
    codes, classes = stream(8)
    field = LabelField(11, 5, 3, readout).learn(codes, classes)
    scores = field.scores(np.full((2, 11), 255, np.uint8))
    assert scores.shape == (2, 3) and not scores.any()
    assert field.scores(np.zeros((0, 11), np.uint8)).shape == (0, 3)


def test_the_published_rule_saturates_where_counts_go_on():
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 3, (3000, 6)).astype(np.uint8)
    classes = rng.integers(0, 2, 3000)
    assert (LabelField(6, 3, 2, "binary").learn(codes, classes).scores(codes) == 6).all()
    assert len(np.unique(LabelField(6, 3, 2, "counts").learn(codes, classes).scores(codes)[:, 0])) > 100


def test_delta_learns_only_where_the_margin_is_violated():
    codes = np.zeros((20, 10), np.uint8)
    classes = np.zeros(20, int)
    assert LabelField(10, 2, 2, "delta", margin=0.0).learn(codes, classes).weights_.max() == 0  # a tie is no error at margin 0
    assert LabelField(10, 2, 2, "delta", margin=0.1).learn(codes, classes).weights_.max() == 1
    assert LabelField(10, 2, 2, "delta", margin=7.0).learn(codes, classes).weights_.max() == 4  # 2 * 10 * 4 >= 7 * 10


def test_no_cell_beyond_the_classes_is_ever_written():
    codes, classes = stream(10, 500, n_classes=3)
    field = LabelField(11, 5, 3, "delta").learn(codes, classes)
    assert field.weights_.shape[1] > 3 and not field.weights_[:, 3:].any()
    broken = field.get_state()
    broken["arrays"]["weights_"][0, -1] = 1
    with pytest.raises(FormatError, match="beyond the classes"):
        field.set_state(broken)
    broken["arrays"]["weights_"] = broken["arrays"]["weights_"][:, :3]
    with pytest.raises(FormatError, match="shapes"):
        field.set_state(broken)


def test_bad_use_is_named():
    field = LabelField(3, 4, 2)
    codes = np.array([[0, 1, 255]], np.uint8)
    with pytest.raises(NotFittedError):
        field.scores(codes)
    field.learn(codes, [1])
    assert field.scores(codes).argmax() == 1 and field.n_labelled_ == 1
    for bad, message in ((codes[:, :2], "modules"), (codes.astype(int), "int64"), (codes + np.uint8(9), "winners beyond")):
        with pytest.raises(InputError, match=message):
            field.scores(bad)
    for labels in ([2], [-1], [0, 1]):
        with pytest.raises(InputError, match="classes"):
            field.learn(codes, labels)
    assert field.n_labelled_ == 1
    for bad in (dict(readout="svm"), dict(smoothing=0.0), dict(margin=-1.0), dict(n_classes=0)):
        with pytest.raises(InputError, match=next(iter(bad))):
            LabelField(**{**dict(n_modules=3, units_per_module=4, n_classes=2), **bad}).learn(codes, [1])
