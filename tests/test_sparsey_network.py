"""Networks of macs: cases with a known answer, in time and in depth."""

import numpy as np
import pytest
from sequence_cases import levels_of, one_level, written

from neuromem import InputError, NotFittedError, SaturationWarning
from neuromem.experiments.sparsey_sequences import N_INPUTS, moved, random_sequence
from neuromem.sparsey import FieldGrid, SparseyLevel, SparseyNetwork, SparseySequenceMemory
from neuromem.sparsey.network_memory import VERSIONS


def share(a, b):
    return float(np.mean(a == b))


# ---------------------------------------------------------------- persistence


def test_a_code_lives_as_long_as_its_level_says():
    frames = random_sequence(np.random.default_rng(0), 24)
    codes = written(levels_of(0, 1, 2, 4), frames)
    changes = [int((c[1:] != c[:-1]).any(axis=(1, 2)).sum()) for c in codes]
    assert changes == [23, 11, 5]


def test_a_held_code_is_supported_on_every_frame_of_its_chunk():
    memory = levels_of(3, 1, 4)
    frames = random_sequence(np.random.default_rng(1), 16)
    codes = written(memory, frames)
    trace = memory.trace(frames)
    assert all(np.array_equal(a, b) for a, b in zip(codes, trace.codes, strict=True))
    for start in range(0, 16, 4):
        held = trace.familiarity[1][start : start + 4]
        assert (held == held[0]).all() and trace.ages[1][start : start + 4, 0].tolist() == [1, 2, 3, 4]
    # released at a support below 1, the codes of an exact replay stay: mean U of their winners is 1.0 on every frame
    assert np.array_equal(memory.trace(frames).codes[1], with_release(memory, 1.0).trace(frames).codes[1])


def with_release(memory, release):
    other = memory.copy()
    for level in other.levels:
        level.release = release
    other._after_load()
    return other


def own_module_weights(memory, level=0):
    """Weights from each module's cells to its own cells."""
    from neuromem.sparsey.kernels import mac_signals as column
    from neuromem.sparsey.packing import unpack_cells

    found = 0
    for mac in memory.tables_.macs:
        q, k, n_words = (int(mac[c]) for c in (column.MODULES, column.UNITS, column.WORDS))
        first = int(mac[column.FIRST_WORD]) + int(mac[column.N_UP]) * n_words
        rows = unpack_cells(memory.weights_[first : first + q * k * n_words].reshape(-1, n_words), q, k).reshape(q, k, q, k)
        assert rows.any()
        found += sum(int(rows[i, :, i].sum()) for i in range(q))
    return found


def test_no_module_hears_itself():
    memory = levels_of(0, 1, 2, 4, learn_context="always")
    for n in range(4):
        memory.write(random_sequence(np.random.default_rng(n), 9))
        assert own_module_weights(memory) == 0


def test_the_published_weight_count():
    memory = SparseySequenceMemory(144, 9, 16, random_state=0)
    memory.write(np.ones((1, 144), np.uint8))
    cells = 9 * 16
    assert 144 * cells + cells * (cells - 16) == 39_168
    memory.weights_[:] = 0  # every weight that may be set, set
    from neuromem.sparsey.packing import pack_cells

    n_words = 3
    rows = memory.weights_.reshape(-1, n_words)
    rows[:144] = pack_cells(np.ones((9, 16), bool))
    for q in range(9):
        others = np.ones((9, 16), bool)
        others[q] = False
        rows[144 + 16 * q : 160 + 16 * q] = pack_cells(others)
    assert int(np.bitwise_count(memory.weights_).sum()) == 39_168
    full = memory.saturation()[0]
    assert full["up"][0] == full["across"][0] == 1.0


def test_nothing_is_learned_across_a_cut():
    a, b = random_sequence(np.random.default_rng(0), 2)
    memory = one_level(0)
    memory.write(a[None])
    memory.begin_episode()
    memory.write(b[None])
    assert memory.saturation()[0]["across"][0] == 0.0
    cut = one_level(0)
    cut.write(np.stack([a, b]), lengths=[1, 1])
    assert np.array_equal(cut.weights_, memory.weights_)
    joined = one_level(0)
    joined.write(np.stack([a, b]))
    assert joined.saturation()[0]["across"][0] > 0.0


