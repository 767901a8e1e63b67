"""Recognition and recall of memories whose answers are known, and of memories that misbehave."""

import copy

import numpy as np
import pytest
from retention_memories import Associator, BloomFilter, Constant, Fifo, Hostile, KeySet, RandomScores, Reservoir

import neuromem
from neuromem import (
    BidirectionalAssociativeMemory,
    DenseAssociativeMemory,
    ExactStore,
    HopfieldNetwork,
    InputError,
    InputTypeError,
    ModernHopfield,
    ProbeMutatedMemoryError,
    ScoreError,
    SparseDistributedMemory,
    SparseyMac,
    WillshawMemory,
)
from neuromem.hopfield import MultitaskingHebbian
from neuromem.retention import (
    ArrayItems,
    Foil,
    Gaussian,
    RandomBits,
    RandomSigns,
    adapt,
    recall_probe,
    recognition_probe,
    source_for,
)
from neuromem.retention.adapters import state_digest
from neuromem.retention.recall import MEASURES

BITS = RandomBits(64)
ALL_FOILS = ("novel", "variant:1/32", "recombined")


def accuracies(result, **wanted):
    return result.where(measure="accuracy", **wanted).values()


# ---------------------------------------------------------------- known answers


def test_a_memory_that_knows_nothing_is_exactly_at_chance():
    result = recognition_probe(Constant(), BITS, n_study=50, exposures=(1, 2), foils=ALL_FOILS)
    assert (accuracies(result) == 0.5).all() and (result.where(measure="roc_area").values() == 0.5).all()
    assert (result.where(measure="strict_accuracy").values() == 0.0).all()
    assert (result.where(measure="d_prime").values() == 0.0).all() and (result.where(measure="gain").values() == 0.0).all()
    assert (result.where(measure="hit_rate").values() == result.where(measure="false_alarm_rate").values()).all()
    assert len(accuracies(result)) == 4 * 3 * 3  # seeds, foils, and 0, 1 and 2 exposures
    four = recognition_probe(Constant(), BITS, n_study=50, n_alternatives=4, seeds=0)
    assert accuracies(four) == pytest.approx(0.25) and (four.where(measure="accuracy").values("chance") == 0.25).all()


def test_a_perfect_memory_is_right_everywhere():
    result = recognition_probe(KeySet(), BITS, n_study=60, foils=ALL_FOILS, n_alternatives=3)
    assert (accuracies(result, exposures=1) == 1.0).all() and accuracies(result, exposures=0) == pytest.approx(1 / 3)
    assert (result.where(measure="roc_area", exposures=1).values() == 1.0).all()
    assert result.where(measure="gain").values() == pytest.approx(2 / 3)
    recalled = recall_probe(KeySet(), BITS, n_study=60, cue_fraction=(0.25, 0.5), cue_kind=("prefix", "random_mask", "block"))
    studied = recalled.where(exposures=1)
    for measure in ("component_accuracy", "exact", "cosine", "pearson", "identification"):
        assert studied.where(measure=measure).values() == pytest.approx(np.ones(24))
    assert (studied.where(measure="normalised_error").values() == 0.0).all()
    assert studied.where(measure="information").values() == pytest.approx(np.ones(24), abs=0.01)


def test_random_scores_are_near_chance():
    for seed in range(20):
        result = recognition_probe(RandomScores(seed), BITS, n_study=400, foils="novel", seeds=seed)
        z = (accuracies(result) - 0.5) / (0.25 / 400) ** 0.5
        assert np.abs(z).max() < 3.29  # the 99.9 % interval


@pytest.mark.parametrize("load", [0.2, 0.5])
def test_bloom_filter_loses_half_its_false_alarms(load):
    n_bits, n_hashes, n_study = 4096, 2, round(4096 * load / 2)
    result = recognition_probe(BloomFilter(n_bits, n_hashes), BITS, n_study=n_study, foils="novel", seeds=range(8))
    filled = 1 - (1 - 1 / n_bits) ** (n_hashes * n_study)
    expected, n = 1 - filled**n_hashes / 2, 8 * n_study
    found = np.average(accuracies(result, exposures=1))
    # each choice is 1 or 1/2; filters of one load differ, too, by the spread of the bits that are set
    spread = (filled**n_hashes * (1 - filled**n_hashes) / 4 / n) ** 0.5
    spread += n_hashes * filled ** (n_hashes - 1) / 2 * (filled * (1 - filled) / n_bits / 8) ** 0.5
    assert abs(found - expected) < 5 * spread
    assert (result.where(measure="strict_accuracy", exposures=1).values() < expected).all()


