"""Interference, fan, list length and place in the list, against closed forms."""

import numpy as np
import pytest
from retention_memories import Associator, Constant, Fifo, Hostile, KeySet

from neuromem import ExactStore, InputError, InputTypeError, ProbeMutatedMemoryError, ScoreError
from neuromem.retention import (
    ArrayItems,
    Gaussian,
    HierarchicalItems,
    ProbeResult,
    RandomBits,
    RandomSigns,
    SparseBits,
    Templates,
    fan_probe,
    interference_probe,
    list_length_probe,
    serial_position_probe,
)
from neuromem.retention.adapters import state_digest
from neuromem.retention.interference import ids_of_class
from neuromem.retention.list_length import slope_row
from neuromem.retention.paired_items import PairedItems, RepairedFoil
from neuromem.retention.statistics import normal_share

BITS = RandomBits(64)
PROBES = (list_length_probe, serial_position_probe, interference_probe, fan_probe)
SMALL = {
    list_length_probe: {"lengths": (8, 16)},
    serial_position_probe: {"n_study": 8, "n_lists": 2},
    interference_probe: {"n_study": 8},
    fan_probe: {"fans": (1, 2), "n_study": 8},
}


def values(result, measure, **wanted):
    return result.where(measure=measure, **wanted).values().tolist()


def near(found, expected, n, spread=1.0):
    """Within 5 standard errors of a share."""
    assert abs(found - expected) < 5 * spread * (expected * (1 - expected) / n) ** 0.5 + 1e-12, (found, expected)


# ---------------------------------------------------------------- list length


def test_length_makes_no_difference_to_a_perfect_memory_nor_to_one_that_knows_nothing():
    for memory, right, exact in ((KeySet(), 1.0, 1.0), (Constant(), 0.5, 0.0)):
        result = list_length_probe(memory, BITS, lengths=(4, 30, 100), seeds=2)
        assert set(values(result, "accuracy")) == {right} and set(values(result, "exact")) == {exact}
        assert len(values(result, "accuracy")) == 3 * 2 * 2  # lengths, lags, foils


@pytest.mark.jit_off
def test_a_buffer_steps_at_its_size():
    lengths = (20, 39, 40, 41, 80, 160)
    result = list_length_probe(Fifo(40), BITS, lengths=lengths, seeds=1, foils="novel")
    share = [min(1.0, 40 / n) for n in lengths]
    assert values(result, "exact", condition="total_lag") == pytest.approx(share)
    assert values(result, "accuracy", condition="total_lag") == pytest.approx([(1 + s) / 2 for s in share])
    assert values(result, "exact", condition="equal_lag") == [1.0] * 6
    result = list_length_probe(Fifo(40), BITS, lengths=(60, 80), lag=35, window=10, lags="equal", seeds=1)
    assert values(result, "exact") == [0.5, 0.5]  # of lags 35 ... 44 those below 40 are kept
    assert result.values("lag_items").tolist() == [35] * len(result)


def test_the_list_length_effect_of_a_linear_associator():
    """W = sum x y', score x' W y: choices are right with Phi(1 / sqrt((2 N - 1) / (D C))), whatever the lag."""
    lengths, seeds = (64, 256, 1024), range(8)
    result = list_length_probe(
        Associator(32, lam=0.0), RandomSigns(64), lengths=lengths, probes="recognition", foils="novel", seeds=seeds
    )
    for n in lengths:
        expected = float(normal_share((32 * 32 / (2 * n - 1)) ** 0.5))
        for condition, n_each in (("equal_lag", 64), ("total_lag", n)):
            rows = result.where(condition=condition, measure="accuracy", level=n)
            assert (rows.values("n") == n_each).all()
            near(rows.values().mean(), expected, n_each * len(seeds))


def test_decay_makes_length_matter_over_the_list_but_not_at_equal_lag():
    options = {"lengths": (64, 2048), "probes": "recognition", "foils": "novel", "seeds": range(4)}
    result = list_length_probe(Associator(64, lam=3e-3), RandomSigns(128), **options)
    total, equal = (
        np.array(values(result, "accuracy", condition=c)).reshape(4, 2).mean(axis=0) for c in ("total_lag", "equal_lag")
    )
    assert equal[1] > 0.99 and total[0] > 0.99 and total[1] < 0.75