# ---------------------------------------------------------------- gates

QUADRANTS = FieldGrid((12, 12), (6, 6), (6, 6))


def quadrants(seed):
    levels = [
        SparseyLevel(12, 24, QUADRANTS, activation_bounds=(2, 6)),
        SparseyLevel(12, 24, persistence=2, activation_bounds=(2, 4), release=None),
    ]
    return SparseyNetwork(N_INPUTS, levels, random_state=seed)


def test_macs_are_awake_exactly_within_their_bounds():
    rng = np.random.default_rng(1)
    memory = quadrants(1)
    sequences = [random_sequence(rng, 10, 3, 13) for _ in range(5)]
    fields = QUADRANTS.fields(N_INPUTS)
    n_silent, codes = 0, []
    for frames in sequences:
        trace = memory.present(frames, True, lengths=[10])
        codes.append(trace.codes)
        active = np.stack([frames[:, field].sum(axis=1) for field in fields], axis=1)
        awake = trace.ages[0] > 0
        assert np.array_equal(awake, (active >= 2) & (active <= 6))
        assert np.array_equal(awake, (trace.codes[0] != 255).all(axis=2))
        assert not trace.familiarity[0][~awake].any()
        n_silent += int((~awake).sum())
        sources = awake.sum(axis=1)
        for t in range(10):
            held = t > 0 and trace.ages[1][t - 1, 0] == 1
            assert (trace.ages[1][t, 0] > 0) == (held or 2 <= sources[t] <= 4)
    assert n_silent > 30
    right = [[share(a, b) for a, b in zip(c, memory.trace(s).codes, strict=True)] for s, c in zip(sequences, codes, strict=True)]
    assert np.mean(right, axis=0)[0] > 0.98 and np.mean(right, axis=0)[1] > 0.98


def test_a_silent_mac_learns_nothing():
    memory = quadrants(0)
    memory.write(np.ones((5, N_INPUTS), np.uint8))  # 36 active pixels in each field
    assert not memory.weights_.any() and (memory.codes_ == -1).all() and len(memory) == 5
    assert memory.familiarity(np.ones((2, N_INPUTS), np.uint8)).tolist() == [0.0, 0.0]


def test_a_full_cell_learns_no_more():
    memory = SparseySequenceMemory(N_INPUTS, 4, 2, saturation_limit=0.3, random_state=0)
    memory.write(random_sequence(np.random.default_rng(0), 60))
    before = memory.n_weights_.copy()
    assert memory.frozen_.all() and (before >= np.ceil(0.3 * 144)).all()
    memory.write(random_sequence(np.random.default_rng(1), 20))
    assert np.array_equal(memory.n_weights_, before)


def test_a_level_learns_only_in_its_critical_period():
    memory = SparseyNetwork(N_INPUTS, [SparseyLevel(8, 16, critical_period=5), SparseyLevel(8, 16)], random_state=0)
    memory.write(random_sequence(np.random.default_rng(0), 5))
    before = memory.saturation()
    memory.write(random_sequence(np.random.default_rng(1), 5))
    after = memory.saturation()
    assert before[0]["up"] == after[0]["up"] and before[0]["across"] == after[0]["across"]
    assert after[1]["across"] > before[1]["across"]


# ---------------------------------------------------------------- recognition and recall


def test_three_levels_recognise_and_go_on_from_one_frame():
    frames = random_sequence(np.random.default_rng(0), 24)
    memory = levels_of(0, 1, 2, 4)
    codes = written(memory, frames)
    trace = memory.trace(frames)
    rest = memory.complete_sequence(frames[:1], 23)
    for a, b, c, familiarity in zip(codes, trace.codes, rest.trace.codes, trace.familiarity, strict=True):
        assert np.array_equal(a, b) and familiarity.min() > 0.99
        assert np.array_equal(a[1:], c)
    assert np.array_equal(rest.frames > 0.5, frames[1:].astype(bool)) and rest.support.min() == 1.0


