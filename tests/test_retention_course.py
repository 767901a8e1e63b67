"""Retention curves against closed forms, and runs that are stopped and taken up again."""

import json

import numpy as np
import pytest
from retention_memories import Associator, Constant, Fifo, Hostile, KeySet, Reservoir

import neuromem
from neuromem import ExactStore, FormatError, InputError, InputTypeError, ProbeMutatedMemoryError, ScoreError, SparseyMac
from neuromem.retention import ProbeResult, RandomBits, RandomSigns, log_spaced, retention_curve
from neuromem.retention.checkpoint import RunCheckpoint, keep, kept
from neuromem.retention.checkpoints import ORHAN, checkpoints_of, window_of
from neuromem.retention.statistics import normal_share

BITS = RandomBits(64)


def studied(result, **wanted):
    return result.where(condition="studied", **{"measure": "accuracy", **wanted})


# ---------------------------------------------------------------- closed forms


def linear_accuracy(age, lam, width, n_before=np.inf):
    """Phi((1 - lam)^k / sqrt(2 V)), V = (1 - (1 - lam)^(2 n)) / (D C (1 - (1 - lam)^2)), for n items before the probe."""
    variance = (1 - (1 - lam) ** (2 * n_before)) / (width**2 * (1 - (1 - lam) ** 2))
    return normal_share((1 - lam) ** np.asarray(age, float) / np.sqrt(2 * variance))


def test_the_formula_is_the_golden_one():
    golden = {0: 0.9648600802836158, 1000: 0.9308241614467119, 5000: 0.7472410844644739, 20000: 0.5132184995442359}
    for age, value in golden.items():
        assert linear_accuracy(age, 2e-4, 128) == pytest.approx(value, abs=1e-12)


def agrees(k, n, p):
    """No age beyond 5 standard errors, and chi-square over ages not beyond its 99.9 % point."""
    from scipy.stats import chi2

    z = (k - n * p) / np.sqrt(n * p * (1 - p))
    used = n * np.minimum(p, 1 - p) >= 5  # where the normal approximation holds
    assert used.sum() >= 8
    assert np.abs(z[used]).max() < 5
    assert (z[used] ** 2).sum() < chi2.ppf(0.999, used.sum())


def check_closed_form(n_stream, lam, width, seeds, largest_age):
    ages = log_spaced(largest_age, 6)
    n_probe = 2001
    result = retention_curve(
        Associator(width, lam),
        RandomSigns(2 * width),
        mode="cross_sectional",
        n_target=n_stream,
        checkpoints=ages,
        probes="recognition",
        foils="novel",
        n_probe=n_probe,
        batch_size=1024,
        seeds=seeds,
    )
    curve = studied(result).curve()
    assert curve["x"].tolist() == [0, *ages]
    expected = []
    for age in curve["x"]:
        places = window_of(int(age), n_stream, n_probe)
        expected.append(linear_accuracy(n_stream - 1 - places, lam, width, n_stream).mean())
    assert curve["n"].tolist() == [len(seeds) * len(window_of(int(age), n_stream, n_probe)) for age in curve["x"]]
    agrees(curve["k"], curve["n"], np.array(expected))
    unstudied = result.where(condition="unstudied", measure="accuracy").values()
    assert np.abs(unstudied - 0.5).max() < 5 * 0.5 / n_probe**0.5
    assert (result.where(measure="stationarity_p_accuracy").values() > 0.001).all()


def test_linear_associator_forgets_as_its_formula_says():
    check_closed_form(20_000, 1e-3, 64, range(3), 4000)


@pytest.mark.slow
def test_linear_associator_of_a_million_items_forgets_as_its_formula_says():
    check_closed_form(1_000_000, 2e-4, 128, [0], 60_000)


def test_longitudinal_run_of_the_associator_agrees_too():
    lam, width, n_target = 1e-3, 64, 200
    lags = [10, 100, 300, 1000, 3000]
    result = retention_curve(
        Associator(width, lam),
        RandomSigns(2 * width),
        n_target=n_target,
        checkpoints=lags,
        probes="recognition",
        foils="novel",
        seeds=range(12),
    )
    curve = studied(result).curve()
    ages = np.arange(n_target)
    expected = [linear_accuracy(lag + ages, lam, width, n_target + lag).mean() for lag in curve["x"]]
    # the same items are asked again and again, so that checkpoints are not independent: each is held to its own bound
    z = (curve["value"] - expected) / np.sqrt(np.array(expected) * (1 - np.array(expected)) / curve["n"])
    assert np.abs(z).max() < 5