def test_reservoir_keeps_the_same_share_of_early_and_late_items():
    result = recognition_probe(lambda seed: Reservoir(100, seed), BITS, n_study=400, foils="novel", seeds=range(10))
    found = accuracies(result, exposures=1)
    assert (found == 0.5 + 0.5 * 100 / 400).all()  # exactly 100 of 400 are kept, the others tie
    assert result.config["memory"] == "Reservoir"


def test_familiarity_of_parts_does_not_tell_recombined_items():
    class Parts(Constant):
        """How often either half was seen, and nothing of the pair."""

        def write(self, items):
            self.halves = getattr(self, "halves", set())
            self.halves |= {(side, row.tobytes()) for side, h in enumerate(np.split(items, 2, axis=1)) for row in h}

        def familiarity(self, items):
            known = getattr(self, "halves", set())
            sides = np.split(items, 2, axis=1)
            return np.array([sum((s, h[i].tobytes()) in known for s, h in enumerate(sides)) for i in range(len(items))], float)

    result = recognition_probe(Parts(), BITS, n_study=80, foils=("novel", "recombined"), seeds=2)
    assert accuracies(result, exposures=1, foil="novel") == 1.0 and accuracies(result, exposures=1, foil="recombined") == 0.5


def test_a_strong_prior_is_below_chance_until_it_has_studied():
    class Prior(KeySet):
        """Likes items of few non-zeros; what it has seen it likes more."""

        def familiarity(self, items):
            return 100 * super().familiarity(items) - np.abs(items).sum(axis=1)

    easier = Foil("easier_foil_source", source=RandomSigns(64, 20))
    result = recognition_probe(Prior(), RandomSigns(64), n_study=50, foils=["novel", easier], seeds=1)
    assert accuracies(result, foil="easier_foil_source").tolist() == [0.0, 1.0]
    assert accuracies(result, foil="novel", exposures=0) == 0.5
    assert result.config["foils"][1][:2] == ["easier_foil_source", "RandomSigns"]


def test_exposures_are_passes_in_an_order_of_their_own():
    seen = []

    class Recorder(Constant):
        def write(self, items):
            seen.extend(row.tobytes() for row in items)

    recognition_probe(Recorder(), BITS, n_study=30, exposures=3, foils="novel", seeds=1, batch_size=7)
    passes = [seen[:30], seen[30:60], seen[60:]]
    assert len(seen) == 90 and set(passes[0]) == set(passes[1]) == set(passes[2]) and len(set(passes[0])) == 30
    assert passes[0] != passes[1] != passes[2]


def test_items_studied_and_foils_have_no_row_in_common():
    seen = []

    class Recorder(Constant):
        def write(self, items):
            seen.append(items.copy())

        def familiarity(self, items):
            recorder.append(items.copy())
            return super().familiarity(items)

    recorder = []
    recognition_probe(Recorder(), BITS, n_study=40, foils=("novel", "variant:1/32"), seeds=1)
    studied = {row.tobytes() for block in seen for row in block}
    asked = [row.tobytes() for row in recorder[-1]]
    assert set(asked[:40]) == studied and not studied & set(asked[40:])
    assert not any(np.shares_memory(a, b) for a in seen for b in recorder)


# ---------------------------------------------------------------- recall