def test_nothing_known_is_silence():
    frames = random_sequence(np.random.default_rng(0), 4)
    memory = levels_of(0, 1, 2)
    with pytest.raises(NotFittedError):
        memory.complete_sequence(frames, 2)
    memory.write(frames[:1])
    for prompt in (frames[1:2], frames[:0]):
        rest = memory.complete_sequence(prompt, 5)
        assert not rest.frames.any() and not rest.support.any() and (rest.trace.codes[0] == 255).all()
        assert not np.isnan(rest.trace.familiarity[0]).any()
    assert (memory.complete_sequence(frames[:1], 0).frames.shape) == (0, N_INPUTS)


def test_the_end_of_a_sequence_is_noticed():
    rng = np.random.default_rng(2)
    memory = one_level(0)
    sequences = [random_sequence(rng, n) for n in (5, 9, 14)]
    memory.write(np.concatenate(sequences), lengths=[5, 9, 14])
    for frames in sequences:
        rest = memory.complete_sequence(frames[:2], 40, stop_below=0.5)
        assert len(rest.frames) == len(rest.support) == len(frames) - 2
        assert np.array_equal(rest.frames > 0.5, frames[2:].astype(bool))


def test_novelty_of_order_shows_in_the_version_with_context_only():
    frames = random_sequence(np.random.default_rng(3), 12)
    memory = one_level(0, backoff="none")
    memory.write(frames, lengths=[12])
    other = np.random.default_rng(4).permutation(12)
    known, shuffled = memory.trace(frames).versions[0][:, 0], memory.trace(frames[other]).versions[0][:, 0]
    u, uh = VERSIONS.index("U"), VERSIONS.index("UH")
    assert known[:, u].min() == 1.0 and shuffled[:, u].min() == 1.0
    assert known[1:, uh].min() == 1.0 and shuffled[1:, uh].mean() < 0.3
    assert np.isnan(known[0, uh]) and np.isnan(known[:, VERSIONS.index("D")]).all()


def right_endings(make, n_shared, seeds=(0, 1, 2), pairs=8):
    """Share of prompts that run on to their own ending: pairs of sequences with a stretch in common."""
    right = []
    for seed in seeds:
        rng = np.random.default_rng(100 + seed)
        memory, sequences = make(seed), []
        for _ in range(pairs):
            shared = random_sequence(rng, n_shared)
            sequences += [np.concatenate([random_sequence(rng, 2), shared, random_sequence(rng, 2)]) for _ in range(2)]
        memory.write(np.concatenate(sequences), lengths=[n_shared + 4] * len(sequences))
        for i, frames in enumerate(sequences):
            last = memory.complete_sequence(frames[:2], n_shared + 2).frames[-1]
            own, other = last[frames[-1] > 0].mean(), last[sequences[i ^ 1][-1] > 0].mean()
            right.append((own > other) + 0.5 * (own == other))
    return np.mean(right)


@pytest.mark.parametrize("n_shared", [2, 8])
def test_what_came_before_tells_sequences_apart(n_shared):
    assert right_endings(one_level, n_shared) >= 0.95
    assert right_endings(lambda seed: levels_of(seed, 1, 2), n_shared) >= 0.95


def by_level_above(seed, persistence):
    """Level 1 has no H; what it recalls is too blurred a mix to back off to."""
    return levels_of(seed, 1, persistence, first_horizontal=False, backoff="none")


@pytest.mark.parametrize("persistence", [1, 2])
@pytest.mark.parametrize("n_shared", [2, 8])
def test_the_level_above_alone_tells_them_apart(n_shared, persistence):
    assert right_endings(lambda seed: by_level_above(seed, persistence), n_shared) >= 0.95


def test_without_either_they_are_not_told_apart():
    def by_frames_alone(seed):
        return levels_of(seed, 1, 2, first_horizontal=False, top_down=False)

    memory = by_frames_alone(0)
    frames = random_sequence(np.random.default_rng(0), 6)
    memory.write(frames, lengths=[6])
    assert not memory.complete_sequence(frames[:2], 4).frames.any()  # level 1 hears nothing: it falls silent
    assert 0.35 <= right_endings(by_frames_alone, 2) <= 0.65