def test_a_longer_list_is_a_shorter_one_that_goes_on():
    written = []

    class Recorder(Constant):
        def write(self, items):
            written.append(items.copy())

    list_length_probe(Recorder(), BITS, lengths=(5, 12), batch_size=4, seeds=1)
    assert [len(block) for block in written] == [4, 1, 4, 3]
    source = BITS.reseeded(1)
    assert (np.concatenate(written) == source.get(source.ids("target", 12))).all()


# ---------------------------------------------------------------- place in the list


class Ends(KeySet):
    """Keeps the first 3 items and the last 3."""

    def keep(self, key):
        super().keep(key)
        if len(self.keys) > 6:
            del self.keys[sorted(self.keys, key=self.keys.get)[3]]


@pytest.mark.jit_off
def test_places_and_slopes_of_a_memory_that_keeps_both_ends():
    result = serial_position_probe(Ends(), BITS, n_study=16, n_lists=5, foils="novel", seeds=2)
    places = result.where(condition="position", measure="exact")
    assert places.values().tolist() == [1, 1, 1] + [0] * 10 + [1, 1, 1]
    assert places.values("level").tolist() == list(range(16)) and places.values("lag_items").tolist() == list(range(15, -1, -1))
    assert (places.values("n") == 5).all()
    assert values(result, "accuracy", condition="position") == [1, 1, 1] + [0.5] * 10 + [1, 1, 1]
    # least squares through 1, 1, 1, 0
    assert values(result, "exact_primacy_slope") == pytest.approx([-0.3]) and values(
        result, "exact_recency_slope"
    ) == pytest.approx([0.3])
    assert values(result, "accuracy_primacy_slope") == pytest.approx([-0.15])
    ends = result.where(measure="exact_primacy_slope")
    assert ends.values("ci_lo") == pytest.approx(-0.3) and ends.values("ci_hi") == pytest.approx(-0.3)  # all lists alike


def test_lists_have_memories_of_their_own():
    """A callable makes one for every list; one that is lucky or not by its seed then differs from list to list."""
    seeds = []

    def make(seed):
        seeds.append(seed)
        return KeySet() if seed % 2 else Constant()

    result = serial_position_probe(make, BITS, n_study=4, n_lists=12, probes="recall", measures="exact", seeds=range(2))
    assert len(seeds) == len(set(seeds)) == 24
    for seed, made in enumerate(np.reshape(seeds, (2, 12))):
        found = values(result, "exact", condition="position", seed=seed)
        assert found == [(made % 2).mean()] * 4 and 0 < found[0] < 1


def test_slopes_have_the_error_of_a_straight_line():
    linregress = pytest.importorskip("scipy.stats").linregress
    outcomes = np.random.default_rng(0).random((1, 7))
    row, line = slope_row(outcomes, 0, "slope"), linregress(np.arange(7), outcomes[0])
    assert row["value"] == pytest.approx(line.slope) and row["ci_hi"] - row["value"] == pytest.approx(1.959964 * line.stderr)
    many = np.random.default_rng(1).random((400, 7))
    row = slope_row(many, 3, "slope")
    single = [linregress(np.arange(7), one).slope for one in many]
    assert row["value"] == pytest.approx(np.mean(single)) and row["level"] == 3
    assert row["ci_hi"] - row["value"] == pytest.approx(1.959964 * np.std(single, ddof=1) / 20)


def test_intervals_of_slopes_cover_zero_as_often_as_they_say():
    """Outcomes without any order: 95 % of 400 intervals have 0, give or take 5 standard errors."""
    rng = np.random.default_rng(0)
    rows = [slope_row((rng.random((40, 5)) < 0.6).astype(float), 0, "slope") for _ in range(400)]
    covered = np.mean([row["ci_lo"] <= 0 <= row["ci_hi"] for row in rows])
    assert abs(covered - 0.95) < 5 * (0.95 * 0.05 / 400) ** 0.5


