"""The Weizmann actions: the reader, what the folds may see, and both experiments in small forms."""

import numpy as np
import pytest

from neuromem import datasets
from neuromem.errors import FormatError, MissingDataError
from neuromem.experiments import weizmann, weizmann_folds, weizmann_replay
from neuromem.experiments.weizmann_folds import MIRRORED, Design, fit_fold
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
    items = weizmann_folds.film("clip", True, ("edges", "changes")).to_dense()
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
        named, y = weizmann.decisions(weizmann.whole(folds, clips)["all counts plain"], clips)
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
        assert weizmann.sub_clip_accuracy(scores, clips, window) == pytest.approx(np.mean(shares))


def test_two_held_out_people(published):
    """Persons that no setting was chosen for: almost every clip right, and normalisation is what does it."""
    right = {}
    for normalised in ("clip", "no"):
        folds = []
        for person in ("daria", "lena"):
            fold = fit_fold((person,), 0, Design(grids=("14/6",), normalised=normalised))
            folds.append({"tested": fold.tested, **fold.scores})
        named, y = weizmann.decisions(weizmann.whole(folds, published)["14/6 counts plain"], published)
        right[normalised] = int((named == y).sum())
    assert len(y) == 23 and right["clip"] >= 22 and right["no"] <= right["clip"] - 4


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
