"""Assertions on retention: they fail when they should, hardly ever when they should not, and say what was measured."""

import math

import numpy as np
import pytest
from retention_memories import Constant, Fifo, Hostile, KeySet

from neuromem import ExactStore, InputError, InputTypeError, ProbeMutatedMemoryError, WillshawMemory
from neuromem.protocols import ItemSpec
from neuromem.retention import RandomBits, RandomSigns, assert_retention, retention_curve
from neuromem.retention.adapters import state_digest
from neuromem.retention.assertions import Claim, check_power, divergence, upper_bound

BITS = RandomBits(64)


class Leaky(KeySet):
    """Knows each item with a chance that depends on how many came after it, drawn by the item and a seed."""

    def __init__(self, chance, seed):
        super().__init__()
        self.chance, self.seed = chance, seed

    def complete(self, cues, known):
        found = super().complete(cues, known)
        draws = np.random.default_rng([self.seed, 7]).random(1 << 16)[np.packbits(found, axis=1).view(np.uint16)[:, 0]]
        lost = draws >= self.chance(self.count)
        found[lost] = np.where(known, cues, 1 - found)[lost]
        return found


def fails(*arguments, **options):
    with pytest.raises(AssertionError) as caught:
        assert_retention(*arguments, **options)
    return str(caught.value)


# ---------------------------------------------------------------- what passes and what fails


def test_a_perfect_memory_passes_everything():
    memory = KeySet()
    result = assert_retention(memory, BITS, recognition_at_least=1.0, recall_at_least=1.0, lag=(10, 500), max_drop=0.0)
    assert result == retention_curve(
        memory, BITS, n_target=200, checkpoints=[0, 10, 500], foils="novel", measures="exact", seeds=range(4)
    )
    assert not memory.keys


def test_what_knows_nothing_fails():
    text = fails(Constant(), BITS, recognition_at_least=0.9, recall_at_least=0.9)
    assert text.startswith("Constant: 2 of 2 claims fail, seeds [0, 1, 2, 3], 200 items each")
    lines = text.splitlines()
    assert "false alarms below 0.001" in lines[1] and lines[2].split() == ["claim", "measured", "bound", "wanted"]
    assert lines[3].startswith("FAILS  recognition novel at lag 0") and "0.5000" in lines[3] and ">= 0.9" in lines[3]
    assert lines[4].startswith("FAILS  recall exact at lag 0") and "n = 800" in lines[4]


def test_a_buffer_passes_up_to_its_size():
    options = {"recognition_at_least": 0.95, "recall_at_least": 0.95}
    assert_retention(Fifo(300), BITS, lag=100, **options)
    text = fails(Fifo(300), BITS, lag=(100, 301), **options)
    found = {line[7:51].strip(): line for line in text.splitlines()[3:]}
    assert found["recall exact at lag 100"].startswith("holds") and found["recall exact at lag 301"].startswith("FAILS")
    assert found["recognition novel at lag 301"].startswith("FAILS") and "3 of" not in text
    # floors of their own for each lag
    assert_retention(Fifo(300), BITS, recall_at_least={0: 1.0, 100: 1.0, 150: 0.7, 200: 0.45})
    assert "recall exact at lag 150" in fails(Fifo(300), BITS, recall_at_least={150: 0.9})


def test_the_drop_is_bounded():
    """A buffer of 300 has lost 100 of 200 targets after 200 others: a drop of one half, of which recognition sees a quarter."""
    assert_retention(Fifo(300), BITS, lag=200, max_drop=0.5)
    assert_retention(Fifo(300), BITS, lag=200, max_drop=0.45)  # not surely more than that
    text = fails(Fifo(300), BITS, lag=200, max_drop=0.3)
    assert "1 of 4 claims fails" in text and "FAILS  recall exact: drop, lag 0 to 200" in text and "<= 0.3" in text


