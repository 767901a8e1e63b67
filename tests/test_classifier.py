"""The classifiers: scikit-learn's contract, the label rules, bookkeeping, files."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import neuromem
from neuromem import InputError, MultiScaleSparseyClassifier, NotFittedError, SparseyClassifier, SparseyLayer
from neuromem.datasets import digits
from neuromem.experiments.controls import per_class_sample
from neuromem.sparsey import LabelField
from neuromem.sparsey.encode import IdentityEncoder, OrientedEdgeEncoder, skeletonize_to

EXPECTED_FAILURES = {
    "check_estimators_unfitted": "the error is the library's own NotFittedError; scikit-learn's class is not imported",
    "check_supervised_y_2d": "the warning that is asked for is scikit-learn's own class, which the library does not import",
}


@parametrize_with_checks([SparseyClassifier(random_state=0)], expected_failed_checks=lambda estimator: EXPECTED_FAILURES)
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


@pytest.mark.parametrize("n", [1, 2])
def test_threads_make_no_difference(n):
    X, y = blobs()
    with neuromem.threads(n):
        memory = SparseyClassifier(readout="delta", random_state=0).fit(X, y)
        scores = memory.decision_function(X)
    reference = SparseyClassifier(readout="delta", random_state=0).fit(X, y)
    same(memory, reference)
    assert np.array_equal(scores, reference.decision_function(X))


def test_labels_of_any_type_survive_a_file(tmp_path):
    X, y = blobs(60)
    for labels in (np.array(["aa", "b", "cc"])[y], y.astype(np.int8), y.astype(np.float64), y == 1):
        memory = SparseyClassifier(random_state=0).fit(X, labels)
        memory.save(tmp_path / "m.nmem")
        assert np.array_equal(neuromem.load(tmp_path / "m.nmem").predict(X), memory.predict(X))


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


def test_binary_items_without_an_encoder():
    rng = np.random.default_rng(0)
    prototypes = rng.random((2, 40)) < 0.3
    y = rng.integers(0, 2, 100)
    X = (prototypes[y] ^ (rng.random((100, 40)) < 0.05)).astype(np.uint8)
    assert SparseyClassifier(encoder=None, random_state=0).fit(X, y).score(X, y) > 0.9


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


def test_label_field_checks_its_input():
    field = LabelField(3, 4, 2)
    codes = np.array([[0, 1, 255]], np.uint8)
    field.learn(codes, [1])
    assert field.scores(codes).argmax() == 1 and field.n_labelled_ == 1
    for bad, message in ((codes[:, :2], "modules"), (codes.astype(int), "int64"), (codes + np.uint8(9), "winners beyond")):
        with pytest.raises(InputError, match=message):
            field.scores(bad)
    with pytest.raises(InputError, match="classes"):
        field.learn(codes, [2])


def test_identity_encoder_with_a_shape():
    encoder = IdentityEncoder((4, 5)).fit(np.zeros((1, 40), np.uint8))
    assert (encoder.channels_, encoder.n_features_out_) == (2, 40)
    with pytest.raises(InputError, match="does not fit"):
        IdentityEncoder((4, 7)).fit(np.zeros((1, 40), np.uint8))