def test_lists_have_items_of_their_own_and_start_from_the_memory_as_it_came():
    seen = []

    class Recorder(KeySet):
        def write(self, items):
            seen.append((len(self.keys), items.tobytes()))
            super().write(items)

    memory = Recorder()
    memory.write(BITS.get([77]))
    serial_position_probe(memory, BITS, n_study=4, n_lists=3, exposures=2, batch_size=4, probes="recall", seeds=1)
    assert [n for n, _ in seen[1:]] == [1, 5] * 3
    assert len({block for _, block in seen[1:]}) == 3 and len(memory.keys) == 1


# ---------------------------------------------------------------- pairs


@pytest.mark.parametrize("source", [RandomBits(60), RandomSigns(60), SparseBits(60, 12), Gaussian(60)], ids=repr)
@pytest.mark.parametrize("similarity", [0.0, 0.3, 1.0])
def test_cues_keep_the_share_that_they_should(source, similarity):
    pairs = PairedItems(source, 10, n_key=40, similarity=similarity)
    targets, fillers = (pairs.get(pairs.ids(role, n)) for role, n in (("target", 10), ("filler", 30)))
    plain = source.get(source.ids("filler", 30))
    assert (targets == source.get(source.ids("target", 10))).all() and (fillers[:, 40:] == plain[:, 40:]).all()
    cues = np.tile(targets[:, :40], (3, 1))
    kept = fillers[:, :40] == cues
    others = fillers[:, :40] == plain[:, :40]
    assert (kept | others).all() and (kept.sum(axis=1) >= round(40 * similarity)).all()
    if source.kind == "real":
        assert (kept.sum(axis=1) == round(40 * similarity)).all()  # real components are never equal by chance
    assert (pairs.get(pairs.ids("foil", 3)) == source.get(source.ids("foil", 3))).all()


@pytest.mark.parametrize(("n_targets", "n_cues"), [(12, 12), (12, 4), (13, 4), (12, 2), (7, 3)])
def test_foils_are_never_pairs_that_were_studied(n_targets, n_cues):
    pairs = PairedItems(BITS, n_targets, n_key=24, n_cues=n_cues)
    ids = pairs.ids("target", n_targets)
    targets = pairs.get(ids)
    assert len({row[:24].tobytes() for row in targets}) == n_cues and len({row[24:].tobytes() for row in targets}) == n_targets
    for alternative in range(n_cues - 1):
        foils = RepairedFoil("recombined").make(pairs, ids[::2], alternative)
        assert (foils[:, :24] == targets[::2, :24]).all()
        assert {row[24:].tobytes() for row in foils} <= {row[24:].tobytes() for row in targets}
        assert not {row.tobytes() for row in foils} & {row.tobytes() for row in targets}


# ---------------------------------------------------------------- interference


def test_exact_keys_do_not_interfere_and_what_knows_nothing_loses_nothing():
    for memory in (KeySet(), Constant()):
        result = interference_probe(memory, BITS, n_study=20, similarity=(0.0, 0.5), n_interfering=(1, 3), seeds=2)
        losses = result.where(measure=("accuracy_loss", "exact_loss", "component_accuracy_loss"))
        assert len(losses) == 2 * 2 * 2 * 4 and (losses.values() == 0.0).all()
    # with the very same cue the newest associate is given: C after A-B, B before it
    result = interference_probe(KeySet(), BITS, n_study=20, similarity=1.0, seeds=2, foils="novel")
    assert values(result, "exact_loss", condition="retroactive") == [1.0] and values(
        result, "exact_loss", condition="proactive"
    ) == [0.0]
    assert values(result, "accuracy_loss") == [0.0, 0.0]  # the pair itself is still known


@pytest.mark.jit_off
def test_a_buffer_forgets_retroactively_only():
    result = interference_probe(Fifo(50), BITS, n_study=20, n_interfering=(1, 2, 3), similarity=0.0, seeds=1, foils="novel")
    assert values(result, "exact", condition="retroactive") == [1.0, 0.5, 0.0]  # 50 hold 30 others and 20 pairs
    assert values(result, "accuracy_loss", condition="retroactive") == [0.0, 0.25, 0.5]
    assert values(result, "exact", condition="proactive") == [1.0, 1.0, 1.0]
    rows = result.where(condition="retroactive", measure="exact")
    assert rows.values("gap").tolist() == [1, 2, 3] and rows.values("lag_items").tolist() == [20, 40, 60]
    assert values(result, "exact", condition=("retroactive_control", "proactive_control")) == [1.0, 1.0]


