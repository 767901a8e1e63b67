"""The spacing probe: streams laid out right, memories that must and must not gain, honest intervals, and the experiment."""

import json
from pathlib import Path

import numpy as np
import pytest

from neuromem import InputError, InputTypeError, ProbeMutatedMemoryError, ScoreError
from neuromem.experiments.registry import EXPERIMENTS
from neuromem.experiments.retention_spacing import GAPS, INTERVALS, SYSTEMS, LabelledSigns, chances, fsrs
from neuromem.retention import (
    ActivationMemory,
    ClassifierMemory,
    ContextualDelta,
    FIFOBuffer,
    LinearAssociator,
    ProbeResult,
    RandomBits,
    RandomSigns,
    Schedule,
    Templates,
    TwoStore,
    adapt,
    massed,
    pimsleur,
    spacing_probe,
    spacing_surface,
    uniform,
)
from neuromem.retention.spacing import gain_rows, stream_of

ROOT = Path(__file__).parent.parent


class Recorder:
    """Keeps all that is written, and every state that is read."""

    streams: list = []

    def __init__(self):
        self.written = []
        Recorder.streams.append(self)
        self.lengths = []

    def write(self, items, targets=None):
        self.written.extend(np.asarray(items).tolist())

    def familiarity(self, items):
        self.lengths.append(len(self.written))
        return np.zeros(len(items))

    def copy(self):
        return Recorder()


def test_streams_are_laid_out_as_the_protocol_says():
    Recorder.streams = []
    memory, source = Recorder(), RandomSigns(40)
    gaps, intervals, lead = (1, 3, 10), (0, 2, 5), 4
    spacing_probe(
        adapt(memory, pure=True),
        source,
        gaps=gaps,
        retention_intervals=intervals,
        exposures=3,
        lead=lead,
        n_targets=2,
        seeds=[7],
        batch_size=3,
        draws=5,
        check_purity=False,
    )
    streams = [stream for stream in Recorder.streams if stream.written]
    assert not memory.written and len(streams) == 2 * len(gaps)
    items = source.reseeded(7)
    n_before = lead + 2 * 9
    for number, stream in enumerate(streams):
        target, gap = number // len(gaps), gaps[number % len(gaps)]
        wanted = items.get(items.ids("target", 2))[target].tolist()
        places = [place for place, item in enumerate(stream.written) if item == wanted]
        last = n_before + 3 - 1  # the same for every gap
        assert places == [last - 2 * gap, last - gap, last]
        assert stream.lengths == [last + 1 + interval for interval in intervals]
        fillers = [item for item in stream.written if item != wanted]
        assert len(fillers) == n_before + intervals[-1]
        assert fillers == items.get(items.ids("filler", len(fillers), target * len(fillers))).tolist()  # paired over gaps


def test_stream_of_any_schedule():
    fillers = np.arange(100, 120)
    found = stream_of(Schedule("own", (1, 4, 2)), 7, fillers, 10)
    assert np.flatnonzero(found == 7).tolist() == [6, 7, 11, 13] and len(found) == 14
    assert found[found != 7].tolist() == list(range(100, 110))


@pytest.mark.parametrize("probe", ["recognition", "labels"])
def test_a_decaying_sum_is_best_massed_at_every_interval(probe):
    source = RandomSigns(32) if probe == "recognition" else LabelledSigns(32)

    def make(seed):
        return LinearAssociator(32, n_classes=None if probe == "recognition" else 12, decay=0.02)

    result = spacing_probe(
        make,
        source,
        gaps=(1, 4, 16, 64),
        retention_intervals=(1, 30, 100, 200),
        probe=probe,
        n_targets=150,
        lead=50,
        seeds=1,
        draws=300,
    )
    surface = spacing_surface(result)
    assert surface.best_gap.tolist() == [1, 1, 1, 1]
    gain = result.where(measure="spacing_gain")
    assert (gain.values() <= 0).all() and (result.where(measure="largest_gain").values() == 0).all()
    # and it does lose something: the probe can tell
    assert surface.value[-1, 2] < surface.value[0, 2] - 0.05
    # the proof, without items: the trace is a sum of decreasing terms
    traces = {gap: sum(0.98 ** (gap * k) for k in range(4)) for gap in (1, 4, 16, 64)}
    assert max(traces, key=traces.get) == 1


