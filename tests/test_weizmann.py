"""The Weizmann actions: the reader, what the folds may see, and both experiments in small forms."""

from itertools import combinations

import numpy as np
import pytest

from neuromem import datasets
from neuromem.errors import FormatError, MissingDataError
from neuromem.experiments import weizmann_folds, weizmann_levels, weizmann_nested, weizmann_replay, weizmann_scores
from neuromem.experiments.result import Result
from neuromem.experiments.weizmann_folds import MIRRORED, Design, cut_of, fit_fold
from neuromem.experiments.weizmann_levels import Levels
from neuromem.sparsey import ActiveRows

ACTIONS = ["bend", "jack", "walk"]


def film(action, size, place, rng, n=14):
    """A made-up person who bends, jumps with spread arms, or walks."""
    frames = np.zeros((n, 112, 88), np.uint8)
    for t in range(n):
        phase = np.sin(2 * np.pi * (t + rng.random()) / 7)
        bent = int(size * 0.4 * max(0, phase)) if action == "bend" else 0
        spread = int(12 * max(0, phase)) if action == "jack" else 0
        stride = int(10 * phase) if action == "walk" else 0
        frames[t, 105 - size + bent : 105 - size // 3, place - 5 : place + 5] = 1
        for side in (-1, 1):
            foot = place + side * 3 + side * stride
            frames[t, 105 - size // 3 : 105, foot - 2 : foot + 3] = 1
        if spread:
            frames[t, 105 - size + 8 : 105 - size + 12, place - 6 - spread : place + 6 + spread] = 1
    return frames


@pytest.fixture(scope="module")
def made_up():
    """Three actions of four people."""
    rng = np.random.default_rng(0)
    labels = [(action, person, "e01") for action in ACTIONS for person in ("ann", "bob", "cas", "dee")]
    size = {"ann": 60, "bob": 66, "cas": 70, "dee": 63}
    films = [film(action, size[person], 38 + 3 * i % 9, rng) for i, (action, person, _) in enumerate(labels)]
    length = np.array([len(f) for f in films], np.int64)
    action, person, rep = (np.array(column) for column in zip(*labels, strict=True))
    arrays = {"frames": np.concatenate(films), "start": np.cumsum(length) - length, "length": length}
    return arrays | {"action": action, "person": person, "rep": rep}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "weizmann").mkdir()
    monkeypatch.setenv("NEUROMEM_DATA", str(tmp_path))
    weizmann_folds.data.cache_clear()
    weizmann_folds.film.cache_clear()
    yield tmp_path
    weizmann_folds.data.cache_clear()
    weizmann_folds.film.cache_clear()


@pytest.fixture
def clips(folder, made_up):
    np.savez(folder / "weizmann" / "weizmann_silhouettes.npz", **made_up)
    return datasets.weizmann()


@pytest.fixture
def published(read_data):
    weizmann_folds.data.cache_clear()
    weizmann_folds.film.cache_clear()
    return read_data(datasets.weizmann)


# ---------------------------------------------------------------- the reader


def test_reader(clips, made_up):
    np.testing.assert_array_equal(clips.frames, made_up["frames"])
    assert clips.take.tolist() == made_up["rep"].tolist()
    assert clips.clip_of_frame.tolist() == [c for c in range(12) for _ in range(14)]


def test_missing(folder):
    with pytest.raises(MissingDataError, match=r"data_scripts/weizmann\.py"):
        datasets.weizmann()


@pytest.mark.parametrize(
    "change",
    [
        {"frames": np.full((168, 4, 4), 2, np.uint8)},
        {"frames": np.zeros((168, 4, 4), np.float32)},
        {"frames": np.zeros((9, 4, 4), np.uint8)},
        {"start": np.zeros(12, np.int64)},
        {"start": np.zeros(12)},
        {"action": np.array(["bend"])},
        {"person": np.arange(12)},
    ],
    ids=str,
)
def test_damaged_arrays(folder, made_up, change):
    np.savez(folder / "weizmann" / "weizmann_silhouettes.npz", **(made_up | change))
    with pytest.raises(FormatError, match="weizmann_silhouettes"):
        datasets.weizmann()


def test_published_arrays(published):
    assert published.frames.shape == (5687, 112, 88) and len(published.length) == 93
    assert len(set(published.action)) == 10 and len(set(published.person)) == 9
    assert sorted(set(published.person[published.take != "e01"])) == ["lena"]


# ---------------------------------------------------------------- folds


@pytest.mark.parametrize("order", ["time", "interleaved"])
@pytest.mark.parametrize("mirror", [False, True])
def test_no_frame_of_the_held_out_person_is_learned(clips, order, mirror):
    fold = fit_fold(("bob",), 0, Design(grids=("14/6",), units=8, order=order, mirror=mirror))
    of_frame = clips.clip_of_frame
    frames, mirrored = fold.learned % MIRRORED, fold.learned >= MIRRORED
    assert "bob" not in clips.person[of_frame[frames]]
    assert (clips.person[of_frame[fold.tested]] == "bob").all() and len(fold.tested) == 42
    assert len(np.unique(fold.learned)) == len(fold.learned) == 126 * (1 + mirror)  # each once, each mirror image once
    assert mirrored.sum() == 126 * mirror and fold.layers[0].step_ == len(fold.learned)
    steps = np.diff(fold.learned)
    assert ((steps == 1).mean() > 0.9) == (order == "time")


def test_the_items_presented_are_those_named(clips):
    items = weizmann_folds.film("clip", ("edges", "changes")).to_dense()
    n = len(clips.frames)
    frames = np.array([5, MIRRORED + 5, 100])
    found = weizmann_folds.chosen(ActiveRows.from_dense(items), weizmann_folds.positions(frames, n)).to_dense()
    np.testing.assert_array_equal(found, items[[5, n + 5, 100]])
    changes = items.reshape(2, n, 14, 40, 40)[:, :, 8:]
    np.testing.assert_array_equal(changes[1], changes[0][..., ::-1])  # a mirrored film changes where the film does
    assert not changes[:, clips.start].any()  # nothing comes over from the clip before


def test_two_people_out_and_fewer_teachers(clips):
    fold = fit_fold(("ann", "cas"), 1, Design(grids=("14/6",), units=8))
    assert set(clips.person[clips.clip_of_frame[fold.learned % MIRRORED]]) == {"bob", "dee"}
    fold = fit_fold(("ann",), 1, Design(grids=("14/6",), units=8, n_teachers=1))
    assert len(set(clips.person[clips.clip_of_frame[fold.learned % MIRRORED]])) == 1


def test_small_actions_are_told_and_permuted_labels_are_not(clips):
    people = ["ann", "bob", "cas", "dee"]
    right = {}
    for permuted in (False, True):
        folds = []
        for person in people:
            fold = fit_fold((person,), 0, Design(units=32, permuted=permuted))
            folds.append({"tested": fold.tested, **fold.scores})
        named, y = weizmann_scores.decisions(weizmann_scores.whole(folds, clips)["all counts plain"], clips)
        right[permuted] = (named == y).mean()
    assert right[False] == 1 and right[True] < 0.7
    again = fit_fold(("dee",), 0, Design(units=32))
    np.testing.assert_array_equal(again.scores["all counts both"].argmax(1), fold_classes(again))


def fold_classes(fold):
    """Both grids and both sides added by hand."""
    single = [fold.scores[f"{grid} counts both"] for grid in Design().grids]
    return np.sum(single, axis=0).argmax(axis=1)


def test_sub_clips_by_hand(clips):
    scores = np.random.default_rng(1).normal(size=(len(clips.frames), 3))
    scores[clips.person[clips.clip_of_frame] != "cas"] = np.nan
    y = np.unique(clips.action, return_inverse=True)[1]
    for window in (1, 5, 14, 20):
        shares = []
        for c in np.flatnonzero(clips.person == "cas"):
            part = scores[clips.clip_of_frame == c]
            stretches = [part[i : i + window].sum(axis=0) for i in range(max(1, 15 - window))]
            shares.append(np.mean([s.argmax() == y[c] for s in stretches]))
        assert weizmann_scores.sub_clip_accuracy(scores, clips, window) == pytest.approx(np.mean(shares))


def test_counts_taken_on_a_second_presentation(clips):
    design = Design(grids=("14/6",), units=8, mirror=False, readouts=("counts", "delta", "delta twice", "second look"))
    cut, fold = cut_of(("bob",), 0, design), fit_fold(("bob",), 0, design)
    layer = fold.layers[0]
    codes, read = (layer.present(items, False).codes.reshape(len(items), -1) for items in (cut.shown, cut.cues["plain"]))
    expected = np.zeros((len(read), 3))
    for module in range(codes.shape[1]):
        counts = np.zeros((8, 3))
        for cell, label in zip(codes[:, module], cut.classes, strict=True):
            if cell != layer.silent_:
                counts[cell, label] += 1
        odds = np.log((counts + 0.1) / (counts.sum(axis=0) + 0.8))
        awake = read[:, module] != layer.silent_
        expected[awake] += odds[read[awake, module]]
    np.testing.assert_allclose(fold.scores["14/6 second look plain"], expected)
    assert not np.allclose(fold.scores["14/6 counts plain"], expected)  # those come from codes before each write
    assert not np.allclose(fold.scores["14/6 delta plain"], fold.scores["14/6 delta twice plain"])


def test_two_held_out_people(published):
    """Persons that no setting was chosen for: almost every clip right, and normalisation is what does it."""
    right = {}
    for normalised in ("clip", "no"):
        folds = []
        for person in ("daria", "lena"):
            fold = fit_fold((person,), 0, Design(grids=("14/6",), normalised=normalised))
            folds.append({"tested": fold.tested, **fold.scores})
        named, y = weizmann_scores.decisions(weizmann_scores.whole(folds, published)["14/6 counts plain"], published)
        right[normalised] = int((named == y).sum())
    assert len(y) == 23 and right["clip"] >= 22 and right["no"] <= right["clip"] - 4


# ---------------------------------------------------------------- two levels


def test_clips_are_episodes_of_the_network(clips):
    cut = cut_of(("bob",), 0, Design())
    lengths = weizmann_levels.episodes(cut.learned)
    assert lengths.tolist() == [14] * 18  # nine clips and their mirror images
    starts = cut.learned[np.cumsum(lengths) - lengths]
    assert sorted((starts % MIRRORED).tolist()) == sorted(2 * clips.start[clips.person != "bob"].tolist())
    assert weizmann_levels.episodes(cut.tested).tolist() == [14] * 3


def test_upper_codes_last_as_long_as_they_should(clips):
    cut = cut_of(("bob",), 0, weizmann_levels.BASE)
    lengths = weizmann_levels.episodes(cut.learned)
    for persistence in (1, 4):
        network = weizmann_levels.network_of(Levels(persistence=persistence), 0)
        trace = network.present(cut.shown, True, lengths=lengths)
        assert trace.codes[0].shape[1:] == (25, 8) and trace.codes[1].shape[1:] == (16, 8)
        assert trace.ages[1].max() == persistence
        read = network.trace(cut.cues["plain"], weizmann_levels.episodes(cut.tested))
        assert read.ages[1].max() == persistence and not (read.versions[1][:, :, 2] >= 0).any()  # nobody hears H
    network = weizmann_levels.network_of(weizmann_levels.LEVELS["H on level 1"], 0)
    assert (network.present(cut.shown, True, lengths=lengths).versions[0][:, :, 2] >= 0).any() and network.n_levels_ == 1


def test_both_levels_tell_small_actions_apart(clips):
    people = ["ann", "bob", "cas", "dee"]
    tasks = [weizmann_levels.level_task(person, 0, Levels(persistence=4, release=0.5)) for person in people]
    found = weizmann_scores.whole([weizmann_levels.level_fold(**task) for task in tasks], clips)
    np.testing.assert_allclose(found["levels 1 and 2"], found["level 1"] + found["level 2"])
    for scores in found.values():
        named, y = weizmann_scores.decisions(scores, clips)
        assert (named == y).mean() >= 11 / 12


# ---------------------------------------------------------------- choices


def test_people_left_out_together():
    people = [f"person {i}" for i in range(9)]
    threes, pairs = (weizmann_nested.groups_of(people, in_threes) for in_threes in (True, False))
    assert len(threes) == 12 and {len(group) for group in threes} == {3} and len(pairs) == 36
    together = sorted(pair for group in threes for pair in combinations(group, 2))
    assert together == sorted(pairs) == sorted(combinations(people, 2))


def test_nobody_has_a_say_in_their_own_settings():
    rng = np.random.default_rng(0)
    people, options = [f"person {i}" for i in range(9)], ["a", "b", "c"]
    for in_threes in (False, True):
        groups = weizmann_nested.groups_of(people, in_threes)
        figures = {(option, group, judge): rng.random() for option in options for group in groups for judge in group}
        chosen = weizmann_nested.chosen_for(people, groups, figures, options)
        for person in people:
            allowed = {key: f for key, f in figures.items() if person in key[1] and key[2] != person}
            means = {option: np.mean([f for key, f in allowed.items() if key[0] == option]) for option in options}
            assert chosen[person] == max(means, key=means.get)
            changed = {key: allowed.get(key, rng.random()) for key in figures}
            assert weizmann_nested.chosen_for([person], groups, changed, options)[person] == chosen[person]


def test_the_better_design_is_chosen(clips):
    designs = {
        (words,): Design(grids=("14/6",), units=8, permuted=p) for words, p in (("labels permuted", True), ("labels", False))
    }
    kinds = {("clip alone",): "14/6 counts plain", ("clip and mirror image",): "14/6 counts both"}
    choice = weizmann_nested.Choice("choice", designs, kinds, window=5, in_threes=False, n_seeds=2, maps=Design().maps)
    result = Result("choice", 0, {})

    def work(function, tasks):
        assert all(len(task["out"]) == 2 for task in tasks) or all(len(task["out"]) == 1 for task in tasks)
        return [function(**task) for task in tasks]

    rival = np.zeros((len(clips.frames), 3))
    rival[:, 0] = 1  # everything is called "bend"
    weizmann_nested.nested(result, work, clips, choice, rival)
    found = {(row.condition, row.metric): row for row in result.rows}
    times = "of 4 people, for whom it was chosen"
    assert found["choice: labels", times].value == 4 and found["choice: labels permuted", times].value == 0
    assert sum(found[f"choice: {words}", times].value for (words,) in kinds) == 4
    right = found["choice", "clips right"]
    assert (right.value, right.n, right.seeds) == (12, 12, 2)
    ahead = found["choice", "sub-clips of 10 frames, ahead of 1-nearest-neighbour"]
    assert ahead.value == pytest.approx(found["choice", "sub-clips of 10 frames, accuracy"].value - 1 / 3)
    assert (ahead.n, ahead.seeds) == (4, 2) and ahead.ci_low <= ahead.value <= ahead.ci_high


# ---------------------------------------------------------------- replay


def test_replay_changes_nothing_and_knows_its_clips(clips):
    items = weizmann_folds.encoded(weizmann_folds.pictures_of(clips, "clip"), clips.length, weizmann_replay.MAPS)
    kept = weizmann_replay.store(ActiveRows.from_dense(items), clips, ["14/6"], 0)
    layer = kept.layers["14/6"]
    before = {name: array.copy() for name, array in layer.get_state()["arrays"].items()}
    rng = np.random.default_rng(0)
    found = {}
    for name in ("none", "40 % of the active bits dropped", "40 % of the active bits moved"):
        damaged = weizmann_replay.damaged_bits(items, *weizmann_replay.BITS[name], rng)
        found[name] = weizmann_replay.replay(kept, ActiveRows.from_dense(damaged), clips)
        assert found[name]["14/6; clips right"] == 12
    after = layer.get_state()["arrays"]
    assert before.keys() == after.keys() and all((before[name] == after[name]).all() for name in before)
    assert layer.step_ == len(items)
    same = [row["14/6; winners as recalled undamaged"] for row in found.values()]
    assert same[0] == 1 and same[0] > same[1] > same[2]


def test_damage_is_as_much_as_it_says():
    rng = np.random.default_rng(0)
    items = (rng.random((50, 4000)) < 0.05).astype(np.uint8)
    dropped, moved, flipped = (weizmann_replay.damaged_bits(items, kind, 0.4, rng) for kind in ("drop", "move", "flip"))
    assert not (dropped & ~items & 1).any() and dropped.sum() / items.sum() == pytest.approx(0.6, abs=0.02)
    assert moved.sum() / items.sum() == pytest.approx(1, abs=0.03)
    assert (moved & items).sum() / items.sum() == pytest.approx(0.6 + 0.4 * 0.05, abs=0.02)
    assert (flipped != items).mean() == pytest.approx(0.4, abs=0.01)
    frames = np.zeros((20, 60, 60), np.uint8)
    frames[:, 20:40, 20:40] = 1
    body = frames == 1
    for kind, off, on in (("drop", 0, 0.6), ("salt", 0.2, 0.8), ("flip", 0.4, 0.6)):
        found = weizmann_replay.damaged_frames(frames, kind, 0.4, rng)
        assert found.dtype == np.uint8
        assert found[~body].mean() == pytest.approx(off, abs=0.01) and found[body].mean() == pytest.approx(on, abs=0.02)


def test_front_end_finds_the_person_again(clips):
    pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    noisy = weizmann_replay.damaged_frames(clips.frames, "flip", 0.2, rng)
    for frames in (clips.frames, noisy):
        found = weizmann_replay.steadied(frames, clips, 1)
        shared = (found & (clips.frames == 1)).sum() / (found | (clips.frames == 1)).sum()
        assert shared > 0.7