def test_an_amnesic_memory_is_at_the_computed_chance():
    """It answers 0: for bits that is a guess of one value; with the cue counted it looks good, and so does the chance line."""
    for include_cue in (False, True):
        result = recall_probe(Constant(), BITS, n_study=300, cue_fraction=0.5, include_cue=include_cue, seeds=3)
        studied = result.where(exposures=1)
        name = "component_accuracy_with_cue" if include_cue else "component_accuracy"
        value, chance = studied.where(measure=name).values()[0], studied.where(measure=name).values("chance")[0]
        assert value == pytest.approx(0.75 if include_cue else 0.5, abs=0.02) and chance >= value
        assert chance == pytest.approx(0.75 if include_cue else 0.5, abs=0.03)
        name = name.replace("component_accuracy", "identification")
        found = studied.where(measure=name)
        assert (found.values()[0] > 0.9) == include_cue and (found.values("chance")[0] > 0.9) == include_cue
    assert (result.where(exposures=0).values() == result.where(exposures=1).values()).all()


def test_measures_of_known_errors():
    """A memory that knows every item but is wrong in a known number of the hidden components."""

    class Wrong(KeySet):
        def complete(self, cues, known):
            found = super().complete(cues, known)
            found[:, 32:36] = 1 - found[:, 32:36]  # 4 of the 32 hidden
            return found

    result = recall_probe(Wrong(), BITS, n_study=400, seeds=1, measures=MEASURES).where(exposures=1)
    value = {row["measure"]: row["value"] for row in result}
    assert value["component_accuracy"] == 0.875 and value["exact"] == 0.0 and value["identification"] > 0.99
    assert value["normalised_error"] == pytest.approx(4 / 16, abs=0.02)
    assert value["information"] == pytest.approx(1 - 0.543564, abs=0.02)
    assert value["edit_similarity"] >= 0.875 and value["rouge_1"] > 0.8
    assert 0.875 <= value["rouge_l"] < 1.0


def test_real_items_are_right_within_the_tolerance():
    class Near(KeySet):
        def complete(self, cues, known):
            found = super().complete(cues, known).astype(float)
            shift = np.where(np.arange(found.shape[1]) % 2, 0.05, 0.2)
            return np.where(known, cues, found + shift)

    source = Gaussian(64)
    result = recall_probe(Near(), source, n_study=100, seeds=1, tolerance=0.1).where(exposures=1)
    value = {row["measure"]: row["value"] for row in result}
    assert value["component_accuracy"] == 0.5 and value["exact"] == 0.0 and value["identification"] == 1.0
    assert value["normalised_error"] == pytest.approx((0.05**2 + 0.2**2) / 2, rel=0.1)
    assert value["pearson"] > 0.99 and "information" not in value


def test_noise_is_taken_back_by_reading():
    result = recall_probe(ExactStore(64), BITS, n_study=50, cue_kind="noise", cue_fraction=0.9, seeds=1).where(exposures=1)
    assert result.where(measure="exact").values() == 1.0
    # who gives the cue back is right in what was left right
    assert result.where(measure="component_accuracy").values("chance") == pytest.approx(58 / 64)
    with pytest.raises(InputTypeError, match=r"KeySet has no read, which recall_probe needs.*adapt\(memory, read=\.\.\.\)"):
        recall_probe(KeySet(), BITS, cue_kind="noise")


def test_keys_bring_back_values_and_only_values_are_judged():
    memory = Associator(64, lam=0.0)
    result = recall_probe(memory, RandomSigns(128), n_study=4, cue_kind="key", n_key=64, seeds=range(20)).where(exposures=1)
    assert result.where(measure="component_accuracy").values().mean() > 0.99
    assert (result.values("cue_fraction") == 0.5).all()


def test_a_memory_that_cannot_answer_before_study_has_no_prior():
    result = recall_probe(ExactStore(64), BITS, n_study=20, seeds=1)
    assert len(result.where(exposures=0)) == 0 and not result.config["prior_answered"]
    assert recall_probe(KeySet(), BITS, n_study=20, seeds=1).config["prior_answered"]


# ---------------------------------------------------------------- purity

LIBRARY = {
    "exact": lambda: ExactStore(64),
    "mac": lambda: SparseyMac(64, 8, 16, random_state=0),
    "hebbian": lambda: MultitaskingHebbian(64, random_state=0),
    "hopfield": lambda: HopfieldNetwork(64),
    "dense": lambda: DenseAssociativeMemory(64),
    "modern": lambda: ModernHopfield(64),
    "bidirectional": lambda: BidirectionalAssociativeMemory(64),
    "willshaw": lambda: WillshawMemory(64),
    "sparse distributed": lambda: SparseDistributedMemory(64, 300, max_steps=1, random_state=0),
}


