"""The classifiers: scikit-learn's contract, the label rules, bookkeeping, files."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import neuromem
from neuromem import (
    FormatError,
    InputError,
    MultiScaleSparseyClassifier,
    NotFittedError,
    SparseyClassifier,
    SparseyLayer,
    capabilities,
)
from neuromem.datasets import digits
from neuromem.experiments.controls import per_class_sample
from neuromem.sparsey.encode import IdentityEncoder, OrientedEdgeEncoder, skeletonize_to

EXPECTED_FAILURES = {
    "check_estimators_unfitted": "the error is the library's own NotFittedError; scikit-learn's class is not imported",
    "check_supervised_y_2d": "the warning that is asked for is scikit-learn's own class, which the library does not import",
}


@parametrize_with_checks(
    [SparseyClassifier(random_state=0), MultiScaleSparseyClassifier([SparseyClassifier()], random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def blobs(n=300):
    return make_blobs(n, centers=3, n_features=5, random_state=0, cluster_std=2.0)


def same(a, b):
    for part in ("layer_", "label_field_"):
        x, y = getattr(a, part).get_state(), getattr(b, part).get_state()
        assert x["scalars"] == y["scalars"]
        assert all(np.array_equal(x["arrays"][name], y["arrays"][name]) for name in x["arrays"])


def test_works_in_scikit_learn_tools():
    X, y = blobs()
    pipeline = make_pipeline(StandardScaler(), SparseyClassifier(random_state=0)).fit(X, y)
    assert pipeline.score(X, y) > 0.9
    layer = SparseyLayer((1, 10), 4, (1, 10), (1, 1))
    assert clone(SparseyClassifier(layer, random_state=3)).get_params()["layer__units_per_module"] == 64


@pytest.mark.parametrize("readout", ["counts", "binary", "delta"])
def test_every_readout_learns_digits(readout):
    images, labels = digits()
    memory = SparseyClassifier(readout=readout, critical_period=300, random_state=0).fit(images[:1200], labels[:1200])
    assert memory.score(images[1200:], labels[1200:]) > 0.85
    assert (memory.items_stored_, memory.items_labelled_, memory.presentations_) == (300, 900, 1200)
    probabilities = memory.predict_proba(images[1200:])
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.array_equal(memory.classes_[probabilities.argmax(axis=1)], memory.predict(images[1200:]))


def test_presentations_are_counted():
    X, y = blobs(140)
    twice = SparseyClassifier(label_presentations=2, critical_period=40, random_state=0).fit(X, y)
    assert (twice.items_stored_, twice.items_labelled_, twice.presentations_) == (40, 140, 180)
    during = SparseyClassifier(label_during_critical_period=True, critical_period=40, random_state=0).fit(X, y)
    assert (during.items_stored_, during.items_labelled_, during.presentations_) == (40, 140, 140)
    throughout = SparseyClassifier(critical_period=None, random_state=0).fit(X, y)
    assert (throughout.items_stored_, throughout.items_labelled_, throughout.presentations_) == (140, 140, 140)


def test_labels_on_sampled_codes_cost_accuracy(mnist_data):
    x_train, y_train, x_test, y_test = mnist_data
    chosen = per_class_sample(y_train, 100, np.random.default_rng(0))
    train, test = skeletonize_to(x_train[chosen]), skeletonize_to(x_test[:1000])
    layer = SparseyLayer((24, 16), 1, (5, 5), (2, 1), 8, 64, saturation_limit=0.35)
    found = {}
    for code in ("argmax", "sampled"):
        settings = dict(readout="binary", critical_period=None, label_code=code, random_state=0)
        encoder = IdentityEncoder((24, 16))
        memory = SparseyClassifier(layer, encoder=encoder, **settings).fit(train, y_train[chosen])
        found[code] = memory.score(test, y_test[:1000])
    assert found["argmax"] > found["sampled"] + 0.02


@pytest.mark.parametrize("readout", ["counts", "delta"])
@pytest.mark.parametrize("period", [50, None])
def test_chunks_and_files_make_no_difference(readout, period, tmp_path):
    X, y = blobs(200)
    make = lambda: SparseyClassifier(readout=readout, critical_period=period, random_state=0)  # noqa: E731
    # one first batch for all, since it fixes the thermometers' ranges
    whole = make().partial_fit(X[:100], y[:100], classes=[0, 1, 2]).partial_fit(X[100:], y[100:])
    parts = make().partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    parts.save(tmp_path / "c.nmem")
    parts = neuromem.load(tmp_path / "c.nmem")
    for start in range(100, 200, 7):
        parts.partial_fit(X[start : start + 7], y[start : start + 7])
    same(whole, parts)
    assert np.array_equal(whole.decision_function(X), parts.decision_function(X))


def test_labels_of_any_type_survive_a_file(tmp_path):
    X, y = blobs(60)
    names = np.array(["aa", "b", "cc"])[y]
    objects = [names.astype(object), y.astype(object), np.array([1.5, 2.0, 3.0], object)[y]]
    for labels in (names, y.astype(np.int8), y.astype(np.float64), y.astype(np.float16), y == 1, *objects):
        memory = SparseyClassifier(random_state=0).fit(X, labels)
        memory.save(tmp_path / "m.nmem")
        loaded = neuromem.load(tmp_path / "m.nmem")
        assert loaded.classes_.dtype == memory.classes_.dtype
        assert np.array_equal(loaded.predict(X), memory.predict(X))
        assert loaded.score(X, labels) == memory.score(X, labels) > 0.5


@pytest.mark.parametrize("labels", [[None, "a"], ["a", 1], [b"a", b"b"], [1j, 2j]])
def test_labels_that_cannot_be_sorted_or_saved_are_refused(labels):
    X, _ = blobs(60)
    for memory in (SparseyClassifier(random_state=0), MultiScaleSparseyClassifier([SparseyClassifier()])):
        y = np.array(labels, None if isinstance(labels[0], (bytes, complex)) else object)
        with pytest.raises(InputError, match="all numbers or all text"):
            memory.fit(X, np.tile(y, 30))


def test_bad_use_is_named_and_changes_nothing():
    X, y = blobs(60)
    memory = SparseyClassifier(random_state=0)
    with pytest.raises(NotFittedError):
        memory.predict(X)
    memory.partial_fit(X, y, classes=[0, 1, 2])
    before = memory.copy()
    with pytest.raises(InputError, match="unseen class 7"):
        memory.partial_fit(X[:2], [0, 7])
    with pytest.raises(InputError, match="at the first call"):
        memory.partial_fit(X[:2], [0, 1], classes=[0, 1])
    with pytest.raises(InputError, match="5 features"):
        memory.predict(X[:, :4])
    with pytest.raises(InputError, match="labels for"):
        memory.partial_fit(X, y[:-1])
    same(memory, before)
    for bad in (
        dict(readout="svm"),
        dict(label_code="x"),
        dict(critical_period=0),
        dict(label_presentations=3),
        dict(smoothing=0),
        dict(margin=-1),
        dict(layer="x"),
        dict(encoder="x"),
    ):
        with pytest.raises((InputError, TypeError), match=next(iter(bad))):
            SparseyClassifier(**bad).fit(X, y)
    with pytest.raises(InputError, match="use neuromem.sparsey.encode"):
        SparseyClassifier(encoder=None).fit(X, y)


def binary_stream():
    rng = np.random.default_rng(0)
    prototypes = rng.random((2, 40)) < 0.3
    y = rng.integers(0, 2, 100)
    return (prototypes[y] ^ (rng.random((100, 40)) < 0.05)).astype(np.uint8), y


def test_binary_items_without_an_encoder():
    X, y = binary_stream()
    assert SparseyClassifier(encoder=None, random_state=0).fit(X, y).score(X, y) > 0.9


def test_a_call_that_fails_leaves_what_was_learned():
    X, y = blobs(60)
    memory = SparseyClassifier(random_state=0).fit(X, y)
    scores = memory.decision_function(X)
    memory.set_params(encoder=None)  # these items are not binary
    with pytest.raises(InputError, match="binary input"):
        memory.fit(X, y)
    assert np.array_equal(memory.decision_function(X), scores)
    fresh = SparseyClassifier(encoder=None, random_state=0)
    with pytest.raises(InputError, match="binary input"):
        fresh.partial_fit(X, y)
    assert not hasattr(fresh, "classes_")
    fresh.partial_fit(*binary_stream())
    assert fresh.classes_.tolist() == [0, 1]


def test_without_any_label_there_is_no_guess():
    X, y = blobs(60)
    memory = SparseyClassifier(critical_period=60, random_state=0).fit(X, y)
    assert (memory.items_stored_, memory.items_labelled_) == (60, 0)
    with pytest.raises(NotFittedError, match="critical period of 60"):
        memory.predict(X)
    assert "predict" not in capabilities(memory) and "familiarity" in capabilities(memory)
    memory.partial_fit(X, y)
    assert "predict" in capabilities(memory)
    assert memory.score(X, y) > 0.8


def test_verbs_of_the_layer_work_on_the_classifier_s_items():
    X, y = binary_stream()
    memory = SparseyClassifier(encoder=None, random_state=0)
    assert not capabilities(memory)
    assert memory.write(X[:60], y[:60]).tolist() == list(range(60))
    assert memory.write(X[60:], y[60:]).tolist() == list(range(60, 100))
    assert np.array_equal(memory.familiarity(X), memory.layer_.familiarity(X))
    assert np.array_equal(memory.read(X).values, memory.layer_.read(X).values)
    known = np.arange(40) < 20
    assert np.array_equal(memory.complete(X, known), memory.layer_.complete(X, known))
    assert capabilities(memory) == {"complete", "familiarity", "predict", "read"}
    table = SparseyClassifier(random_state=0).fit(*blobs(60))
    assert "complete" not in capabilities(table)
    with pytest.raises(InputError, match="encoder=None"):
        table.complete(blobs(60)[0], known[:5])
    twice = SparseyClassifier(encoder=None, label_presentations=2, random_state=0)
    assert twice.write(X, y).tolist() == list(range(100)) and twice.write(X, y)[0] == 100


def test_nothing_in_gives_nothing_out():
    images, labels = digits()
    for memory, items in (
        (SparseyClassifier(random_state=0).fit(images[:100], labels[:100]), images),
        (SparseyClassifier(random_state=0).fit(*blobs(60)), blobs(60)[0]),
        (MultiScaleSparseyClassifier([SparseyClassifier()], random_state=0).fit(*blobs(60)), blobs(60)[0]),
    ):
        n_classes = len(memory.classes_)
        assert memory.predict(items[:0]).shape == (0,)
        assert memory.predict_proba(items[:0]).shape == (0, n_classes)


def test_parts_that_do_not_fit_together_are_refused():
    X, y = blobs(60)
    memory, other = (SparseyClassifier(random_state=0).fit(X[:, :d], y) for d in (5, 4))
    two = SparseyClassifier(random_state=0).fit(X[y < 2], y[y < 2])
    strangers = (("layer_", other, "widths|modules"), ("encoder_", other, "widths"), ("label_field_", two, "classes"))
    for part, source, message in strangers:
        state = memory.get_state()
        state["children"][part] = source.get_state()["children"][part]
        with pytest.raises(FormatError, match=message):
            memory.copy().set_state(state)
    state = memory.get_state()
    del state["children"]["encoder_"]
    with pytest.raises(FormatError, match="encoder"):
        memory.copy().set_state(state)
    state = memory.get_state()
    state["scalars"]["items_stored_"] = -1
    with pytest.raises(FormatError, match="counts"):
        memory.copy().set_state(state)
    votes = MultiScaleSparseyClassifier([SparseyClassifier(), SparseyClassifier()], random_state=0).fit(X, y)
    state = votes.get_state()
    state["children"]["networks_"][1] = two.get_state()
    with pytest.raises(FormatError, match="classes"):
        votes.set_state(state)


def test_codes_of_a_class_are_alike_without_labels():
    images, labels = digits()
    memory = SparseyClassifier(random_state=0, critical_period=300).fit(images, labels)
    codes = memory.layer_.present(memory.encoder_.active(images[:500]), False).codes
    shares = memory.layer_.intersect(codes, codes)
    alike = labels[:500, None] == labels[None, :500]
    apart = ~np.eye(500, dtype=bool)
    within, between = np.sort(shares[alike & apart]), shares[~alike]
    rank = np.searchsorted(within, between, side="left") + np.searchsorted(within, between, side="right")
    assert 1 - rank.mean() / (2 * len(within)) > 0.8


def test_multi_scale_votes_and_saves(tmp_path):
    images, labels = digits()
    networks = [
        SparseyClassifier(SparseyLayer((8, 8), 8, (4, 4), (2, 2), 8, 64, saturation_limit=0.2), readout="delta"),
        SparseyClassifier(
            SparseyLayer((8, 8), 8, (6, 6), (2, 2), 8, 64, saturation_limit=0.2),
            encoder=OrientedEdgeEncoder(deskew=True),
            readout="delta",
        ),
    ]
    memory = MultiScaleSparseyClassifier(networks, random_state=0).fit(images[:1200], labels[:1200])
    votes = memory.predict(images[1200:])
    assert (votes == labels[1200:]).mean() > 0.85
    memory.save(tmp_path / "m.nmem")
    loaded = neuromem.load(tmp_path / "m.nmem")
    assert np.array_equal(loaded.decision_function(images), memory.decision_function(images))
    loaded.partial_fit(images[1200:], labels[1200:])
    memory.partial_fit(images[1200:], labels[1200:])
    assert np.array_equal(loaded.decision_function(images), memory.decision_function(images))
    with pytest.raises(InputError, match="networks"):
        MultiScaleSparseyClassifier([]).fit(images, labels)


def test_identity_encoder_with_a_shape():
    encoder = IdentityEncoder((4, 5)).fit(np.zeros((1, 40), np.uint8))
    assert (encoder.channels_, encoder.n_features_out_) == (2, 40)
    with pytest.raises(InputError, match="does not fit"):
        IdentityEncoder((4, 7)).fit(np.zeros((1, 40), np.uint8))