def associator_accuracy(width, n_study, n_lists, similarity, rng):
    """Share of B's components that A brings back in W = sum x y' after lists A'-C, over draws of all overlaps.

    The field on a component is D y + s D (sum of the z of its lists) + noise, in whole numbers of which zero counts as wrong.
    Overlaps of unrelated cues are 2 Bin(D, 1/2) - D; A' keeps s D components and D (1 - s) others, which overlap at random.
    """
    n_unrelated = (n_study - 1) * (1 + n_lists)
    overlaps = 2 * rng.binomial(width, 0.5, (4000, n_unrelated)) - width
    variance = (overlaps.astype(float) ** 2).sum(axis=1)
    n_kept = round(similarity * width)
    own = n_kept + 2 * rng.binomial(width - n_kept, 0.5, (4000, n_lists)) - (width - n_kept)
    pull = (own * rng.choice([-1, 1], own.shape)).sum(axis=1)
    return float(normal_share((width + pull - 1) / np.sqrt(variance)).mean())  # fields are even: 1 parts 0 from 2


@pytest.mark.parametrize("kind", ["retroactive", "proactive"])
def test_interference_of_a_linear_associator(kind):
    width, n_study, seeds = 256, 81, range(4)  # the root of 256 is exact in binary, and so are all sums
    levels, counts = (0.0, 0.5, 1.0), (1, 3)
    options = {
        "n_study": n_study,
        "n_interfering": counts,
        "similarity": levels,
        "probes": "recall",
        "measures": "component_accuracy",
    }
    result = interference_probe(Associator(width, lam=0.0), RandomSigns(2 * width), kinds=kind, seeds=seeds, **options)
    rng = np.random.default_rng(0)
    control = np.mean(values(result, "component_accuracy", condition=f"{kind}_control"))
    near(control, associator_accuracy(width, n_study, 0, 0.0, rng), n_study * width * len(seeds), spread=2.0)
    found = {}
    for level in levels:
        for count in counts:
            rows = result.where(condition=kind, level=level, gap=count)
            found[level, count] = rows.where(measure="component_accuracy").values().mean()
            # components of one item share the overlaps of its cue, so their mean spreads more than that of as many coins
            near(
                found[level, count],
                associator_accuracy(width, n_study, count, level, rng),
                n_study * width * len(seeds),
                spread=2.0,
            )
            loss = rows.where(measure="component_accuracy_loss").values().mean()
            assert loss == pytest.approx(control - found[level, count], abs=1e-7)
    assert found[0.0, 1] > found[0.5, 1] > found[1.0, 1] and found[1.0, 3] < found[1.0, 1]


def test_decay_makes_old_pairs_the_losers():
    options = {"n_study": 40, "similarity": 1.0, "n_interfering": 2, "probes": "recall", "seeds": range(3)}
    result = interference_probe(Associator(128, lam=0.01), RandomSigns(256), **options)
    retroactive, proactive = (values(result, "component_accuracy_loss", condition=c) for c in ("retroactive", "proactive"))
    assert min(retroactive) > max(proactive) > 0
    rows = result.where(condition="retroactive", measure="component_accuracy_loss")
    assert (rows.values("ci_lo") > 0).all() and (rows.values("ci_lo") < rows.values()).all()


class Quota(KeySet):
    """Takes no more than 30 items of each class, which is the nearest of the given templates."""

    def __init__(self, templates):
        super().__init__()
        self.templates, self.taken = templates, {}

    def write(self, items):
        for row in items:
            number = int((self.templates != row).sum(axis=1).argmin())
            self.taken[number] = self.taken.get(number, 0) + 1
            if self.taken[number] <= 30:
                super().write(row[None])


