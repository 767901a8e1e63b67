"""Capacity of memories of known size, and of networks whose laws are known."""

import math

import numpy as np
import pytest
from retention_memories import Constant, Fifo, Hostile, KeySet

from neuromem import (
    ExactStore,
    HopfieldNetwork,
    InputError,
    InputTypeError,
    ProbeMutatedMemoryError,
    ScoreError,
    WillshawMemory,
)
from neuromem.retention import (
    REFERENCE_LINES,
    ArrayItems,
    Gaussian,
    ProbeResult,
    RandomBits,
    RandomSigns,
    SparseBits,
    Templates,
    capacity_probe,
    item_information,
)
from neuromem.retention.adapters import state_digest
from neuromem.retention.statistics import normal_share

BITS = RandomBits(64)


def found(result, measure="items", condition="capacity"):
    return result.where(measure=measure, condition=condition).values().tolist()


class Outer:
    """Hebb's rule without self-couplings, one step for all units at once; what it reads are signs."""

    def __init__(self, width):
        self.couplings = np.zeros((width, width))

    def write(self, items):
        items = items.astype(float)
        self.couplings += items.T @ items
        np.fill_diagonal(self.couplings, 0.0)

    def read(self, cues, k=1):
        fields = cues @ self.couplings
        return np.where(fields >= 0, 1, -1)[:, None]


# ---------------------------------------------------------------- known sizes


@pytest.mark.parametrize(("size", "threshold"), [(37, 0.95), (37, 1.0), (100, 0.9), (64, 0.5), (1, 1.0)])
def test_a_buffer_holds_its_size_over_the_threshold(size, threshold):
    """Of N items M are recalled: M / N is enough up to N = M / threshold."""
    result = capacity_probe(Fifo(size), BITS, threshold=threshold, resolution=0.0, seeds=range(2))
    largest = math.floor(size / threshold + 1e-9)
    assert found(result) == [largest] * 2 and found(result, "items_per_unit") == [largest / 64] * 2
    rows = result.where(condition="load", seed=0)
    exact = {row["level"]: row["value"] for row in rows}
    assert all(value == pytest.approx(min(1.0, size / load)) for load, value in exact.items())
    assert largest in exact and largest + 1 in exact
    assert result.where(measure="items").curve()["value"].tolist() == [largest]  # over seeds
    bounds = result.where(measure="items", seed=0)
    assert bounds.values("ci_lo")[0] <= largest
    assert np.isnan(bounds.values("ci_hi")[0]) or bounds.values("ci_hi")[0] > largest


def test_bisection_ends_at_the_resolution():
    exact = capacity_probe(Fifo(700), BITS, threshold=1.0, resolution=0.0, seeds=1)
    coarse = capacity_probe(Fifo(700), BITS, threshold=1.0, resolution=0.1, seeds=1)
    assert found(exact) == [700] and 630 <= found(coarse)[0] <= 700
    assert len(coarse.where(condition="load")) < len(exact.where(condition="load"))


def test_the_interval_is_where_single_loads_are_sure():
    """A load surely fails when all of its interval is below the threshold: 100 of 120, but not yet 100 of 115."""
    result = capacity_probe(Fifo(100), BITS, threshold=0.9, load_grid=range(20, 200, 5), seeds=1)
    loads = {row["level"]: row for row in result.where(condition="load")}
    row = result.where(measure="items").rows()[0]
    assert row["value"] == 110 and loads[110]["value"] >= 0.9 > loads[115]["value"]
    assert row["ci_lo"] == max(load for load, own in loads.items() if own["ci_lo"] >= 0.9 and load <= 110) == 100
    assert row["ci_hi"] == min(load for load, own in loads.items() if own["ci_hi"] < 0.9 and load > 110) == 120


@pytest.mark.jit_off
def test_a_full_memory_has_reached_its_capacity():
    result = capacity_probe(ExactStore(64, capacity=21), BITS, resolution=0.0, seeds=1)
    assert found(result) == [21]
    assert set(result.where(condition="full").values("level").tolist()) >= {32.0, 22.0}
    assert (result.where(condition="full").values() == 0.0).all()


def test_a_memory_without_end_is_censored():
    result = capacity_probe(KeySet(), BITS, n_max=100, seeds=(0, 1))
    rows = result.where(condition="censored")
    assert rows.values("measure").tolist() == ["items", "items_per_unit"] * 2 and np.isnan(rows.values()).all()
    assert rows.where(measure="items").values("ci_lo").tolist() == [100, 100] and found(result) == []
    grid = capacity_probe(KeySet(), BITS, load_grid=(5, 50), seeds=1)
    assert grid.where(condition="censored", measure="items").values("ci_lo").tolist() == [50]