def test_a_drifting_context_gains_more_than_twenty_points():
    result = spacing_probe(
        lambda seed: ContextualDelta(64, 12, random_state=seed),
        LabelledSigns(64),
        gaps=(1, 8, 16),
        retention_intervals=(10,),
        probe="labels",
        n_targets=150,
        lead=150,
        seeds=range(2),
        draws=500,
    )
    row = result.where(measure="spacing_gain").rows()[0]
    assert row["value"] > 0.2 and row["ci_lo"] > 0.1
    assert spacing_surface(result).best_gap[0] > 1
    plain = spacing_probe(
        lambda seed: ContextualDelta(64, 12, context_share=0.0, random_state=seed),
        LabelledSigns(64),
        gaps=(1, 8, 16),
        retention_intervals=(100,),
        probe="labels",
        n_targets=100,
        lead=150,
        seeds=1,
        draws=500,
    )
    assert spacing_surface(plain).best_gap[0] == 1  # without the context the same rule gains nothing


def test_ridge_of_activation_moves_with_the_interval_and_that_of_two_stores_stays():
    surface = chances(lambda seed: ActivationMemory(64), GAPS, INTERVALS)
    ridge = np.array(GAPS)[surface.argmax(axis=0)]
    assert (np.diff(ridge) > 0).all() and ridge[0] == 1 and ridge[-1] == 256
    assert surface[:, -1].max() - surface[0, -1] > 0.4
    stores = chances(lambda seed: TwoStore(64), GAPS, INTERVALS)
    assert np.array(GAPS)[stores.argmax(axis=0)][3:].tolist() == [32, 32, 32]
    people = fsrs(GAPS, INTERVALS)
    assert (np.diff(people, axis=0) > 0).all()  # no ridge: longer is always better if recalled


def test_probe_measures_the_chances_that_the_formula_gives():
    gaps, intervals, n = (1, 64), (10, 300), 150
    for cls in (ActivationMemory, TwoStore):
        result = spacing_probe(
            lambda seed, cls=cls: cls(64, random_state=seed),
            RandomSigns(64),
            gaps=gaps,
            retention_intervals=intervals,
            probe="recall",
            n_targets=n,
            seeds=range(2),
            draws=50,
        )
        found, wanted = spacing_surface(result).value, chances(lambda seed, cls=cls: cls(64), gaps, intervals)
        assert np.abs(found - wanted).max() < 4.5 * np.sqrt(0.25 / (2 * n))
        assert (np.abs(found - wanted) < 4.5 * np.sqrt(wanted * (1 - wanted) / (2 * n)) + 1 / n).all()


def test_recognition_of_a_buffer_is_a_step_whatever_the_gap():
    result = spacing_probe(
        FIFOBuffer(32, 50), RandomBits(32), gaps=(1, 20), retention_intervals=(0, 49, 50, 200), n_targets=60, seeds=1, draws=50
    )
    surface = spacing_surface(result)
    assert (surface.value[:, :2] == 1).all() and np.abs(surface.value[:, 2:] - 0.5).max() < 0.3
    assert (result.where(measure="accuracy").values("chance") == 0.5).all()