def test_rising_with_age_is_a_fault_unless_it_is_allowed():
    late = Leaky(lambda count: 0.9 if count > 250 else 0.4, 0)
    text = fails(late, BITS, lag=(20, 100), recall_at_least=0.2)
    assert "FAILS  recall exact: rise, lag 0 to 100" in text and "FAILS  recall exact: rise, lag 20 to 100" in text
    assert "holds  recall exact: rise, lag 0 to 20" in text
    assert_retention(late, BITS, lag=(20, 100), recall_at_least=0.2, non_increasing=False)


def test_items_that_suit_the_memory_are_made_where_none_are_given():
    memory = ExactStore(64, capacity=500, on_full="oldest")
    before = state_digest(memory)
    result = assert_retention(memory, recognition_at_least=0.99, lag=50, n_target=100)
    assert result.config["source"][0] == "Gaussian" or result.config["source"][0].startswith("Random")
    assert state_digest(memory) == before
    made = assert_retention(
        lambda seed: WillshawMemory(128), recall_at_least=0.5, lag=5, n_target=10, n_key=None, seeds=range(20)
    )
    assert made.config["system"] == "WillshawMemory"
    with pytest.raises(InputTypeError, match="KeySet has no item_spec, so source is needed"):
        assert_retention(KeySet(), recall_at_least=0.9)


def test_what_the_memory_can_do_is_measured_where_no_floor_is_given():
    class Recognizes(KeySet):
        unavailable_ = ("complete",)
        item_spec = ItemSpec(64, "binary")

    assert set(assert_retention(Recognizes(), lag=10).values("probe").tolist()) == {"recognition"}
    assert set(assert_retention(KeySet(), BITS, lag=10, max_drop=0.1).values("probe").tolist()) == {"recognition", "recall"}
    assert set(assert_retention(KeySet(), BITS, recall_at_least=0.9).values("probe").tolist()) == {"recall"}


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("n", [1, 5, 40, 800])
@pytest.mark.parametrize("alarm", [0.05, 0.001])
def test_bounds_hold_for_the_exact_binomial(n, alarm):
    """Just above its bound, an expectation gives a count as low with a chance below ``alarm``."""
    binom = pytest.importorskip("scipy.stats").binom
    counts = np.unique(np.linspace(0, n, 30).astype(int))
    bounds = np.array([upper_bound(k / n, n, alarm) for k in counts])
    assert (binom.cdf(counts, n, bounds) <= alarm * (1 + 1e-9))[counts < n].all()
    assert (np.diff(bounds) >= 0).all() and bounds[-1] == 1.0
    # and it is no idle bound
    exact = np.array([binom.cdf(k, n, upper_bound(k / n, n, alarm)) for k in counts[counts < n]])
    assert (exact > alarm / (10 * (n + 1))).all()


def test_divergence_has_its_known_values():
    assert divergence(0.5, 0.5) == 0 and divergence(1.0, 0.5) == pytest.approx(math.log(2))
    assert divergence(0.0, 0.25) == pytest.approx(-math.log(0.75)) and divergence(0.5, 1.0) == math.inf
    assert upper_bound(0.0, 100, 0.01) == pytest.approx(1 - 0.01 ** (1 / 100))


def test_false_alarms_are_rarer_than_promised_and_real_losses_are_found():
    """A memory that is exactly at its floor fails in at most a tenth of 200 experiments; one well below always does."""
    options = {"recall_at_least": 0.8, "confidence": 0.9, "n_target": 50, "seeds": 1, "non_increasing": False}
    outcomes = {}
    for chance in (0.8, 0.4):
        failed = 0
        for seed in range(200):
            try:
                assert_retention(Leaky(lambda count, chance=chance: chance, seed), BITS.reseeded(seed), **options)
            except AssertionError:
                failed += 1
        outcomes[chance] = failed
    assert outcomes[0.8] <= 20 and outcomes[0.4] == 200