def test_what_keeps_nothing_has_no_capacity():
    result = capacity_probe(Constant(), BITS, seeds=1)
    assert found(result) == [0.0] and found(result, "items_per_unit") == [0.0]
    known = capacity_probe(Constant(), BITS, probe="recognition", seeds=1)
    assert found(known) == [0.0] and known.where(condition="load").values().tolist()[0] == 0.5


def test_a_grid_stops_at_the_first_load_that_fails():
    class Uneven(KeySet):
        """Recalls nothing while it has 20 ... 40 items."""

        def complete(self, cues, known):
            return np.where(known, cues, 2) if 20 <= len(self.keys) <= 40 else super().complete(cues, known)

    result = capacity_probe(Uneven(), BITS, load_grid=(5, 15, 30, 60), seeds=1)
    assert result.where(condition="load").values().tolist() == [1.0, 1.0, 0.0, 1.0] and found(result) == [15]
    assert found(capacity_probe(Uneven(), BITS, load_grid=(30, 60), seeds=1)) == [0.0]


def test_recognition_and_components_have_capacities_of_their_own():
    """Half of the items lost leave three quarters of choices right, and of random components."""
    known = capacity_probe(Fifo(50), BITS, probe="recognition", threshold=0.75, resolution=0.0, seeds=1)
    assert found(known) == [100]
    parts = capacity_probe(Fifo(50), BITS, measure="component_accuracy", threshold=0.75, resolution=0.0, seeds=range(3))
    assert np.mean(found(parts)) == pytest.approx(100, abs=4)  # lost ones leave zeros, half of them right
    assert found(capacity_probe(Fifo(50), BITS, threshold=0.75, resolution=0.0, seeds=1)) == [66]


# ---------------------------------------------------------------- laws