def test_schedules_of_ones_own():
    own = [massed(), uniform(20), Schedule("mine", (1, 1, 58)), pimsleur(4, 2, 4)]
    result = spacing_probe(
        lambda seed: TwoStore(32, random_state=seed),
        RandomSigns(32),
        schedules=own,
        retention_intervals=(30, 100),
        probe="recall",
        n_targets=60,
        seeds=1,
        draws=100,
    )
    assert set(result.where(measure="exact").values("condition").tolist()) == {"massed", "uniform", "mine", "pimsleur"}
    assert spacing_surface(result, "uniform").gaps.tolist() == [20]
    with pytest.raises(InputError, match="several values of condition"):
        spacing_surface(result)
    assert len(result.where(measure="spacing_gain", condition="all")) == 2
    expanding = spacing_probe(
        TwoStore(32, random_state=0),
        RandomSigns(32),
        gaps=(1, 20),
        schedule="expanding",
        retention_intervals=(5,),
        n_targets=4,
        seeds=1,
    )
    assert expanding.config["schedules"] == [["expanding", [1, 1, 1]], ["expanding", [9, 17, 34]]]


def test_same_arguments_give_the_same_table_and_files_keep_it(tmp_path):
    def probe():
        return spacing_probe(
            lambda seed: TwoStore(16, random_state=seed),
            RandomSigns(16),
            gaps=(1, 5),
            retention_intervals=(1, 9),
            n_targets=6,
            seeds=range(2),
        )

    result = probe()
    assert result == probe()
    result.to_json(tmp_path / "result.json")
    assert ProbeResult.load(tmp_path / "result.json") == result
    outcomes = result.outcome_matrix("recognition uniform gap 5")
    assert outcomes.shape == (2, 6, 2)
    rows = result.where(measure="accuracy", gap=5)
    assert rows.values().tolist() == pytest.approx(outcomes.mean(axis=1).ravel().tolist())


def test_gain_has_no_favour_where_there_is_nothing_to_gain():
    rng = np.random.default_rng(0)
    compared, covered, gains, largest = [uniform(g) for g in (1, 2, 4, 8, 16)], 0, [], []
    for _ in range(120):
        outcomes = (rng.random((60, 5, 1)) < 0.6).astype(float)
        rows = {row["measure"]: row for row in gain_rows(outcomes, compared, [10], 200, rng)}
        gains.append(rows["spacing_gain"]["value"])
        largest.append(rows["largest_gain"]["value"])
        covered += rows["spacing_gain"]["ci_lo"] <= 0 <= rows["spacing_gain"]["ci_hi"]
    assert np.mean(largest) > 0.04  # the best of five is better by luck alone
    assert abs(np.mean(gains)) < 3 * np.std(gains) / 120**0.5 + 0.005
    assert covered >= 108


def test_gain_is_found_where_it_is():
    rng = np.random.default_rng(0)
    chance = np.array([0.3, 0.5, 0.8, 0.6])[None, :, None]
    outcomes = (rng.random((300, 4, 1)) < chance).astype(float)
    # given in another order than that of their gaps
    order = [2, 0, 3, 1]
    schedules = [uniform(gap) for gap in (1, 4, 16, 64)]
    rows = {row["measure"]: row for row in gain_rows(outcomes[:, order], [schedules[i] for i in order], [10], 500, rng)}
    assert rows["best_gap"]["value"] == rows["best_gap"]["ci_lo"] == rows["best_gap"]["ci_hi"] == 16
    gain = rows["spacing_gain"]
    assert gain["ci_lo"] < 0.5 < gain["ci_hi"] and gain["ci_lo"] > 0.3
    without = gain_rows(outcomes[:, 1:], schedules[1:], [10], 50, rng)
    assert [row["measure"] for row in without] == ["best_gap"]


class Broken:
    """A memory with something wrong in it."""

    def __init__(self, wrong):
        self.wrong, self.reads = wrong, 0

    def write(self, items, targets=None):
        pass

    def familiarity(self, items):
        if self.wrong == "mutates":
            self.reads += 1
        return np.full(len(items), np.nan if self.wrong == "nan" else 0.0)