@pytest.mark.parametrize("mode", ["cross_sectional", "steady_state"])
def test_fifo_forgets_exactly_at_its_size(mode):
    size, n_probe = 100, 41
    result = retention_curve(
        Fifo(size),
        BITS,
        mode=mode,
        n_target=600,
        checkpoints=[0, 1, 7, 50, 98, 99, 100, 101, 120, 200],
        foils="novel",
        n_probe=n_probe,
        n_positions=20,
        seeds=2,
    )
    curve = studied(result).curve()
    reach = n_probe if mode == "cross_sectional" else n_probe // 20  # probed at each of the places
    for age, value in zip(curve["x"], curve["value"], strict=True):
        ages = 599 - window_of(int(age), 600, reach)
        assert value == np.where(ages < size, 1.0, 0.5).mean(), age
    recall = studied(result, measure="exact").curve()["value"]
    assert recall[0] == 1.0 and recall[-1] == 0.0


def test_longitudinal_fifo_keeps_the_list_until_it_is_pushed_out():
    result = retention_curve(
        Fifo(100), BITS, n_target=60, checkpoints=[20, 40, 41, 70, 99, 100, 150], foils="novel", seeds=range(2)
    )
    curve = studied(result).curve()
    kept_share = np.clip((100 - np.maximum(curve["x"], 40)) / 60, 0, 1)
    assert curve["value"] == pytest.approx(0.5 + kept_share / 2)
    exact = studied(result, measure="exact").curve()
    assert exact["value"] == pytest.approx(kept_share)
    survival = studied(result, probe="recall", measure="survival").curve()
    assert survival["value"] == pytest.approx(kept_share)  # what is gone stays gone
    assert result.where(measure="permastore").values().tolist() == [0.0, 0.0]
    outcomes = result.outcome_matrix("recall exact")
    assert outcomes.shape == (2, 60, 8)
    assert outcomes.mean(axis=(0, 1)) == pytest.approx(kept_share)
    # the oldest go first
    assert (outcomes[:, :, 2] == 1.0).all() and (outcomes[:, 0, 3] == 0.0).all() and (outcomes[:, 1:, 3] == 1.0).all()
    assert set(result.outcome_matrix("recognition novel").ravel().tolist()) == {0.5, 1.0}


def test_reservoir_is_flat_in_age():
    size, n_stream = 150, 600
    result = retention_curve(
        lambda seed: Reservoir(size, seed),
        BITS,
        mode="cross_sectional",
        n_target=n_stream,
        checkpoints=[50, 150, 250, 350, 450, 550],
        probes="recognition",
        foils="novel",
        n_probe=41,
        seeds=range(40),
    )
    curve = studied(result).where(lag_items=[50, 150, 250, 350, 450, 550]).curve()
    hit = 2 * curve["value"] - 1
    z = (hit - size / n_stream) / np.sqrt(0.25 * 0.75 / curve["n"])
    assert np.abs(z).max() < 5 and (z**2).sum() < 22.5  # 99.9 % of chi-square with 6
    halves = result.where(condition="midpoint", measure="accuracy", lag_items=[50, 150]).curve()
    assert np.abs(2 * halves["value"] - 1 - size / 300).max() < 0.06
    # so its curve depends on how much came before, and the run says so
    assert np.mean(result.where(measure="stationarity_p_accuracy").values() < 0.05) > 0.7


def test_perfect_and_constant_memories_are_flat():
    for memory, value, exact in ((KeySet(), 1.0, 1.0), (Constant(), 0.5, 0.0)):
        result = retention_curve(memory, BITS, n_target=40, checkpoints=[1, 10, 100], seeds=2)
        assert (studied(result).values() == value).all() and (studied(result, measure="exact").values() == exact).all()
        assert (result.where(condition="unstudied", measure="accuracy").values() == 0.5).all()
        assert (result.where(condition="prior", measure="accuracy").values() == 0.5).all()
        assert (result.where(measure="permastore").values() == exact).all()
    assert len(studied(result, foil="variant").where(level=1 / 32)) == 4


# ---------------------------------------------------------------- conditions


class Decaying(Associator):
    """An associator that decays as time passes, not as others are written."""

    def write(self, items):
        keep, self.keep = self.keep, np.float32(1)
        super().write(items)
        self.keep = keep
        self.idle(len(items))

    def idle(self, n):
        self.weights *= self.keep**n

    def copy(self):
        made = Decaying(self.width)
        made.keep, made.weights = self.keep, self.weights.copy()
        return made


