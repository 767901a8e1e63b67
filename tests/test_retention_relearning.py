"""Savings of memories whose costs of learning are known."""

import numpy as np
import pytest
from retention_memories import Associator, Constant, Fifo, Hostile, KeySet

from neuromem import ExactStore, InputError, InputTypeError, ProbeMutatedMemoryError, ScoreError
from neuromem.retention import ProbeResult, RandomBits, RandomSigns, Templates, savings_probe
from neuromem.retention.adapters import state_digest

BITS = RandomBits(64)
COSTS = ("learning_cost", "relearning_cost", "control_cost")


def values(result, measure, **wanted):
    return result.where(measure=measure, **wanted).values().tolist()


class Strength(KeySet):
    """Each exposure adds 1 to an item, each new item takes 1/64 from all before it, not below 0; 2.5 is enough for recall."""

    def __init__(self, gain=lambda n_known: 1.0):
        super().__init__()
        self.gain = gain

    def write(self, items):
        for row in np.asarray(items):
            key = row.tobytes()
            if key not in self.keys:
                self.keys = {other: max(0.0, strength - 1 / 64) for other, strength in self.keys.items()}
            self.keys[key] = self.keys.get(key, 0.0) + self.gain(len(self.keys))

    def complete(self, cues, known):
        strong = KeySet()
        strong.keys = {key: strength for key, strength in self.keys.items() if strength >= 2.5}
        return strong.complete(cues, known)


@pytest.mark.parametrize("probe", ["recall", "recognition"])
@pytest.mark.parametrize("cost", ["exposures", "updates"])
def test_a_perfect_memory_saves_everything_at_every_age(probe, cost):
    result = savings_probe(KeySet(), BITS, intervals=(0, 10, 500), probe=probe, cost=cost, batch_size=10, seeds=(0, 3))
    learned = 1 if cost == "exposures" else 5
    assert values(result, "learning_cost") == [learned] * 2 and values(result, "control_cost") == [learned] * 6
    assert values(result, "relearning_cost") == [0] * 6
    assert values(result, "savings") == values(result, "savings_control") == [1.0] * 6
    retained = "retained_exact" if probe == "recall" else "retained_accuracy"
    assert values(result, retained) == [1.0] * 6
    assert result.where(measure="savings").values("lag_items").tolist() == [0, 10, 500] * 2
    assert result.where(measure="savings").values("lag_updates").tolist() == [0, 1, 50] * 2


@pytest.mark.jit_off
def test_a_buffer_saves_all_or_nothing():
    """50 items in a buffer of 100: the first of them is lost with the 51st other item."""
    for cost, learned in (("exposures", 1), ("updates", 5)):
        result = savings_probe(Fifo(100), BITS, intervals=(50, 51, 100, 300), cost=cost, batch_size=10, seeds=2)
        assert values(result, "learning_cost") == [learned]
        assert values(result, "retained_exact") == [1.0, 49 / 50, 0.0, 0.0]
        found = values(result, "savings")
        assert found[0] == 1.0 and found[2:] == [0.0, 0.0]
        assert found[1] == 0.0 if cost == "exposures" else 0.0 <= found[1] < 1.0


def test_savings_follow_the_strength_that_is_left():
    """The weakest of 50 items has L - (49 + t) / 64 after t others; what lacks to 2.5 has to be learned again."""
    waits = (0, 10, 100, 200, 1000)
    result = savings_probe(Strength(), BITS, intervals=waits, seeds=range(2))
    again = [max(0, int(np.ceil(2.5 - max(0.0, 4 - (49 + t) / 64)))) for t in waits]
    assert again == [0, 0, 1, 3, 3]
    assert values(result, "learning_cost") == [4, 4] and values(result, "relearning_cost") == again * 2
    assert values(result, "savings") == pytest.approx([(4 - r) / 4 for r in again] * 2)
    assert set(result.where(measure=COSTS).values("condition").tolist()) == {"learned"}


