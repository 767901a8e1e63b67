"""The classifier of sequences: it learns what only a memory can tell, and keeps scikit-learn's conventions."""

import pickle

import numpy as np
import pytest

import neuromem
from neuromem import InputError, NotFittedError
from neuromem.errors import FormatError
from neuromem.hcam.classifier import HCAMClassifier

SMALL = {"width": 16, "window": 4, "hidden": 16, "chunk_size": 8, "top_k": 2, "n_heads": 2, "n_epochs": 2, "random_state": 0}


def marked_events(n, n_steps, seed, n_classes=4):
    """One marked event long before the end gives the class; events without the mark, and noise, do not."""
    rng = np.random.default_rng(seed)
    X, y = 0.3 * rng.standard_normal((n, n_steps, n_classes + 1)), rng.integers(0, n_classes, n)
    at = rng.integers(0, n_steps - 20, n)
    for i in range(n):
        X[i, rng.integers(0, n_steps, 5), rng.integers(0, n_classes, 5)] += 2
        X[i, at[i] : at[i] + 3, [[y[i]], [n_classes]]] += 2
    return X, y


def tiny(seed=0, n=20, n_steps=11):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n_steps, 3)), np.arange(n) % 3


def test_an_event_is_found_again_at_lengths_never_trained_on():
    X, y = marked_events(240, 60, 0)
    model = HCAMClassifier(32, 4, 32, 8, n_epochs=8, learning_rate=4e-3, random_state=0).fit(X, y)
    assert model.loss_curve_[-1] < 0.2 < model.loss_curve_[0]
    for n_steps in (60, 240):
        held_out, wanted = marked_events(100, n_steps, 1)
        assert model.score(held_out, wanted) > 0.9  # chance is 0.25
    shuffled = held_out[np.random.default_rng(2).permutation(100)]
    assert model.score(shuffled, wanted) < 0.5


def test_fit_gives_what_scikit_learn_expects():
    X, y = tiny()
    names = np.array(["b", "a", "c"])[y]
    model = HCAMClassifier(**SMALL)
    assert model.fit(X, names) is model
    assert model.classes_.tolist() == ["a", "b", "c"] and model.n_features_in_ == 3
    assert len(model.loss_curve_) == 2 and model.n_updates_ == 4
    scores = model.decision_scores(X)
    assert scores.shape == (20, 3) and scores.dtype == np.float32
    assert np.array_equal(model.predict(X), model.classes_[scores.argmax(axis=1)])
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)
    assert np.array_equal(model.decision_function(X), scores)
    assert model.score(X, names) == np.mean(model.predict(X) == names)
    two = HCAMClassifier(**SMALL).fit(X, y % 2)
    assert np.allclose(two.decision_function(X), np.diff(two.decision_scores(X), axis=1)[:, 0])
    assert model.get_params() == HCAMClassifier(**SMALL).get_params()
    assert model.predict(X[:0]).shape == (0,)


def test_scikit_learn_clones_it():
    base = pytest.importorskip("sklearn.base")
    made = base.clone(HCAMClassifier(**SMALL))
    assert made.get_params() == HCAMClassifier(**SMALL).get_params()
    assert base.is_classifier(made)


def test_the_same_seed_gives_the_same_weights():
    X, y = tiny()
    first, again, other = (HCAMClassifier(**SMALL | {"random_state": seed}).fit(X, y) for seed in (0, 0, 1))
    assert np.array_equal(first.weights_, again.weights_) and not np.array_equal(first.weights_, other.weights_)
    first.fit(X, y)  # forgets, and starts from the same
    assert np.array_equal(first.weights_, again.weights_)