@pytest.mark.filterwarnings("ignore::neuromem.errors.NeuromemWarning")
@pytest.mark.parametrize("name", LIBRARY)
def test_probing_a_memory_of_the_library_changes_nothing(name):
    memory = LIBRARY[name]()
    source = source_for(memory.item_spec)
    memory.write(source.get(source.ids("filler", 5)))
    before = state_digest(memory)
    options = {"n_study": 8, "seeds": (0, 1), "check_purity": True}
    first = recognition_probe(memory, source, foils="novel", **options)
    recalled = recall_probe(memory, source, **options)
    noisy = recall_probe(memory, source, cue_kind="noise", cue_fraction=0.9, **options)
    assert state_digest(memory) == before
    # and the order of probes does not matter
    assert recall_probe(memory, source, cue_kind="noise", cue_fraction=0.9, **options) == noisy
    assert recall_probe(memory, source, **options) == recalled
    assert recognition_probe(memory, source, foils="novel", **options) == first
    assert accuracies(first, exposures=1).mean() > 0.8


@pytest.mark.parametrize("memory", [ExactStore(64), KeySet(), Fifo(20)], ids=["exact", "set", "fifo"])
def test_batches_of_writes_make_no_difference(memory):
    results = [recognition_probe(memory, BITS, n_study=100, batch_size=size, seeds=2) for size in (1, 7, 4096)]
    for result in results[1:]:
        a, b = result.table.copy(), results[0].table.copy()
        a["seconds"] = b["seconds"] = 0
        assert a.tobytes() == b.tobytes()


def test_reads_that_write_are_found():
    for probe in (recognition_probe, recall_probe):
        with pytest.raises(ProbeMutatedMemoryError, match=rf"reading changed Hostile during {probe.__name__}.*pure=False"):
            probe(Hostile("writes"), BITS, n_study=10)
        memory = adapt(Hostile("writes"), pure=False)
        probe(memory, BITS, n_study=10)
        assert not memory.inner.reads.any()
        memory = Hostile("writes")
        probe(memory, BITS, n_study=10, check_purity=False)
        assert not memory.reads.any(), "the memory passed in was changed"


def test_a_large_state_is_only_checked_when_asked():
    memory = Hostile("writes")
    memory.nbytes = 1 << 30
    recognition_probe(memory, BITS, n_study=10, seeds=1)
    with pytest.raises(ProbeMutatedMemoryError):
        recognition_probe(memory, BITS, n_study=10, seeds=1, check_purity=True)


def test_digests_see_every_part_of_a_state():
    class Nested:
        def __init__(self):
            self.parts = {"a": [np.zeros(3), {"deep": 1}], "b": (1, 2.0)}
            self.rng = np.random.default_rng(0)
            self.own = self

    memory = Nested()
    before = state_digest(memory)
    assert state_digest(copy.deepcopy(memory)) == before
    for change in (
        lambda m: m.parts["a"][0].__setitem__(1, 1e-300),
        lambda m: m.parts["a"][1].__setitem__("deep", 2),
        lambda m: m.parts.__setitem__("b", (1, 2)),
        lambda m: m.rng.random(),
        lambda m: setattr(m, "new", None),
    ):
        other = copy.deepcopy(memory)
        change(other)
        assert state_digest(other) != before


# ---------------------------------------------------------------- hostile memories and arguments


def test_scores_that_are_not_finite_are_named():
    with pytest.raises(ScoreError, match="familiarity of Hostile have nan at index 3"):
        recognition_probe(Hostile("nan"), BITS, n_study=10)
    with pytest.raises(ScoreError, match="inf at index 2"):
        recognition_probe(Hostile("inf"), BITS, n_study=10)
    with pytest.raises(ScoreError, match="components recalled by Hostile have nan at index 66"):
        recall_probe(Hostile("nan"), BITS, n_study=10)