def test_codes_without_context_are_the_same_whatever_came_before():
    memory = levels_of(0, 1, 2, first_horizontal=False, top_down=False)
    rng = np.random.default_rng(0)
    shared = random_sequence(rng, 3)
    sequences = [np.concatenate([random_sequence(rng, 2), shared]) for _ in range(2)]
    codes = [written(memory, frames)[0][2:] for frames in sequences]
    assert share(*codes) > 0.9
    in_context = one_level(0)
    codes = [written(in_context, frames)[0][2:] for frames in sequences]
    assert share(*codes) < 0.3


# ---------------------------------------------------------------- time warp and noise


def half_speed(make, n_moved, seed=1):
    """Share of winners equal to those learned for the frame shown, per level; every second frame is left out."""
    rng = np.random.default_rng(5)
    memory = make(seed)
    sequences = [random_sequence(rng, 12) for _ in range(12)]
    codes = [written(memory, frames) for frames in sequences]
    rng = np.random.default_rng(7)
    right = [
        [share(a[::2], b) for a, b in zip(c, memory.trace(moved(frames[::2], rng, n_moved)).codes, strict=True)]
        for frames, c in zip(sequences, codes, strict=True)
    ]
    return np.mean(right, axis=0)


def test_half_speed_with_noise_needs_relative_back_off():
    assert half_speed(one_level, 2)[0] >= 0.93
    assert half_speed(lambda seed: one_level(seed, backoff="none"), 2)[0] <= 0.6
    absolute = half_speed(lambda seed: one_level(seed, backoff="absolute"), 2)[0]
    assert absolute < 0.75 < 0.99 < half_speed(lambda seed: one_level(seed, backoff="absolute"), 0)[0]


def test_half_speed_on_two_levels_needs_early_release():
    released = np.mean([half_speed(lambda seed: levels_of(seed, 1, 4), 2, seed) for seed in range(3)], axis=0)
    assert released[0] >= 0.95 and released[1] >= 0.98
    locked = half_speed(lambda seed: levels_of(seed, 1, 4, release=None), 2)
    assert locked[1] < 0.8


def test_an_exact_replay_is_the_same_with_and_without_release():
    rng = np.random.default_rng(5)
    memory = levels_of(1, 1, 4)
    sequences = [random_sequence(rng, 12) for _ in range(12)]
    codes = [written(memory, frames) for frames in sequences]
    held = with_release(memory, None)
    for frames, c in zip(sequences, codes, strict=True):
        for a, b, wanted in zip(memory.trace(frames).codes, held.trace(frames).codes, c, strict=True):
            assert np.array_equal(a, b) and np.array_equal(a, wanted)


def test_capacity_of_one_mac():
    memory = one_level(0)
    rng = np.random.default_rng(0)
    sequences = [random_sequence(rng, 10) for _ in range(40)]
    codes = [written(memory, frames)[0] for frames in sequences]
    assert np.mean([share(memory.trace(f).codes[0], c) for f, c in zip(sequences, codes, strict=True)]) >= 0.98
    recalled = [share(memory.complete_sequence(f[:1], 9).trace.codes[0], c[1:]) for f, c in zip(sequences, codes, strict=True)]
    assert np.mean(recalled) >= 0.99


# ---------------------------------------------------------------- labels of sequences


def test_sequences_are_classified():
    rng = np.random.default_rng(0)
    prototypes = [random_sequence(rng, 8) for _ in range(4)]
    memory = one_level(0, n_classes=4, u_exponent=2.0)
    assert memory.unavailable_ == ("predict",)
    labels = np.repeat(np.arange(4), 5)
    memory.write(np.concatenate([moved(prototypes[c], rng, 2) for c in labels]), labels, lengths=[8] * 20)
    assert memory.unavailable_ == ()
    cues = np.concatenate([moved(prototypes[c], rng, 3) for c in labels])
    assert (memory.predict(cues, lengths=[8] * 20) == labels).mean() >= 0.95
    assert memory.class_scores(cues[:3]).shape == (3, 4)
    memory.reset()
    assert memory.unavailable_ == ("predict",)