def test_wrong_memories_and_arguments():
    source = RandomSigns(16)
    few = {"gaps": (1, 2), "retention_intervals": (1,), "n_targets": 2, "seeds": 1, "draws": 5}
    with pytest.raises(ScoreError):
        spacing_probe(Broken("nan"), source, **few)
    with pytest.raises(ProbeMutatedMemoryError):
        spacing_probe(Broken("mutates"), source, **few)
    with pytest.raises(InputTypeError, match="complete"):
        spacing_probe(Broken(""), source, probe="recall", **few)
    constant = spacing_probe(Broken(""), source, **few)
    assert (constant.where(measure="accuracy").values() == 0.5).all()
    assert constant.where(measure="spacing_gain").values().tolist() == [0.0]
    wrong = [
        {"gaps": (0, 1)},
        {"gaps": (4, 1)},
        {"gaps": ()},
        {"retention_intervals": (-1,)},
        {"retention_intervals": (5, 5)},
        {"exposures": 1},
        {"schedule": "random"},
        {"probe": "memory"},
        {"probe": "labels"},
        {"foil": "recombined"},
        {"n_targets": 1},
        {"schedules": [massed(3), uniform(5, 4)]},
        {"schedules": [massed(), massed()]},
        {"schedules": []},
        {"schedules": [uniform(5, 1)]},
        {"cue_kind": "noise"},
    ]
    for arguments in wrong:
        with pytest.raises(InputError):
            spacing_probe(Broken(""), source, **(few | arguments))
    with pytest.raises(InputError, match="no rows of a spacing probe"):
        spacing_surface(ProbeResult([{"probe": "recall"}]))
    labelled = spacing_probe(LinearAssociator(16, n_classes=4), Templates(16, 4, 0.5), probe="labels", **few)
    assert (labelled.where(measure="label_accuracy").values("chance") == 0.25).all()


def test_labels_are_written_where_the_memory_must_have_them():
    """A classifier that counts every item of its class: it cannot tell gaps apart, and refuses items without labels."""
    naive_bayes = pytest.importorskip("sklearn.naive_bayes")
    memory = ClassifierMemory(naive_bayes.BernoulliNB(), range(4))
    few = {"gaps": (1, 3), "retention_intervals": (2,), "n_targets": 8, "seeds": 1, "draws": 5, "batch_size": 4}
    with pytest.raises(InputError, match="labelled items"):
        spacing_probe(memory, Templates(16, 4, 0.1), **few)
    result = spacing_probe(memory, Templates(16, 4, 0.1), with_targets=True, **few)
    assert result.config["with_targets"] and (result.where(measure="accuracy").values() > 0.5).all()
    with pytest.raises(InputError, match="no classes"):
        spacing_probe(memory, RandomBits(16), with_targets=True, **few)


def test_experiment(tmp_path):
    result = EXPERIMENTS["retention-spacing"].run(quick=True, seeds=2, out=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == result.figures == ["retention-spacing.png"]
    found = {(row.condition, row.metric): row for row in result.rows}
    assert all(any(condition.startswith(name) for condition, _ in found) for name in SYSTEMS)
    assert found["linear associator, decay 0.01: after 100 items", "gain from spacing"].value <= 0
    assert found["delta rule in a drifting context: after 10 items", "gain from spacing"].value > 0.1


def test_committed_result_says_what_the_page_says():
    content = json.loads((ROOT / "benchmarks" / "results" / "retention-spacing.json").read_text())
    found = {(row["condition"], row["metric"]): row for row in content["rows"]}
    context = found["delta rule in a drifting context: after 10 items", "gain from spacing"]
    assert context["value"] > 0.2 and context["ci_low"] > 0.15
    for interval in INTERVALS:
        assert found[f"linear associator, decay 0.01: after {interval} items", "best gap"]["value"] == 1
        assert found[f"Willshaw: after {interval} items", "gain from spacing"]["value"] == 0  # an or does not count
    formula = "activation (Pavlik and Anderson), chances by the formula: after {} items"
    ridge = [found[formula.format(interval), "best gap"]["value"] for interval in INTERVALS]
    assert ridge == sorted(ridge) and ridge[0] == 1 and ridge[-1] == 256