def test_the_control_is_learned_by_the_memory_as_it_is_then():
    """It learns half as fast once it knows 100 items: 2.5 take 5 passes then, and one more where the list is new."""
    slow = Strength(lambda n_known: 1.0 if n_known < 100 else 0.5)
    row = {row["measure"]: row["value"] for row in savings_probe(slow, BITS, intervals=1000, seeds=1)}
    assert row["learning_cost"] == 4 and row["relearning_cost"] == 5 and row["savings"] == -0.25
    assert row["control_cost"] == 6 and row["savings_control"] == pytest.approx(1 / 6)  # in its first pass its items fade


def test_updates_are_a_finer_measure_of_the_same_cost():
    """Relearning needs 3 whole passes of 5 batches and, in the last one, the batch with the weakest item."""
    result = savings_probe(Strength(), BITS, intervals=200, cost="updates", batch_size=10, max_cost=100, seeds=range(4))
    assert all(15 < found <= 20 for found in values(result, "learning_cost"))
    assert all(10 < found <= 15 for found in values(result, "relearning_cost"))


@pytest.mark.parametrize("cost", ["exposures", "updates"])
def test_every_pass_has_the_whole_list_in_an_order_of_its_own(cost):
    written = []

    class Recorder(Constant):
        def write(self, items):
            written.extend(row.tobytes() for row in items)

    limit = 3 if cost == "exposures" else 9
    savings_probe(Recorder(), BITS, n_study=25, intervals=0, cost=cost, max_cost=limit, batch_size=10, seeds=1)
    passes = [written[start : start + 25] for start in range(0, len(written), 25)]
    assert len(passes) == 9 and all(len(set(one)) == 25 for one in passes)  # 3 of learning, relearning and the control each
    assert passes[0] != passes[1] != passes[2] and set(passes[0]) == set(passes[1]) == set(passes[2])
    assert passes[3:6] == passes[:3] and not set(passes[6]) & set(passes[0])


# ---------------------------------------------------------------- what is not known is not said


def test_what_is_never_learned_is_censored():
    for probe in ("recall", "recognition"):
        result = savings_probe(Constant(), BITS, probe=probe, intervals=(0, 20), max_cost=3, seeds=1)
        costs = result.where(measure=COSTS)
        assert set(costs.values("condition").tolist()) == {"censored"} and np.isnan(costs.values()).all()
        assert (costs.values("ci_lo") == 3).all() and np.isnan(costs.values("ci_hi")).all()
        saved = result.where(measure=("savings", "savings_control"))
        assert set(saved.values("condition").tolist()) == {"censored"}
        assert np.isnan(saved.where(measure="savings").curve()["value"]).all()  # no average hides it
        assert np.isnan(saved.values()).all() and np.isnan(saved.values("ci_lo")).all()
        assert (
            values(result, "retained_exact" if probe == "recall" else "retained_accuracy")
            == [0.0 if probe == "recall" else 0.5] * 2
        )


def test_relearning_that_fails_bounds_savings_from_above():
    tired = Strength(lambda n_known: 1.0 if n_known <= 50 else 0.0)
    result = savings_probe(tired, BITS, intervals=(0, 300), max_cost=6, seeds=1)
    assert values(result, "learning_cost") == [4] and values(result, "savings", lag_items=0) == [1.0]
    late = {row["measure"]: row for row in result.where(lag_items=300)}
    assert late["relearning_cost"]["condition"] == late["savings"]["condition"] == "censored"
    assert late["relearning_cost"]["ci_lo"] == 6 and late["savings"]["value"] is None
    assert late["savings"]["ci_lo"] is None and late["savings"]["ci_hi"] == (4 - 6) / 4


def test_learning_that_fails_bounds_savings_from_below():
    class Consolidates(KeySet):
        """Knows nothing until 100 items were written after it."""

        def complete(self, cues, known):
            return super().complete(cues, known) if self.count > 250 else np.where(known, cues, 2)

    result = savings_probe(Consolidates(), BITS, intervals=200, max_cost=2, seeds=1)
    row = {row["measure"]: row for row in result}
    assert row["learning_cost"]["condition"] == "censored" and row["relearning_cost"]["value"] == 0
    assert row["savings"]["condition"] == "censored" and row["savings"]["ci_lo"] == row["savings"]["ci_hi"] == 1.0
    assert row["control_cost"]["value"] == 1 and row["savings_control"]["value"] == 1.0