def test_idle_time_tells_decay_from_interference():
    options = {"n_target": 60, "checkpoints": [300, 3000], "probes": "recognition", "foils": "novel", "seeds": range(4)}
    decaying = retention_curve(Decaying(64, 0.002), RandomSigns(128), **options)
    idle = decaying.where(condition="idle", measure="accuracy").curve()["value"]
    # a decayed trace alone is still above nothing at all, until numbers run out: only interference makes errors
    assert (idle > 0.99).all() and studied(decaying).curve()["value"][-1] < 0.6
    assert len(retention_curve(Associator(64), RandomSigns(128), **options).where(condition="idle")) == 0


def test_testing_helps_only_where_it_is_asked_for():
    options = {"n_target": 40, "checkpoints": [10, 20, 30, 40, 50, 60, 90, 120], "probes": "recall", "seeds": 1}
    plain = studied(retention_curve(Fifo(100), BITS, **options), measure="exact").curve()["value"]
    tested = studied(retention_curve(Fifo(100), BITS, probe_writes=True, **options), measure="exact").curve()["value"]
    assert plain[-1] == 0.0 and tested[-1] == 1.0
    with pytest.raises(InputError, match="longitudinal"):
        retention_curve(Fifo(10), BITS, mode="cross_sectional", probe_writes=True)


def test_lags_are_in_items_and_in_updates():
    result = retention_curve(KeySet(), BITS, n_target=20, checkpoints=[1, 2, 5], unit="updates", batch_size=8, seeds=1)
    rows = studied(result, foil="novel")
    assert rows.values("lag_items").tolist() == [0, 8, 16, 40] and rows.values("lag_updates").tolist() == [0, 1, 2, 5]
    result = retention_curve(KeySet(), BITS, n_target=20, checkpoints=[1, 2, 20], batch_size=8, seeds=1)
    rows = studied(result, foil="novel")
    assert rows.values("lag_items").tolist() == [0, 1, 2, 20] and rows.values("lag_updates").tolist() == [0, 1, 2, 5]


def test_published_schedule_has_thirty_probes():
    assert len(ORHAN) == 30 and ORHAN[-1] == 100_000 and checkpoints_of("orhan", ()) == [0, *ORHAN]
    assert checkpoints_of(None, ORHAN) == [0, *ORHAN] and checkpoints_of([0, 3], ()) == [0, 3]
    spaced = log_spaced(1000, 10)
    assert spaced[0] == 1 and spaced[-1] == 1000 and spaced == sorted(set(spaced))
    ratios = np.diff(np.log10([value for value in spaced if value >= 20]))
    assert np.abs(ratios - 0.1).max() < 0.02 and log_spaced(1) == [1]


def test_windows_are_inside_the_stream():
    for n_stream in (1, 5, 1000):
        for age in (0, 1, 4, 7, 100, 999):
            if age < n_stream:
                places = window_of(age, n_stream, 200)
                assert places[0] >= 0 and places[-1] < n_stream and n_stream - 1 - age in places and len(places) <= 200