def test_weights_of_the_network_are_views():
    X, y = tiny()
    model = HCAMClassifier(**SMALL).fit(X, y)
    for made in (model, model.copy(), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert all(np.shares_memory(w, made.weights_) for w in made.network_.weights.values())
        assert sum(w.size for w in made.network_.weights.values()) == made.weights_.size
        assert made.optimiser_.slots["first"]["all"] is made.first_moments_
    assert not np.shares_memory(model.copy().weights_, model.weights_)


def test_one_pass_at_a_time():
    X, y = tiny()
    model = HCAMClassifier(**SMALL).partial_fit(X[:5], y[:5], classes=[0, 1, 2])
    halves = model.copy().partial_fit(X[5:], y[5:])
    assert len(halves.loss_curve_) == 2 and len(model.loss_curve_) == 1
    model.partial_fit(X[5:], y[5:])
    assert np.array_equal(model.weights_, halves.weights_)
    model.partial_fit(X[:, :4], y)  # another length
    before = model.weights_.copy()
    with pytest.raises(InputError, match="unseen class 5"):
        model.partial_fit(X, y + 5)
    with pytest.raises(InputError, match="classes are"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(InputError, match="X has 2 features"):
        model.partial_fit(X[..., :2], y)
    assert np.array_equal(model.weights_, before)


@pytest.mark.parametrize(
    "labels", [np.array(["x", "yy", "z"]), np.array([0.5, 1, 2]) * 2, np.array([True, False]), np.array(["x", "q"], object)]
)
def test_a_saved_classifier_continues_as_it_would_have(tmp_path, labels):
    X, y = tiny()
    y = labels[y % len(labels)]
    model = HCAMClassifier(**SMALL).fit(X, y)
    model.save(tmp_path / "model.nmem")
    loaded = neuromem.load(tmp_path / "model.nmem")
    assert np.array_equal(loaded.decision_scores(X), model.decision_scores(X))
    assert np.array_equal(loaded.classes_, model.classes_) and loaded.classes_.dtype == model.classes_.dtype
    for made in (model, loaded):
        made.partial_fit(X, y)
    assert np.array_equal(loaded.weights_, model.weights_) and loaded.loss_curve_ == model.loss_curve_


def test_states_that_no_classifier_has_are_refused():
    X, y = tiny()
    model = HCAMClassifier(**SMALL).fit(X, y)
    for part, name, value in (
        ("arrays", "weights_", np.zeros(5, np.float32)),
        ("arrays", "mean_", np.full(3, np.nan)),
        ("arrays", "spread_", np.zeros(3)),
        ("arrays", "second_moments_", -np.ones_like(model.weights_)),
        ("arrays", "first_moments_", np.zeros(model.weights_.size)),
        ("scalars", "class_names_", [1, 1, 2]),
        ("scalars", "class_names_", "abc"),
        ("scalars", "class_type_", "<U999999999"),
        ("scalars", "n_updates_", -1),
        ("scalars", "n_features_in_", 2.0),
        ("scalars", "loss_curve_", None),
        ("params", "n_layers", 10**9),
        ("params", "width", 17),
    ):
        state = model.get_state()
        state[part][name] = value
        with pytest.raises(FormatError):
            HCAMClassifier().set_state(state)
    state = model.get_state()
    del state["arrays"]["mean_"]
    with pytest.raises(FormatError, match="a fitted classifier has"):
        HCAMClassifier().set_state(state)


def test_before_and_after_forgetting():
    X, y = tiny()
    model = HCAMClassifier(**SMALL)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.fit(X, y).reset()
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert vars(model) == vars(HCAMClassifier(**SMALL))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"width": 10, "n_heads": 4}, "multiple of n_heads"),
        ({"width": 9, "n_heads": 3}, "even number"),
        ({"n_layers": 0}, "n_layers is 0"),
        ({"chunk_size": 0}, "chunk_size is 0"),
        ({"n_epochs": 0}, "n_epochs is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"clip_norm": -1}, "clip_norm is -1"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"random_state": "seed"}, "random_state is 'seed'"),
    ],
)
def test_bad_parameters_are_named_and_change_nothing(params, message):
    X, y = tiny()
    model = HCAMClassifier(**SMALL).fit(X, y)
    wanted = model.predict(X)
    model.set_params(**params)
    with pytest.raises(InputError, match=message):
        model.fit(X, y)
    model.set_params(**{name: SMALL.get(name, getattr(HCAMClassifier(), name)) for name in params})
    assert np.array_equal(model.predict(X), wanted)


def test_bad_data_are_named_and_change_nothing():
    X, y = tiny()
    model = HCAMClassifier(**SMALL).fit(X, y)
    before = model.weights_.copy()
    holed = X.copy()
    holed[3, 2, 1] = np.nan
    for bad, labels, message in (
        (X[0], y, "Expected 3D array, got 2D"),
        (X[:, :0], y, "steps from 1 up"),
        (X[:0], y[:0], "0 sample"),
        (holed, y, "NaN or infinity"),
        (X + 1j, y, "Complex data not supported"),
        (X, y[:-1], "inconsistent numbers of samples"),
        (X, None, "y is None"),
        (np.full((2, 2, 2), "a"), y[:2], "X is not numeric"),
    ):
        with pytest.raises(InputError, match=message):
            model.fit(bad, labels)
    assert np.array_equal(model.weights_, before)
    with pytest.raises(InputError, match="X has 2 features"):
        model.predict(X[..., :2])


def test_learning_that_breaks_off_changes_nothing():
    X, y = tiny()
    model = HCAMClassifier(**SMALL).fit(X, y)
    before = model.weights_.copy()

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    for call in (lambda: model.fit(X, y + 1, progress=stop), lambda: broken(model, X, y)):
        with pytest.raises(KeyboardInterrupt):
            call()
        assert np.array_equal(model.weights_, before) and model.classes_.tolist() == [0, 1, 2]
        assert np.array_equal(model.network_.weights["head.b"], model.weights_[-3:])


def broken(model, X, y):
    """A pass that ends after its first step."""
    step = model.optimiser_.step

    def once(gradients):
        step(gradients)
        raise KeyboardInterrupt

    model.optimiser_.step = once
    model.partial_fit(X, y)