def test_a_change_of_class_releases_from_proactive_interference():
    source = HierarchicalItems(64, (2, 2), 0.1)
    result = interference_probe(
        lambda seed: Quota(source.reseeded(seed).templates()),
        source,
        kinds="release",
        n_study=20,
        n_interfering=(1, 2),
        seeds=(1, 2),
    )
    assert values(result, "exact", condition="same_class") == [0.5, 0.0] * 2
    assert values(result, "exact", condition="other_class") == [1.0, 1.0] * 2
    assert values(result, "exact_release", condition="release") == [0.5, 1.0] * 2
    assert values(result, "accuracy_release", condition="release") == [0.25, 0.5] * 2
    assert set(result.where(probe="recognition").values("foil").tolist()) == {"class"}
    with pytest.raises(InputError, match="kinds have 'release', which needs a source of two classes.*RandomBits has none"):
        interference_probe(KeySet(), BITS, kinds="release")
    with pytest.raises(InputError, match="two classes"):
        interference_probe(KeySet(), Templates(64, 1, 0.1), kinds="release")


def test_items_of_a_class_are_found_or_missed_by_name():
    source = Templates(16, 3, 0.1)
    assert ids_of_class(source, "target", 1, 4).tolist() == [1, 4, 7, 10]
    rows = ArrayItems(np.eye(40), np.arange(40) % 2)
    found = ids_of_class(rows, "filler", 1, 3)
    assert (rows.classes(found) == 1).all() and set(found) <= set(rows.ids("filler", 10))
    with pytest.raises(InputError, match="11 items of class 1 are asked for as filler, the source has"):
        ids_of_class(rows, "filler", 1, 11)


# ---------------------------------------------------------------- fan


@pytest.mark.jit_off
def test_fan_of_an_exact_store():
    """It gives one associate of each cue, and knows every pair."""
    result = fan_probe(KeySet(), BITS, fans=(1, 2, 3, 4, 6), n_study=24, seeds=range(2))
    assert values(result, "exact") == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 6] * 2)
    assert values(result, "any_associate") == [1.0] * 10 and set(values(result, "accuracy")) == {1.0}
    assert result.where(measure="any_associate", seed=0).values("level").tolist() == [1, 2, 3, 4, 6]
    curve = result.where(measure="exact").curve("level")
    assert (
        curve["x"].tolist() == [1, 2, 3, 4, 6] and curve["n"].tolist() == [48] * 5 and curve["k"].tolist() == [48, 24, 16, 12, 8]
    )
    unknown = fan_probe(Constant(), BITS, fans=(1, 4), n_study=24, seeds=1)
    assert values(unknown, "any_associate") == [0.0, 0.0] and set(values(unknown, "accuracy")) == {0.5}


def test_the_fan_effect_of_a_linear_associator():
    """A pair's score is 1 plus noise of its f - 1 rivals; its foil's is that of f rivals and of the pair that it borrows from.

    Their difference has variance (2 f - 1) / C + 1 / D + 2 (N - f) / (D C), up to terms of higher order.
    """
    width, n_study, fans, seeds = 64, 480, (1, 2, 4, 8), range(8)
    options = {"fans": fans, "n_study": n_study, "probes": "recognition", "foils": "recombined", "seeds": seeds}
    result = fan_probe(Associator(width, lam=0.0), RandomSigns(2 * width), **options)
    for fan in fans:
        variance = (2 * fan - 1) / width + 1 / width + 2 * (n_study - fan) / width**2
        found = values(result, "accuracy", level=fan)
        near(np.mean(found), float(normal_share(variance**-0.5)), n_study * len(seeds), spread=1.5)


def test_real_associates_are_right_within_the_tolerance():
    source = Gaussian(32)

    class Near(KeySet):
        def complete(self, cues, known):
            return super().complete(cues, known) + np.where(known, 0, np.float32(0.05))

    for tolerance, right in ((0.1, 1.0), (0.01, 0.0)):
        result = fan_probe(Near(), source, fans=2, n_study=10, probes="recall", tolerance=tolerance, seeds=1)
        assert values(result, "any_associate") == [right]