def test_all_claims_together_share_the_chance_of_a_false_alarm():
    """More claims, wider bounds: of 400 outcomes of which half are right, one claim's and a quarter's of the chance."""
    floors = {0: 0.9, 50: 0.9, 100: 0.9, 120: 0.9}
    for asked in (floors, {100: 0.9}):
        text = fails(Fifo(150), BITS, recall_at_least=asked, n_target=100, non_increasing=False)
        line = next(line for line in text.splitlines() if "at lag 100" in line)
        assert f"of {len(asked)} claim" in text
        assert f"0.5000  <=  {upper_bound(0.5, 400, 0.001 / len(asked)):.4f}" in line


def test_ties_that_count_half_are_within_the_bound():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(2000):
        values = rng.choice([0.5, 1.0], 60, p=[0.4, 0.6])  # 0.8 on average
        alarms += Claim("", values, 0.8).judged(0.05)[0]
    assert alarms <= 100


def test_claims_that_cannot_fail_are_refused():
    with pytest.raises(InputError, match=r"recognition_at_least is 0\.5 at lag 0, guessing gives 0\.5: no memory could fail"):
        assert_retention(KeySet(), BITS, recognition_at_least=0.5)
    with pytest.raises(InputError, match=r"recognition_at_least is 0\.6 at lag 0, which 20 outcomes cannot tell from guessing"):
        assert_retention(KeySet(), BITS, recognition_at_least=0.6, n_target=20, seeds=1)
    with pytest.raises(InputError, match=r"339 are needed") as caught:
        check_power({0: 0.6}, 0.5, 20, 0.001, "recognition_at_least")
    assert math.ceil(math.log(1000) / divergence(0.5, 0.6)) == 339 and "raise n_target" in str(caught.value)
    check_power({0: 0.6}, 0.5, 339, 0.001, "recognition_at_least")
    for options in ({}, {"lag": 0, "max_drop": 0.1}, {"lag": 5, "non_increasing": False}):
        with pytest.raises(InputError, match="nothing is claimed"):
            assert_retention(KeySet(), BITS, **options)


# ---------------------------------------------------------------- conduct


def test_the_same_text_comes_again():
    options = {"recall_at_least": 0.9, "lag": 150, "n_target": 100}
    assert fails(Fifo(200), BITS, **options) == fails(Fifo(200), BITS, **options)


def test_what_goes_wrong_in_the_probe_is_no_failed_assertion():
    with pytest.raises(ProbeMutatedMemoryError):
        assert_retention(Hostile("writes"), BITS, recognition_at_least=0.9)
    with pytest.raises(InputTypeError, match=r"KeySet has no read.*adapt\(memory, read="):
        assert_retention(KeySet(), BITS, recall_at_least=0.9, cue_kind="noise")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"recall_at_least": 1.5}, "recall_at_least"),
        ({"recognition_at_least": -0.1}, "recognition_at_least"),
        ({"recall_at_least": {-1: 0.9}}, "lags of recall_at_least"),
        ({"recall_at_least": 0.9, "lag": (5, 2)}, "checkpoints"),
        ({"recall_at_least": 0.9, "lag": -1}, "checkpoints"),
        ({"recall_at_least": 0.9, "confidence": 1.0}, "confidence"),
        ({"recall_at_least": 0.9, "max_drop": 2}, "max_drop"),
        ({"recall_at_least": 0.9, "n_target": 1}, "n_target"),
        ({"recall_at_least": 0.9, "seeds": ()}, "seeds"),
        ({"recognition_at_least": 0.9, "foil": "strange"}, "foil"),
    ],
)
def test_bad_arguments_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        assert_retention(KeySet(), BITS, **wrong)


def test_keys_and_values_can_be_asked_for():
    result = assert_retention(KeySet(), RandomSigns(64), recall_at_least=0.99, cue_kind="key", n_key=40, lag=20)
    assert set(result.where(probe="recall").values("cue").tolist()) == {"key"}
