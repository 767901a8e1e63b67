"""Ballet: published episodes frame by frame, the plain form on random play, and what the public face refuses."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neuromem
from neuromem import FormatError, InputError, InputTypeError
from neuromem.environments import DANCES, INSTRUCTIONS, Ballet, dances, make, reference_ballet, sprites
from neuromem.environments import kernels as ballet_kernels
from neuromem.environments.ballet import STATE, drawn_stage
from neuromem.errors import CallOrderError

ROOT = Path(__file__).parent.parent
EPISODES = sorted((ROOT / "tests" / "golden" / "hcam").glob("ballet_*.npz"))
STAY = 8


def test_there_are_24_published_episodes():
    assert len(EPISODES) == 24


@pytest.mark.parametrize("path", EPISODES, ids=[path.stem for path in EPISODES])
def test_published_episode_frame_by_frame(path):
    wanted = np.load(path)
    ballet = Ballet(1, str(wanted["level"]))
    shown = ballet.reset(seeds=[int(wanted["seed"])])
    told = [
        ["BCDEFGHI"[i], list(d["place"]), d["dance"], d["shape"], d["colour"], float(d["target"])]
        for i, d in enumerate(ballet.dancers(0))
    ]
    assert told == json.loads(str(wanted["dancers"]))
    for t in range(len(wanted["boards"])):
        if t > 0:
            assert np.array_equal(ballet.agent[0], wanted["agent"][t - 1])
            shown = ballet.step(wanted["actions"][t - 1 : t])
            assert shown.reward[0] == wanted["reward"][t] and shown.discount[0] == wanted["discount"][t]
        assert np.array_equal(shown.board[0], wanted["boards"][t])
        assert ballet.texts(shown.instruction) == [str(wanted["lang"][t])]
        assert shown.last[0] == wanted["last"][t] and shown.first[0] == (t == 0)
        image = ballet.render()[0]
        assert hashlib.sha256(image.tobytes()).hexdigest() == str(wanted["image_sha256"][t])
        if t in wanted["image_idx"]:
            assert np.array_equal(image, wanted["image_samples"][list(wanted["image_idx"]).index(t)])


def test_published_frames_show_every_shape_and_every_colour_but_three():
    seen = [dancer for path in EPISODES for dancer in json.loads(str(np.load(path)["dancers"]))]
    assert {dancer[3] for dancer in seen} == set(sprites.SHAPES)
    assert set(sprites.COLOURS) - {dancer[4] for dancer in seen} == {"pink", "dark_green", "dark_blue"}
    assert len(set(map(tuple, sprites.COLOURS.values()))) == len(sprites.COLOURS)


# ---------------------------------------------------------------- the original's own tests


def test_one_dancer_is_watched_and_touched():
    ballet = Ballet(1, n_dancers=1, delay=16, max_steps=200)
    shown = ballet.reset(seeds=[0])
    for _ in range(30):
        assert ballet.texts() == ["watch"] and ballet.render(floats=True).shape == (1, 99, 99, 3)
        shown = ballet.step([STAY])
        assert shown.reward[0] == 0 and not shown.last[0]
    for _ in range(4):
        assert not shown.last[0]
        shown = ballet.step([1])  # the first is ignored
        assert ballet.texts() == ["up_and_down"]
    assert shown.reward[0] == 1 and shown.last[0] and shown.discount[0] == 0
    patch = ballet.render(floats=True)[0, 45:54, 45:54]  # the dancer is drawn over the agent
    plus = np.zeros((9, 9), bool)
    plus[3:6], plus[:, 3:6] = True, True
    assert patch.dtype == np.float32
    assert np.array_equal(patch, np.where(plus[..., None], np.array((255, 165, 0), np.float32) / 255, np.float32(0)))


@pytest.mark.parametrize(("level", "limit"), [("2_delay16", 320), ("4_delay16", 320), ("8_delay48", 1024)])
def test_published_levels(level, limit):
    ballet = Ballet(1, level)
    assert ballet.max_steps == limit
    for action in range(8):
        ballet.reset(seeds=[action])
        shown = ballet.step([action])
        assert shown.reward[0] == 0 and ballet.texts() == ["watch"] and tuple(ballet.agent[0]) == (5, 5)


FIRST_CHOICES = {"2_delay16": 62, "4_delay16": 124, "8_delay16": 248, "2_delay48": 126, "4_delay48": 252, "8_delay48": 504}


@pytest.mark.parametrize(("level", "frame"), FIRST_CHOICES.items())
def test_first_frame_with_a_choice(level, frame):
    ballet = Ballet(3, level, random_state=0)
    shown = ballet.reset()
    watched = 0
    while (shown.instruction == 0).all():
        shown = ballet.step(np.full(3, STAY))
        watched += 1
    assert watched == frame == ballet.first_choice_frame
    assert [INSTRUCTIONS[i] for i in shown.instruction] == [
        next(d["dance"] for d in ballet.dancers(e) if d["target"]) for e in range(3)
    ]


def test_dances_stay_within_one_square_and_end_where_they_began():
    offsets = dances.dance_offsets()
    assert offsets.shape == (len(DANCES), 16, 2) and abs(offsets).max() == 1 and not offsets[:, -1].any()
    assert len({tuple(moves) for moves in DANCES.values()}) == 13


# ---------------------------------------------------------------- against the plain form


class PlainBallet(Ballet):
    """Stepped by the plain form."""

    def run_kernel(self, task, actions):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ballet_kernels, "step_ballet", reference_ballet.step_ballet)
            return super().run_kernel(task, actions)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_dancers=st.integers(1, 8),
    delay=st.integers(1, 4),
    egocentric=st.booleans(),
    auto_reset=st.booleans(),
    extra=st.integers(1, 12),
)
def test_kernel_equals_plain_form_on_random_play(seed, n_dancers, delay, egocentric, auto_reset, extra):
    given_ = dict(n_dancers=n_dancers, delay=delay, egocentric=egocentric, auto_reset=auto_reset, random_state=seed)
    given_["max_steps"] = n_dancers * (15 + delay) + extra
    mine, plain = Ballet(3, **given_), PlainBallet(3, **given_)
    rng = np.random.default_rng(seed)
    mine.reset(), plain.reset()
    for t in range(given_["max_steps"] + 12):
        if t == 5:
            mask = rng.random(3) < 0.5
            shown, wanted = mine.reset(mask=mask), plain.reset(mask=mask)
        elif t == 9:
            shown, wanted = (ballet.reset([1, 2, 3], mask) for ballet in (mine, plain))
        else:
            actions = rng.integers(-1, 10, 3)
            shown, wanted = mine.step(actions), plain.step(actions)
        for name, a, b in zip(shown._fields, shown, wanted, strict=True):
            assert a.dtype == b.dtype and np.array_equal(a, b), (t, name)
    for name in STATE:
        assert np.array_equal(getattr(mine, name), getattr(plain, name))


@pytest.mark.jit_off
def test_published_episode_by_the_plain_form():
    wanted = np.load(ROOT / "tests" / "golden" / "hcam" / "ballet_2_delay16_target.npz")
    ballet = PlainBallet(1, "2_delay16")
    boards = [ballet.reset(seeds=[int(wanted["seed"])]).board[0]]
    boards += [ballet.step([action]).board[0] for action in wanted["actions"]]
    assert np.array_equal(boards, wanted["boards"])


# ---------------------------------------------------------------- batches, streams, threads


def play(ballet, n_steps, seed=0, n_all=None):
    """Everything shown under random actions, those of the leading environments of ``n_all``."""
    rng = np.random.default_rng(seed)
    n_all = n_all or ballet.n_envs
    return [ballet.step(rng.integers(0, 9, n_all)[: ballet.n_envs]) for _ in range(n_steps)]


def assert_equal_shows(some, others):
    for a, b in zip(some, others, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_environments_of_a_batch_are_those_played_alone():
    seeds = [5, 6, 7, 8]
    settings_ = dict(n_dancers=2, delay=1, max_steps=60, auto_reset=False)
    together = Ballet(4, **settings_)
    alone = [Ballet(1, **settings_) for _ in seeds]
    shown = [together.reset(seeds)] + play(together, 70)
    for e, ballet in enumerate(alone):
        rng = np.random.default_rng(0)
        single = [ballet.reset([seeds[e]])] + [ballet.step(rng.integers(0, 9, 4)[e : e + 1]) for _ in range(70)]
        assert_equal_shows([[part[e] for part in step] for step in shown], [[part[0] for part in step] for step in single])


def test_drawn_episodes_do_not_depend_on_the_batch():
    small, large = (Ballet(n, n_dancers=3, delay=1, max_steps=70, random_state=4) for n in (2, 9))
    some, others = play(small, 200, n_all=9), play(large, 200)
    assert_equal_shows(some, [[part[:2] for part in step] for step in others])
    assert not np.array_equal(large.stage[0], large.stage[1])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_threads_change_nothing(n_threads):
    if n_threads > neuromem.get_num_threads():
        pytest.skip("one thread only")
    with neuromem.threads(n_threads), pytest.MonkeyPatch.context() as patch:
        patch.setattr("neuromem.environments.ballet.STEP_NANOSECONDS", 1e9)  # not too little work for a second thread
        ballet = Ballet(301, n_dancers=2, delay=1, max_steps=50, random_state=0)
        shown = play(ballet, 120)
        digest = hashlib.sha256(b"".join(part.tobytes() for step in shown for part in step) + ballet.render().tobytes())
    assert digest.hexdigest() == DIGEST.setdefault("wanted", digest.hexdigest())


DIGEST: dict[str, str] = {}


def test_draws_without_a_seed_are_uniform():
    ballet = Ballet(20_000, "8_delay16", random_state=1)
    ballet.reset()
    for values, n in (
        (ballet.target, 8),
        (ballet.stage[:, 3, 2], 13),
        (ballet.stage[:, 7, 3], 15),
        (ballet.stage[:, 5, 4], 19),
        (3 * ballet.stage[:, 6, 0].astype(int) + ballet.stage[:, 6, 1], 8),
    ):
        counts = np.unique(values, return_counts=True)[1]
        wanted = 20_000 / n
        assert len(counts) == n and ((counts - wanted) ** 2 / wanted).sum() < n + 6 * (2 * n) ** 0.5
    for column in (2, 3, 4):  # nothing is drawn twice within an episode
        assert all(len(set(row)) == 8 for row in ballet.stage[:500, :, column].tolist())
    assert all(len({tuple(place) for place in stage[:, :2]}) == 8 for stage in ballet.stage[:500])


def test_the_draws_of_a_seed_are_the_stages_of_the_published_lists():
    generator = np.random.default_rng(12)
    target, stage = drawn_stage(generator, 4)
    ballet = Ballet(2, "4_delay16")
    ballet.reset([12, np.random.default_rng(12)])
    assert ballet.target.tolist() == [target, target]
    assert np.array_equal(ballet.stage, [stage, stage])


def test_a_generator_goes_on_from_episode_to_episode():
    generator, twin = np.random.default_rng(3), np.random.default_rng(3)
    ballet = Ballet(1, "2_delay16")
    for _ in range(3):
        ballet.reset([generator])
        target, stage = drawn_stage(twin, 2)
        assert ballet.target[0] == target and np.array_equal(ballet.stage[0], stage)


# ---------------------------------------------------------------- rules of the play


def choosing(n_envs=1, **given_):
    ballet = Ballet(n_envs, n_dancers=1, delay=1, max_steps=40, **given_)
    ballet.reset(seeds=[11] * n_envs)
    for _ in range(ballet.first_choice_frame):
        ballet.step(np.full(n_envs, 1))
    return ballet


@pytest.mark.parametrize("action", [8, 9, -1, 255, -(2**40), 2**40])
def test_a_bad_action_stays(action):
    ballet = choosing()
    before = ballet.agent.copy()
    ballet.step(np.array([action]))
    assert np.array_equal(ballet.agent, before)
    ballet.step([2])
    assert ballet.agent.tolist() == [[5, 6]]


def test_the_action_that_ends_the_last_delay_is_ignored_and_walls_stop():
    ballet = choosing()
    assert ballet.agent.tolist() == [[5, 5]]
    ballet.stage[0, 0, :2] = 8, 8  # out of the way
    for _ in range(9):
        ballet.step([0])
    assert ballet.agent.tolist() == [[1, 5]]


def test_a_cut_keeps_its_discount_and_a_touch_does_not():
    ballet = choosing(auto_reset=False)
    while not (shown := ballet.step([STAY])).last[0]:
        assert shown.discount[0] == 1
    assert shown.discount[0] == 1 and shown.reward[0] == 0 and ballet.frame[0] == 40
    over = ballet.step([0])
    assert over.last[0] and over.discount[0] == 0 and over.reward[0] == 0 and np.array_equal(over.board, shown.board)


def test_the_step_after_the_last_begins_anew():
    ballet = choosing()
    while not ballet.step([STAY]).last[0]:
        pass
    shown = ballet.step([3])
    assert shown.first[0] and not shown.last[0] and shown.reward[0] == 0 and shown.discount[0] == 1
    assert shown.instruction[0] == 0 and ballet.frame[0] == 0 and ballet.agent.tolist() == [[5, 5]]


def test_a_mask_leaves_others_alone():
    ballet = Ballet(3, n_dancers=2, delay=1, max_steps=60, random_state=0)
    play(ballet, 10)
    before = ballet.get_state()
    shown = ballet.reset(mask=np.array([False, True, False]))
    assert shown.first.tolist() == [False, True, False] and ballet.frame.tolist() == [9, 0, 9]
    for name in STATE:
        assert np.array_equal(getattr(ballet, name)[::2], before[name][::2])


def test_boards_of_the_room_show_the_same_as_egocentric_ones():
    around, still = (Ballet(2, n_dancers=4, delay=2, egocentric=e, random_state=0) for e in (True, False))
    rng = np.random.default_rng(0)
    for _ in range(120):
        actions = rng.integers(0, 9, 2)
        a, b = around.step(actions), still.step(actions)
        assert np.array_equal(around.agent, still.agent)
        for board, room, (row, column) in zip(a.board, b.board, still.agent, strict=True):
            assert np.array_equal(np.pad(room, 5, constant_values=32)[row : row + 11, column : column + 11], board)


def test_views_are_overwritten_and_copies_are_not():
    views, copies = (Ballet(1, n_dancers=1, delay=1, max_steps=30, copy=c, random_state=0) for c in (False, True))
    a, b = views.reset().board, copies.reset().board
    before = b.copy()
    for _ in range(3):
        views.step([STAY]), copies.step([STAY])
    assert np.array_equal(b, before) and not np.array_equal(a, before)


def test_a_state_goes_on_exactly():
    ballet = Ballet(5, n_dancers=2, delay=1, max_steps=50, random_state=3)
    play(ballet, 77)
    state = ballet.get_state()
    after = play(ballet, 60, seed=1)
    other = Ballet(5, n_dancers=2, delay=1, max_steps=50, random_state=99)
    other.set_state(state)
    assert_equal_shows(after, play(other, 60, seed=1))


def test_states_that_do_not_fit_are_refused():
    ballet = Ballet(2, n_dancers=2, delay=1, max_steps=50, random_state=3)
    ballet.reset()
    state = ballet.get_state()
    for change in (
        {"board": state["board"][:1]},
        {"target": np.full(2, 2, np.int8)},
        {"agent": np.zeros((2, 2), np.int8)},
        {"stage": state["stage"] + np.int8(20)},
        {"frame": state["frame"].astype(np.int64)},
        {"frame": state["frame"] - np.int32(5)},
        {"more": state["frame"]},
    ):
        with pytest.raises(FormatError):
            ballet.set_state(state | change)
    assert all(np.array_equal(ballet.get_state()[name], state[name]) for name in state)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"n_envs": 0}, "n_envs is 0"),
        ({"level": "9_delay16"}, "level is '9_delay16'"),
        ({"level": "2_delay0"}, "level"),
        ({"level": "easy"}, "level"),
        ({"n_dancers": 9}, "n_dancers is 9"),
        ({"delay": 0}, "delay is 0"),
        ({"max_steps": 124}, "max_steps is 124, more than 124"),
        ({"level": "8_delay200"}, "max_steps is 1024, more than 1720"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_bad_settings(given_, words):
    with pytest.raises(InputError, match=words):
        Ballet(**given_)


def test_bad_arguments_change_nothing():
    ballet = Ballet(3, n_dancers=1, delay=1, max_steps=30, random_state=0)
    ballet.reset()
    before = ballet.get_state()
    for kind, words, call in (
        (InputError, r"actions have shape \(2,\)", lambda: ballet.step([1, 2])),
        (InputTypeError, "actions are float64", lambda: ballet.step([1.0, 2.0, 3.0])),
        (InputTypeError, "mask is int64", lambda: ballet.reset(mask=np.array([1, 0, 1]))),
        (InputError, r"mask has shape \(2,\)", lambda: ballet.reset(mask=np.array([True, False]))),
        (InputError, "seeds has 2 entries", lambda: ballet.reset(seeds=[1, 2])),
        (InputTypeError, "seeds is 7", lambda: ballet.reset(seeds=7)),
        (InputError, r"seeds\[1\] is -1", lambda: ballet.reset(seeds=[1, -1, 2])),
        (InputTypeError, r"seeds\[2\] is 'x'", lambda: ballet.reset(seeds=[1, 2, "x"])),
        (InputError, "indices", lambda: ballet.render([3])),
        (InputError, "index is 3", lambda: ballet.dancers(3)),
    ):
        with pytest.raises(kind, match=words):
            call()
    assert all(np.array_equal(ballet.get_state()[name], before[name]) for name in before)


def test_a_step_before_any_reset_begins_or_is_refused():
    assert Ballet(2, random_state=0).step([0, 0]).first.all()
    with pytest.raises(CallOrderError, match="before reset"):
        Ballet(2, auto_reset=False).step([0, 0])


# ---------------------------------------------------------------- gymnasium


@pytest.mark.parametrize("view", ["image", "board"])
def test_gymnasium_s_own_checks_pass(view):
    pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    check_env(make("2_delay16", view=view), skip_render_check=False)


def test_gymnasium_plays_the_published_episode():
    pytest.importorskip("gymnasium")
    wanted = np.load(ROOT / "tests" / "golden" / "hcam" / "ballet_4_delay16_target.npz")
    environment = make("4_delay16")
    observation, info = environment.reset(seed=int(wanted["seed"]))
    for t, action in enumerate(wanted["actions"]):
        digest = hashlib.sha256(observation["image"].tobytes()).hexdigest()
        assert digest == str(wanted["image_sha256"][t]) and info["text"] == str(wanted["lang"][t])
        observation, reward, terminated, truncated, info = environment.step(action)
    assert reward == 1.0 and terminated and not truncated


def test_gymnasium_tells_a_cut_from_an_end():
    pytest.importorskip("gymnasium")
    environment = make(n_dancers=1, delay=1, max_steps=20)
    environment.reset(seed=0)
    ends = [environment.step(7)[2:4] for _ in range(20)]
    assert not any(map(any, ends[:-1])) and ends[-1] == (False, True)


def test_without_gymnasium_the_extra_is_named():
    code = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "from neuromem.environments import make\n"
        "try: make()\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "MissingDependencyError" in done.stdout and "neuromem[rl]" in done.stdout, done.stderr