# ---------------------------------------------------------------- conduct


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_results_are_the_same_again_and_the_memory_stays_as_it_was(probe, tmp_path):
    memory = ExactStore(64, capacity=12, on_full="oldest")
    memory.write(BITS.get(np.arange(5)))
    before = state_digest(memory)
    results = [probe(memory, BITS, seeds=(0, 1), check_purity=True, **SMALL[probe]) for _ in range(2)]
    assert results[0] == results[1] and state_digest(memory) == before
    results[0].to_json(tmp_path / "result.json")
    assert ProbeResult.load(tmp_path / "result.json") == results[0]
    single = probe(memory, BITS, seeds=1, **SMALL[probe])
    a, b = results[0].where(seed=1).table.copy(), single.table.copy()
    a["seconds"] = b["seconds"] = 0
    assert a.tolist().__repr__() == b.tolist().__repr__()  # a seed tells nothing to the next


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_reads_that_write_bad_scores_and_missing_verbs_are_named(probe):
    with pytest.raises(ProbeMutatedMemoryError, match=f"during {probe.__name__}"):
        probe(Hostile("writes"), BITS, **SMALL[probe])
    with pytest.raises(ScoreError, match="nan"):
        probe(Hostile("nan"), BITS, **SMALL[probe])

    class Recognizes(KeySet):
        complete = None

    with pytest.raises(
        InputTypeError, match=rf"Recognizes has no complete, which {probe.__name__} needs.*adapt\(memory, complete="
    ):
        probe(Recognizes(), BITS, **SMALL[probe])
    assert len(probe(Recognizes(), BITS, probes="recognition", **SMALL[probe]))
    made = probe(lambda seed: KeySet(), BITS, seeds=1, **SMALL[probe])
    assert made.config["memory"] == "KeySet" and made.config["probe"] == probe.__name__


def test_progress_is_reported():
    for probe, total in zip(PROBES, (4, 4, 4, 4), strict=True):
        seen = []
        probe(KeySet(), BITS, seeds=(0, 1), progress=lambda *state, seen=seen: seen.append(state), **SMALL[probe])
        assert seen[-1] == (total, total)


@pytest.mark.parametrize(
    ("probe", "wrong", "words"),
    [
        (list_length_probe, {"lengths": (8, 4)}, "lengths"),
        (list_length_probe, {"lengths": 1}, "lengths"),
        (list_length_probe, {"lengths": (8, 16), "lag": 7}, "lag is 7, the shortest list of 8"),
        (list_length_probe, {"lengths": (8, 16), "lag": 2, "window": 7}, "window 7 at lag 2"),
        (list_length_probe, {"lags": "some"}, "lags"),
        (list_length_probe, {"probes": ()}, "probes"),
        (list_length_probe, {"foils": "variant:1/1000"}, "changes none of 64"),
        (list_length_probe, {"cue_fraction": 0}, "cue_fraction"),
        (list_length_probe, {"measures": "identification"}, "measures"),
        (serial_position_probe, {"n_study": 3}, "n_study"),
        (serial_position_probe, {"n_lists": 0}, "n_lists"),
        (serial_position_probe, {"n_edge": 11}, "n_edge"),
        (serial_position_probe, {"exposures": 0}, "exposures"),
        (interference_probe, {"kinds": "sideways"}, "kinds"),
        (interference_probe, {"similarity": 1.5}, "similarity"),
        (interference_probe, {"similarity": (0.5, 0.5)}, "similarity"),
        (interference_probe, {"n_interfering": 0}, "n_interfering"),
        (interference_probe, {"n_key": 64}, "n_key"),
        (interference_probe, {"n_study": 1}, "n_study"),
        (interference_probe, {"n_probe": 1}, "n_probe"),
        (fan_probe, {"fans": (2, 1)}, "fans"),
        (fan_probe, {"fans": 0}, "fans"),
        (fan_probe, {"fans": 8, "n_study": 15}, "two cues of 8 associates need 16 pairs"),
        (fan_probe, {"seeds": (1, 1)}, "seeds"),
    ],
)
def test_bad_arguments_are_named(probe, wrong, words):
    with pytest.raises(InputError, match=words):
        probe(Constant(), BITS, **wrong)


def test_sources_that_are_too_small_are_named():
    rows = ArrayItems(np.random.default_rng(0).integers(0, 2, (40, 16)))
    with pytest.raises(InputError, match="20 items are asked for as filler, the source has 10"):
        interference_probe(Constant(), rows, n_study=10, n_interfering=2, kinds="retroactive")
    with pytest.raises(InputError, match="a cue and an associate need two or more"):
        interference_probe(Constant(), RandomBits(1))