# ---------------------------------------------------------------- bad input

BAD_LEVELS = {
    "no levels": [],
    "not a level": [3],
    "one module": [SparseyLevel(1, 8)],
    "no units": [SparseyLevel(4, 0)],
    "no persistence": [SparseyLevel(persistence=0)],
    "negative exponent": [SparseyLevel(u_exponent=-1.0)],
    "release": [SparseyLevel(release=2.0)],
    "bounds": [SparseyLevel(activation_bounds=(3, 2))],
    "empty fields": [SparseyLevel(receptive_fields=[])],
    "an empty field": [SparseyLevel(receptive_fields=[[]])],
    "unknown feature": [SparseyLevel(receptive_fields=[[0, 144]])],
    "a feature twice": [SparseyLevel(receptive_fields=[[0, 0]])],
    "half a feature": [SparseyLevel(receptive_fields=[[0.5]])],
    "text": [SparseyLevel(receptive_fields="all")],
    "grid of another size": [SparseyLevel(receptive_fields=FieldGrid((5, 5), (2, 2)))],
    "grid too small": [SparseyLevel(receptive_fields=FieldGrid((12, 12), (13, 2)))],
    "unknown mac": [SparseyLevel(), SparseyLevel(receptive_fields=[[1]])],
}


@pytest.mark.parametrize("name", BAD_LEVELS)
def test_bad_levels(name):
    memory = SparseyNetwork(N_INPUTS, BAD_LEVELS[name], random_state=0)
    with pytest.raises(InputError):
        memory.write(np.zeros((1, N_INPUTS), np.uint8))
    assert len(memory) == 0 and not memory._is_fitted()


def test_bad_calls():
    memory = one_level(0)
    frames = random_sequence(np.random.default_rng(0), 6)
    memory.write(frames)
    before = memory.get_state()
    for call in (
        lambda: memory.write(frames, lengths=[3, 4]),
        lambda: memory.write(frames, lengths=[6, 0]),
        lambda: memory.write(frames, lengths=[1.5, 4.5]),
        lambda: memory.write(frames, [1], lengths=[6]),
        lambda: memory.write(frames, tags=[1]),
        lambda: memory.trace(frames, [7]),
        lambda: memory.familiarity(frames, level=1),
        lambda: memory.complete_sequence(frames, -1),
        lambda: memory.complete_sequence(frames, 2, stop_below=2.0),
        lambda: memory.reconstruct(np.zeros((2, 1, 3), int)),
        lambda: memory.reconstruct(np.full((2, 1, 24), 40)),
        lambda: memory.predict(frames),
        lambda: SparseyNetwork(N_INPUTS, backoff="best").write(frames),
        lambda: SparseyNetwork(N_INPUTS, hypotheses="many").write(frames),
        lambda: SparseyNetwork(N_INPUTS, backoff_thresholds=(0.9,)).write(frames),
    ):
        with pytest.raises(InputError):
            call()
    after = memory.get_state()
    assert before["scalars"] == after["scalars"]
    assert all(np.array_equal(before["arrays"][name], after["arrays"][name]) for name in before["arrays"])


def test_an_overfull_network_warns_once():
    memory = SparseySequenceMemory(20, 2, 2, random_state=0)
    with pytest.warns(SaturationWarning, match="from below set"):
        memory.write(np.ones((30, 20), np.uint8))
    memory.write(np.ones((30, 20), np.uint8))


def test_budgets_are_kept():
    from neuromem import CapacityError, ItemSpec

    spec = ItemSpec(64, "binary", 0.1)
    for cls in (SparseyNetwork, SparseySequenceMemory):
        for n_bytes in (40_000, 400_000):
            memory = cls.for_budget(n_bytes, spec, random_state=0)
            memory.write((np.random.default_rng(0).random((9, 64)) < 0.1).astype(np.uint8))
            assert memory.nbytes == memory.estimate_nbytes() <= n_bytes
            assert memory.nbytes > 0.2 * n_bytes
        with pytest.raises(CapacityError):
            cls.for_budget(10, spec)