def test_hopfield_s_network_keeps_patterns_as_its_noise_allows():
    """All n units of a pattern are stable with chance Phi(sqrt((n - 1) / (N - 1))) ** n."""
    width, seeds = 128, range(8)
    options = {"cue_kind": "noise", "cue_fraction": 1.0, "threshold": 0.5, "resolution": 0.0, "seeds": seeds}
    result = capacity_probe(Outer(width), RandomSigns(width), parameter_bits=width * (width - 1) // 2, **options)
    loads = np.arange(2, 60)
    stable = normal_share(np.sqrt((width - 1) / (loads - 1.0))) ** width
    largest = int(loads[stable >= 0.5][-1])
    items = np.array(found(result))
    assert abs(items.mean() - largest) < 0.15 * largest
    assert found(result, "bits_per_synapse") == pytest.approx(items * width / (width * (width - 1) / 2))
    # and each load by itself
    rows = [row for row in result.where(condition="load") if 8 <= row["level"] < 60]
    assert len(rows) > 20
    k, n = (np.array([row[name] for row in rows]) for name in ("k", "n"))
    expected = stable[[int(row["level"]) - 2 for row in rows]]
    z = (k.sum() - (n * expected).sum()) / np.sqrt((n * expected * (1 - expected)).sum())
    assert abs(z) < 5


def test_the_library_s_network_under_hebb_s_rule_has_the_known_order():
    """With 5 % of a pattern's components wrong allowed, between a twelfth and a fifth of its units."""
    width = 128
    options = {"cue_kind": "noise", "cue_fraction": 0.95, "measure": "component_accuracy", "threshold": 0.96, "seeds": range(2)}
    network = HopfieldNetwork(width, rule="hebb")
    per_unit = found(capacity_probe(network, RandomSigns(width), **options), "items_per_unit")
    assert all(1 / 12 < share < 1 / 5 for share in per_unit)
    dreaming = found(capacity_probe(HopfieldNetwork(width), RandomSigns(width), **options), "items_per_unit")
    assert min(dreaming) > 2 * max(per_unit)


def test_willshaw_s_memory_fills_its_links():
    """A share p = 1 - exp(-N (k / n) ** 2) of links is set; no other unit is active with (1 - p ** k) ** (n - k)."""
    width, n_active, threshold = 256, 8, 0.95
    options = {"cue_kind": "noise", "cue_fraction": 1.0, "threshold": threshold, "seeds": range(4)}
    links = width * width // 2  # the matrix is symmetric
    result = capacity_probe(WillshawMemory(width), SparseBits(width, n_active), parameter_bits=links, **options)
    spurious = (1 - threshold ** (1 / (width - n_active))) ** (1 / n_active)
    expected = -math.log(1 - spurious) * (width / n_active) ** 2
    assert np.mean(found(result)) == pytest.approx(expected, rel=0.1)
    bits = found(result, "bits_per_synapse")
    assert bits == pytest.approx(np.array(found(result)) * math.log2(math.comb(width, n_active)) / links)
    assert all(0.3 < share < math.log(2) for share in bits)


# ---------------------------------------------------------------- bits


def test_information_of_items_counts_their_choices():
    assert item_information(BITS) == 64
    assert item_information(SparseBits(300, 7)) == pytest.approx(math.log2(math.comb(300, 7)))
    assert item_information(RandomSigns(50)) == pytest.approx(50)
    assert item_information(RandomSigns(50, 10)) == pytest.approx(math.log2(math.comb(50, 10)) + 10)
    for source in (Gaussian(5), Templates(16, 2, 0.1), ArrayItems(np.eye(8))):
        assert item_information(source) is None


def test_bits_are_those_of_the_memory_at_capacity():
    memory = ExactStore(64, capacity=32, on_full="oldest")
    result = capacity_probe(memory, BITS, threshold=1.0, seeds=1)
    full = memory.copy()
    full.write(BITS.get(np.arange(32)))
    assert found(result, "bits_per_synapse") == [32 * 64 / (8 * full.nbytes)]
    assert found(capacity_probe(memory, BITS, threshold=1.0, parameter_bits=1000, seeds=1), "bits_per_synapse") == [2.048]
    assert found(capacity_probe(Fifo(32), BITS, threshold=1.0, seeds=1), "bits_per_synapse") == []  # it does not say its size
    given = capacity_probe(ExactStore(5, capacity=8), Gaussian(5), bits_per_item=10, n_units=4, seeds=1)
    assert found(given, "bits_per_synapse")[0] > 0 and found(given, "items_per_unit") == [2.0]
    unknown = capacity_probe(ExactStore(5, capacity=8), Gaussian(5), seeds=1)
    assert found(unknown, "bits_per_synapse") == []


def test_figures_of_theory_say_that_they_were_not_checked():
    assert {line.measure for line in REFERENCE_LINES} == {"items_per_unit", "bits_per_synapse"}
    assert not any(line.verified for line in REFERENCE_LINES)
    result = capacity_probe(Fifo(5), BITS, seeds=1)
    assert [line["verified"] for line in result.config["references"]] == [False, False]


# ---------------------------------------------------------------- conduct


def test_results_are_the_same_again_and_the_memory_stays_as_it_was(tmp_path):
    memory = ExactStore(64, capacity=40, on_full="oldest")
    before = state_digest(memory)
    results = [capacity_probe(memory, BITS, seeds=(0, 1), check_purity=True) for _ in range(2)]
    assert results[0] == results[1] and state_digest(memory) == before and len(memory) == 0
    results[0].to_json(tmp_path / "capacity.json")
    assert ProbeResult.load(tmp_path / "capacity.json") == results[0]
    made = []
    capacity_probe(lambda seed: made.append(seed) or KeySet(), BITS, n_max=8, seeds=(3, 5))
    assert made == [3] * 4 + [5] * 4  # a fresh memory for each of 1, 2, 4 and 8 items


def test_reads_that_write_bad_scores_and_missing_verbs_are_named():
    with pytest.raises(ProbeMutatedMemoryError, match="during capacity_probe"):
        capacity_probe(Hostile("writes"), BITS)
    with pytest.raises(ScoreError, match="nan"):
        capacity_probe(Hostile("nan"), BITS, load_grid=8)

    class Writes:
        def write(self, items):
            pass

    with pytest.raises(InputTypeError, match=r"Writes has no complete, which capacity_probe needs.*adapt\(memory, complete="):
        capacity_probe(Writes(), BITS)
    with pytest.raises(InputTypeError, match="KeySet has no read"):
        capacity_probe(KeySet(), BITS, cue_kind="noise")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"load_grid": (5, 2)}, "load_grid"),
        ({"load_grid": 0}, "load_grid"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 1.1}, "threshold"),
        ({"n_max": 1}, "n_max"),
        ({"resolution": 1.0}, "resolution"),
        ({"probe": "smell"}, "probe"),
        ({"measure": "cosine"}, "measure"),
        ({"n_units": 0}, "n_units"),
        ({"parameter_bits": 0}, "parameter_bits"),
        ({"bits_per_item": 0}, "bits_per_item"),
        ({"cue_fraction": 2}, "cue_fraction"),
        ({"seeds": ()}, "seeds"),
    ],
)
def test_bad_arguments_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        capacity_probe(KeySet(), BITS, **wrong)


def test_sources_that_are_too_small_are_named():
    with pytest.raises(InputError, match="16 items are asked for as target, the source has 10"):
        capacity_probe(KeySet(), ArrayItems(np.random.default_rng(0).integers(0, 2, (40, 16))))