def test_probed_items_are_a_fixed_sample_from_all_over_the_list():
    asked = []

    class Recorder(KeySet):
        def familiarity(self, items):
            asked.append(items.copy())
            return super().familiarity(items)

    result = retention_curve(
        Recorder(), BITS, n_target=300, checkpoints=[5, 9], probes="recognition", foils="novel", n_probe=30, seeds=1
    )
    assert studied(result).values("n").tolist() == [30, 30, 30]
    targets = asked[1][:30]
    assert np.array_equal(asked[1], asked[3]) and np.array_equal(asked[3], asked[5])
    source = BITS.reseeded(1)
    where = [int(np.flatnonzero((source.get(source.ids("target", 300)) == row).all(axis=1))[0]) for row in targets]
    assert np.array_equal(np.array(where) // 10, np.arange(30))
    precise = retention_curve(
        KeySet(), BITS, n_target=3000, checkpoints=[1], probes="recognition", precision=0.05, batch_size=500, seeds=1
    )
    assert (studied(precise).values("n") == 385).all()


# ---------------------------------------------------------------- stopped and taken up again


class Stop(Exception):
    """The machine went down."""


def stopping(cls, after):
    """A memory of this class that stops the run at its n-th write or read; every copy counts on."""
    left = [after]

    class Fragile(cls):
        def tick(self):
            left[0] -= 1
            if left[0] < 0:
                raise Stop

        def write(self, items):
            self.tick()
            super().write(items)

        def familiarity(self, items):
            self.tick()
            return super().familiarity(items)

        @property
        def system_name(self):
            return cls.__name__

        def copy(self):
            made = Fragile(self.width)
            made.keep, made.weights = self.keep, self.weights.copy()
            return made

    return Fragile


RUNS = {
    "longitudinal": {"n_target": 40, "checkpoints": [3, 30, 100], "exposures": 2},
    "cross_sectional": {"n_target": 300, "checkpoints": [1, 20, 90], "batch_size": 20},
    "steady_state": {"n_target": 300, "checkpoints": [1, 20, 90], "batch_size": 20, "n_positions": 4, "n_probe": 12},
}


@pytest.mark.parametrize("cls", [Associator, Decaying])
@pytest.mark.parametrize("mode", RUNS)
def test_a_run_that_is_stopped_anywhere_gives_the_same_bytes(mode, cls, tmp_path):
    options = {"mode": mode, "seeds": (0, 1), "foils": ("novel", "variant:1/8"), **RUNS[mode]}
    source, path = RandomSigns(64), tmp_path / "run.nmem"
    counter = stopping(cls, 10**9)
    whole = retention_curve(counter(32, 0.01), source, **options)
    again = retention_curve(counter(32, 0.01), source, checkpoint_path=path, **options)
    whole.to_json(tmp_path / "whole.json")
    again.to_json(tmp_path / "again.json")
    assert (tmp_path / "whole.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    n_stops = 0
    for after in (0, 1, 3, 4, 7, 11, 18, 29, 47, 60):
        path.unlink(missing_ok=True)
        for _ in range(200):  # stopped again and again, each time a little later
            memory = stopping(cls, after)(32, 0.01)
            try:
                found = retention_curve(memory, source, checkpoint_path=path, **options)
                break
            except Stop:
                n_stops += 1
                after += 5
        found.to_csv(tmp_path / "found.csv")
        whole.to_csv(tmp_path / "whole.csv")
        assert (tmp_path / "found.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
        assert found == whole
    assert n_stops > 20


def test_a_library_memory_is_kept_and_a_finished_run_costs_nothing(tmp_path):
    memory = SparseyMac(64, 8, 16, random_state=0)
    source, path = neuromem.retention.source_for(memory.item_spec), tmp_path / "run.nmem"
    options = {"n_target": 10, "checkpoints": [5, 20], "foils": "novel", "seeds": 2, "checkpoint_path": path}
    first = retention_curve(memory, source, **options)
    before = path.read_bytes()
    assert retention_curve(memory, source, **options) == first and path.read_bytes() == before
    with pytest.raises(InputError, match=r"run\.nmem keeps another run"):
        retention_curve(memory, source, **{**options, "n_target": 11})
    with pytest.raises(InputError, match="keeps another run"):
        retention_curve(SparseyMac(64, 9, 16, random_state=0), source, **options)


def test_memories_that_cannot_be_kept_are_named(tmp_path):
    options = {"n_target": 10, "checkpoints": [5], "probes": "recognition", "seeds": 2, "checkpoint_path": tmp_path / "run.nmem"}
    with pytest.raises(InputTypeError, match="KeySet has no get_state"):
        retention_curve(KeySet(), BITS, **options)

    class Odd(KeySet):
        def get_state(self):
            return {"keys": self.keys}

        def set_state(self, state):
            pass

    with pytest.raises(InputTypeError, match=r"state\.current\.memory\.keys is a dict"):
        retention_curve(Odd(), BITS, **options)


def test_checkpoints_hold_what_states_are_made_of(tmp_path):
    content = {
        "plain": [None, True, 3, 2**200, -0.5, float("inf"), "é", ("a", (1,))],
        "arrays": {"f": np.array([[1.5, np.nan]], np.float32), "empty": np.empty((0, 3), np.int8), "scalar": np.array(2)},
        "numbers": [np.float64(0.1), np.int8(3)],
        "big endian": np.array([1, 2], ">i4"),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    }
    keep(tmp_path / "a.nmem", content)
    found = kept(tmp_path / "a.nmem")
    assert found["plain"] == content["plain"] and found["numbers"] == [0.1, 3]
    for name, array in content["arrays"].items():
        assert found["arrays"][name].dtype == array.dtype
        np.testing.assert_array_equal(found["arrays"][name], array)
    assert found["big endian"].tolist() == [1, 2] and found["fortran"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert kept(tmp_path / "none.nmem") is None
    for bad in (object(), {"x": {1: 2}}, [np.array([object()])], {"a": {3}}):
        with pytest.raises(InputTypeError, match="which a checkpoint cannot hold"):
            keep(tmp_path / "b.nmem", {"state": bad})
    assert not (tmp_path / "b.nmem").exists()
    assert RunCheckpoint().hold({}).content() == {}


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "a.nmem"
    neuromem.save(ExactStore(3), path)
    with pytest.raises(FormatError, match="a saved ExactStore"):
        kept(path)
    keep(path, {"a": np.arange(5)})
    damaged = RunCheckpoint()
    for plan in (b"{", b'{"array": ["<i8", [9]]}', b'{"array": ["O", [1]]}', b'{"other": 1}', b'{"mapping": 3}', b"[[[", b"{}"):
        damaged.plan_, damaged.data_ = np.frombuffer(plan, np.uint8), np.zeros(8, np.uint8)
        with pytest.raises(FormatError):
            damaged.content()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FormatError, match=r"a\.nmem"):
        retention_curve(Associator(32), RandomSigns(64), checkpoint_path=path)


# ---------------------------------------------------------------- the rest


def test_the_memory_passed_in_is_as_it_was():
    memory = Associator(32, 0.01)
    retention_curve(memory, RandomSigns(64), n_target=20, checkpoints=[5], seeds=1)
    assert not memory.weights.any()


def test_hostile_memories_are_found():
    options = {"n_target": 10, "checkpoints": [5], "seeds": 1}
    with pytest.raises(ScoreError, match="index 3"):
        retention_curve(Hostile("nan"), BITS, **options)
    with pytest.raises(ProbeMutatedMemoryError, match="during retention_curve"):
        retention_curve(Hostile("writes"), BITS, **options)
    with pytest.raises(InputTypeError, match="has no write"):
        retention_curve(object(), BITS, **options)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mode": "sideways"}, "mode"),
        ({"checkpoints": [3, 2]}, "checkpoints"),
        ({"checkpoints": [1, 1]}, "checkpoints"),
        ({"checkpoints": [-1, 2]}, "checkpoints"),
        ({"checkpoints": "weekly"}, "checkpoints"),
        ({"mode": "cross_sectional", "checkpoints": [600]}, "no item of that age"),
        ({"mode": "cross_sectional", "exposures": 2}, "longitudinal"),
        ({"unit": "days"}, "unit"),
        ({"probes": ()}, "probes"),
        ({"probes": "smell"}, "probes"),
        ({"measures": "identification"}, "measures"),
        ({"n_probe": 10, "precision": 0.1}, "both"),
        ({"n_probe": 1}, "n_probe"),
        ({"precision": 0.9}, "precision"),
        ({"cue_fraction": 0.0}, "cue_fraction"),
        ({"n_target": 1}, "n_target"),
        ({"exposures": 0}, "exposures"),
        ({"batch_size": 0}, "batch_size"),
        ({"seeds": []}, "seeds"),
    ],
)
def test_bad_arguments_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        retention_curve(Constant(), BITS, **wrong)


def test_too_few_items_are_named():
    rows = neuromem.retention.ArrayItems(np.random.default_rng(0).integers(0, 2, (400, 16)))
    with pytest.raises(InputError, match="600 items are asked for as target, the source has 100"):
        retention_curve(Constant(), rows, foils="novel")
    with pytest.raises(InputError, match="200 items are asked for as filler, the source has 100"):
        retention_curve(Constant(), rows, n_target=50, checkpoints=[200], foils="novel")
    none = neuromem.retention.ArrayItems(np.eye(9), shares=(1, 1, 1, 0))
    with pytest.raises(InputError, match="no items for the role control"):
        retention_curve(Constant(), none, n_target=3, checkpoints=[1], foils="novel")


def test_tables_are_the_same_on_any_run_and_have_no_times(tmp_path):
    options = {"n_target": 20, "checkpoints": [5], "seeds": 1}
    texts = [retention_curve(KeySet(), BITS, **options).json_text() for _ in range(2)]
    assert texts[0] == texts[1]
    (tmp_path / "a.json").write_text(texts[0])
    loaded = ProbeResult.load(tmp_path / "a.json")
    assert loaded.json_text() == texts[0] and loaded.outcome_matrix("recall exact").shape == (1, 20, 2)
    assert json.loads(texts[0])["config"]["checkpoints"] == [0, 5]


def test_progress_counts_seeds():
    seen = []
    retention_curve(KeySet(), BITS, n_target=5, checkpoints=[1], seeds=3, progress=lambda *step: seen.append(step))
    assert seen == [(0, 1), (1, 1)]