def test_no_savings_are_defined_for_what_was_known_before():
    result = savings_probe(Constant(), BITS, probe="recognition", criterion=0.5, intervals=0, seeds=1)  # ties are worth one half
    assert values(result, "learning_cost") == [0]
    saved = result.where(measure=("savings", "savings_control"))
    assert set(saved.values("condition").tolist()) == {"known before"} and np.isnan(saved.values()).all()


def test_files_keep_what_is_censored(tmp_path):
    result = savings_probe(Constant(), BITS, intervals=(0, 20), max_cost=2, seeds=1)
    result.to_json(tmp_path / "savings.json")
    assert ProbeResult.load(tmp_path / "savings.json") == result


# ---------------------------------------------------------------- conduct


def test_results_are_the_same_again_and_intervals_do_not_disturb_each_other():
    options = {"n_study": 20, "cue_kind": "key", "n_key": 64, "measure": "component_accuracy", "criterion": 0.85, "batch_size": 4}
    memory, source = Associator(64, lam=1e-3), RandomSigns(128)
    runs = [savings_probe(memory, source, intervals=waits, seeds=2, **options) for waits in ((0, 50, 400), (0, 50, 400), (400,))]
    assert runs[0] == runs[1]
    for measure in ("relearning_cost", "control_cost", "retained_component_accuracy"):
        assert values(runs[0], measure, lag_items=400) == values(runs[2], measure)
    assert not memory.weights.any()


def test_a_memory_that_is_empty_or_pure_stays_so():
    memory = ExactStore(64)
    memory.write(BITS.get(np.arange(5)))
    before = state_digest(memory)
    savings_probe(memory, BITS, n_study=10, intervals=(0, 5), seeds=1, check_purity=True)
    assert state_digest(memory) == before
    with pytest.raises(ProbeMutatedMemoryError, match="savings_probe"):
        savings_probe(Hostile("writes"), BITS, n_study=10, seeds=1)


def test_memories_are_made_and_targets_given_where_asked():
    class Labelled(KeySet):
        seen = 0

        def write(self, items, targets):
            Labelled.seen += len(targets)
            super().write(items)

    result = savings_probe(lambda seed: Labelled(), Templates(64, 3, 0.2), n_study=10, intervals=5, with_targets=True, seeds=1)
    assert values(result, "savings") == [1.0] and Labelled.seen == 10 + 5 + 10
    assert result.config["memory"] == "Labelled" and result.config["criterion"] == 1.0


def test_what_is_missing_or_not_finite_is_named():
    class Writes:
        def write(self, items):
            pass

    with pytest.raises(InputTypeError, match=r"Writes has no complete, which savings_probe needs.*adapt\(memory, complete="):
        savings_probe(Writes(), BITS)
    with pytest.raises(InputTypeError, match="Writes has no familiarity"):
        savings_probe(Writes(), BITS, probe="recognition")
    with pytest.raises(ScoreError, match="nan"):
        savings_probe(Hostile("nan"), BITS, n_study=10)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"n_study": 1}, "n_study"),
        ({"intervals": (10, 5)}, "intervals"),
        ({"intervals": -1}, "intervals"),
        ({"intervals": (5, 5)}, "intervals"),
        ({"criterion": 0}, "criterion"),
        ({"criterion": 1.5}, "criterion"),
        ({"probe": "smell"}, "probe"),
        ({"measure": "cosine"}, "measure"),
        ({"cost": "money"}, "cost"),
        ({"max_cost": 0}, "max_cost"),
        ({"foil": "strange", "probe": "recognition"}, "foil"),
        ({"cue_fraction": 0}, "cue_fraction"),
        ({"cue_fraction": 1.0}, "nothing is left"),
        ({"batch_size": 0}, "batch_size"),
        ({"seeds": ()}, "seeds"),
    ],
)
def test_bad_arguments_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        savings_probe(Constant(), BITS, **wrong)
