"""Objects of other makes as memories under probe: other names of verbs, models with a loss, classifiers, labels."""

import numpy as np
import pytest
from retention_memories import KeySet

from neuromem import ExactStore, InputError, InputTypeError
from neuromem.retention import (
    ClassifierMemory,
    Gaussian,
    LossMemory,
    RandomBits,
    Templates,
    adapt,
    recall_probe,
    recognition_probe,
)
from neuromem.retention.adapters import Reader, copy_of

BITS = RandomBits(64)


def accuracies(result, **wanted):
    return result.where(measure="accuracy", **wanted).values()


class Foreign:
    """Other names, and no copy method."""

    def __init__(self):
        self.kept = KeySet()

    def fit_more(self, items):
        self.kept.write(items)

    def known(self, items):
        return self.kept.familiarity(items)


def test_objects_with_other_names_are_adapted():
    inner = Foreign()
    by_name = adapt(inner, write="fit_more", familiarity="known", name="foreign")
    by_function = adapt(inner, write=lambda f, items: f.fit_more(items), familiarity=lambda f, items: f.known(items))
    results = [recognition_probe(memory, BITS, n_study=20, seeds=1) for memory in (by_name, by_function)]
    assert (accuracies(results[0], exposures=1) == 1.0).all() and not inner.kept.keys
    assert results[0].rows()[0]["system"] == "foreign" and results[1].rows()[0]["system"] == "Foreign"
    with pytest.raises(InputTypeError, match="has no complete"):
        recall_probe(by_name, BITS)
    with pytest.raises(InputTypeError, match="familiarity='nothing', but Foreign has no method nothing"):
        adapt(inner, familiarity="nothing")
    with pytest.raises(InputTypeError, match="write is 3"):
        adapt(inner, write=3)


def test_what_an_adapter_supplies_is_available():
    class Without(KeySet):
        unavailable_ = ("complete",)

    memory = adapt(Without(), complete=lambda m, cues, known: KeySet.complete(m, cues, known))
    result = recall_probe(memory, BITS, n_study=20, seeds=1)
    assert result.where(measure="exact", exposures=1).values() == 1.0


def test_losses_are_turned_into_familiarity():
    """A linear autoencoder without a bias, trained by steps on batches."""

    def step(model, items, targets):
        for _ in range(20):
            model["w"] += 0.02 / len(items) * items.T @ (items - items @ model["w"])

    def loss(model, items):
        return ((items - items @ model["w"]) ** 2).mean(axis=1)

    model = {"w": np.zeros((64, 64), np.float32)}
    memory = LossMemory(model, step, loss)
    result = recognition_probe(memory, Gaussian(64), n_study=20, exposures=(1, 5), foils="novel", batch_size=20, seeds=range(3))
    assert accuracies(result, exposures=5).min() > 0.9 and not model["w"].any()
    with pytest.raises(InputTypeError, match="LossMemory cannot complete as it stands"):
        recall_probe(memory, Gaussian(64), n_study=20)


def test_classifiers_take_classes_as_targets():
    naive_bayes = pytest.importorskip("sklearn.naive_bayes")
    memory = ClassifierMemory(naive_bayes.BernoulliNB(), range(3))
    source = Templates(64, 3, 0.1)
    with pytest.raises(InputError, match="labelled items"):
        Reader(memory, None, "x").memory.write(source.get([0]))
    trained = copy_of(memory)
    trained.write(source.get(np.arange(30)), source.classes(np.arange(30)))
    assert (trained.predict(source.get(np.arange(60, 90))) == np.arange(60, 90) % 3).all()
    assert trained.familiarity(source.get(np.arange(3))).shape == (3,)
    assert not hasattr(memory.classifier, "classes_")


def test_targets_are_given_where_asked():
    memory = ExactStore(64)
    source = Templates(64, 3, 0.2)
    seen = recognition_probe(memory, source, n_study=30, with_targets=True, foils=("novel", "class"), seeds=1)
    assert (accuracies(seen, exposures=1) == 1.0).all() and len(memory) == 0