def test_minus_infinity_is_a_tie_in_an_empty_memory_only():
    class Late(ExactStore):
        def familiarity(self, items):
            return np.full(len(items), -np.inf, np.float32)

    assert (accuracies(recognition_probe(ExactStore(64), BITS, n_study=10), exposures=0) == 0.5).all()
    with pytest.raises(ScoreError, match="-inf at index 0"):
        recognition_probe(Late(64), BITS, n_study=10)


@pytest.mark.parametrize(("way", "words"), [("shape", "shape"), ("short", "shape"), ("text", "real numbers")])
def test_answers_of_the_wrong_shape_are_named(way, words):
    with pytest.raises(InputError, match=f"familiarity of Hostile.*{words}"):
        recognition_probe(Hostile(way), BITS, n_study=10)


def test_recalled_items_of_the_wrong_shape_are_named():
    with pytest.raises(InputError, match=r"Hostile recalled items of shape \(10, 63\), \(10, 64\) was expected"):
        recall_probe(Hostile("shape"), BITS, n_study=10)


def test_missing_verbs_are_named_with_the_remedy():
    class Writes:
        def write(self, items):
            pass

    for probe, verb in ((recognition_probe, "familiarity"), (recall_probe, "complete")):
        with pytest.raises(InputTypeError, match=rf"Writes has no {verb}, which {probe.__name__} needs.*adapt\(memory, {verb}="):
            probe(Writes(), BITS)
    with pytest.raises(InputTypeError, match="object has no write"):
        recognition_probe(object(), BITS)

    class Unready(Constant):
        unavailable_ = ("complete",)

    with pytest.raises(InputTypeError, match="cannot complete as it stands"):
        recall_probe(Unready(), BITS, n_study=10)


def test_memories_that_cannot_be_copied_are_refused():
    class Same(Constant):
        def copy(self):
            return self

    class Locked(Constant):
        def __deepcopy__(self, memo):
            raise TypeError("cannot pickle '_thread.lock' object")

    with pytest.raises(InputTypeError, match="gives the memory itself"):
        recognition_probe(Same(), BITS)
    with pytest.raises(InputTypeError, match="Locked cannot be copied .*_thread.lock"):
        recognition_probe(Locked(), BITS)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"n_study": 1}, "n_study"),
        ({"exposures": (2, 1)}, "exposures"),
        ({"exposures": 0}, "exposures"),
        ({"exposures": ()}, "exposures"),
        ({"n_alternatives": 1}, "n_alternatives"),
        ({"batch_size": 0}, "batch_size"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": -1}, "seeds"),
        ({"n_probe": 601}, "n_probe"),
        ({"foils": "strange"}, "foil"),
        ({"foils": "variant:1/1000"}, "changes none of 64"),
        ({"foils": "class"}, "has no classes"),
    ],
)
def test_bad_arguments_of_recognition_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        recognition_probe(Constant(), BITS, **wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cue_fraction": 0}, "cue_fraction"),
        ({"cue_fraction": 1.5}, "cue_fraction"),
        ({"cue_fraction": 1.0}, "nothing is left"),
        ({"cue_kind": "smell"}, "cue_kind"),
        ({"cue_kind": "key"}, "n_key"),
        ({"cue_kind": "block", "shape": (3, 3)}, "shape"),
        ({"measures": ("beauty",)}, "measures"),
        ({"tolerance": -1}, "tolerance"),
    ],
)
def test_bad_arguments_of_recall_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        recall_probe(Constant(), BITS, n_study=10, **wrong)


def test_a_source_that_is_too_small_is_named():
    with pytest.raises(InputError, match="50 items are asked for as target, the source has 10"):
        recognition_probe(Constant(), ArrayItems(np.eye(40)), n_study=50)


# ---------------------------------------------------------------- others


def test_progress_is_reported():
    seen = []
    recognition_probe(Constant(), BITS, n_study=10, exposures=(1, 3), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)


def test_public_names_are_the_package_s():
    assert neuromem.recognition_probe is recognition_probe and neuromem.recall_probe is recall_probe
