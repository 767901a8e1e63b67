"""Recall on symbolic Ballet: its streams are those of the environment, its networks' gradients are right, rivals are fair."""

import numpy as np
import pytest

from neuromem.environments import Ballet
from neuromem.experiments import ballet, ballet_task
from neuromem.experiments.ballet_task import MEMORIES, RecallNetwork, draw_episodes
from neuromem.experiments.registry import EXPERIMENTS
from neuromem.layers import softmax_cross_entropy

STAY = 8


def seen_in_environment(n_dancers, delay, seed):
    """Frames as the task shows them, read off the boards of the environment."""
    world = Ballet(1, n_dancers=n_dancers, delay=delay)
    step = world.reset(seeds=[seed])
    dancers = world.dancers(0)
    places = np.array([(2, 2), (2, 5), (2, 8), (5, 2), (5, 8), (8, 2), (8, 5), (8, 8)])
    homes = [np.flatnonzero((places == np.array(d["place"])).all(axis=1))[0] for d in dancers]
    frames = []
    before = {j: d["place"] for j, d in enumerate(dancers)}
    period = 15 + delay
    for t in range(n_dancers * period):
        assert world.texts()[0] == "watch"
        frame = np.zeros(17, np.float32)
        j, into = divmod(t, period)
        for other, dancer in enumerate(dancers):
            at = np.argwhere(step.board[0] == 66 + other)[0]
            if other == j and into < 16:
                frame[(at - np.array(dancer["place"])) @ (3, 1) + 4] = 1
                frame[9 + homes[j]] = 1
            else:
                assert tuple(at) == before[other]  # whoever does not dance stands still, at home
        frames.append(frame)
        step = world.step([STAY])
    return np.array(frames), [d["dance"] for d in dancers], homes, world.texts()[0]


def test_streams_are_those_of_the_environment():
    squares_of = ballet_task.dance_squares()
    names = list(ballet_task.DANCES)
    for n_dancers, delay, seed in ((2, 16, 0), (4, 8, 3)):
        frames, dances, homes, asked = seen_in_environment(n_dancers, delay, seed)
        assert asked in dances
        period = 15 + delay
        for j, dance in enumerate(dances):
            squares = frames[j * period : j * period + 16, :9].argmax(axis=1)
            assert np.array_equal(squares, squares_of[names.index(dance)])
        drawn = draw_episodes(1, n_dancers, delay, 0.0, np.random.default_rng(0))
        assert drawn.frames.shape[1:] == frames.shape
        assert np.array_equal(drawn.frames[0].sum(axis=1), frames.sum(axis=1))
        for j in range(n_dancers):
            dance, place = drawn.dances[0, j], drawn.places[0, j]
            part = drawn.frames[0, j * period : j * period + 16]
            assert np.array_equal(part[:, :9].argmax(axis=1), squares_of[dance]) and (part[:, 9 + place] == 1).all()


def test_episodes_differ_and_never_repeat_a_dance_or_a_place():
    episodes = draw_episodes(50, 8, 16, 0.0, np.random.default_rng(1))
    assert all(len(set(row)) == 8 for row in episodes.dances) and all(len(set(row)) == 8 for row in episodes.places)
    assert len({tuple(row) for row in episodes.dances}) == 50
    noisy = draw_episodes(50, 8, 16, 0.5, np.random.default_rng(1))
    assert np.array_equal(noisy.dances, episodes.dances) and (noisy.frames - episodes.frames).std() == pytest.approx(
        0.5, rel=0.01
    )


def test_networks_have_as_many_weights():
    counts = {kind: RecallNetwork(kind).n_weights for kind in MEMORIES}
    assert all(abs(count / counts["chunks"] - 1) < 0.15 for count in counts.values()), counts


@pytest.mark.parametrize(
    ("kind", "options"),
    [("chunks", {}), ("chunks", {"n_summaries": 4, "top_k": 2}), ("chunks", {"chunk_size": 12}), ("flat", {}), ("lstm", {})],
)
def test_gradients_of_the_whole_network(kind, options):
    network = RecallNetwork(kind, options, dtype="float64", random_state=3)
    episodes = draw_episodes(2, 2, 9, 0.3, np.random.default_rng(2))

    def loss():
        return softmax_cross_entropy(network.forward(episodes.frames, episodes.dances), episodes.places)

    _, d_scores = loss()
    _, gradients = network.backward(d_scores)
    assert set(gradients) == set(network.weights)
    rng = np.random.default_rng(4)
    for name, array in network.weights.items():
        for place in (tuple(rng.integers(array.shape)) for _ in range(2)):
            step, kept = 1e-6, array[place]
            array[place] = kept + step
            up, _ = loss()
            array[place] = kept - step
            down, _ = loss()
            array[place] = kept
            assert gradients[name][place] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-8), name


def test_training_is_the_same_again_and_test_episodes_are_common():
    episodes = draw_episodes(4, 2, 8, 0.0, np.random.default_rng(5))
    runs = []
    for _ in range(2):
        network = RecallNetwork("chunks", random_state=0)
        optimiser = ballet.Adam(network.weights, 1e-3)
        rng = np.random.default_rng(0)
        for _ in range(3):
            ballet.one_update(network, optimiser, 0.5, rng, 1e-3)
        runs.append(network.forward(episodes.frames, episodes.dances))
    assert np.array_equal(*runs)
    assert ballet.accuracy(network, 2, 16, 8, 0.0) == ballet.accuracy(network, 2, 16, 8, 0.0)


def test_quick_run(tmp_path):
    result = EXPERIMENTS["ballet"].run(quick=True, seeds=None, out=tmp_path, progress=False)
    found = {row.condition: row.value for row in result.rows if row.metric == "accuracy"}
    assert found["no noise: flat attention: 2 dancers, delay 16, 62 steps"] > 0.55  # a second or two of training
    assert found["no noise: HCAM: 2 dancers, delay 16, 62 steps"] > 0.55
    control = next(value for name, value in found.items() if name.startswith("no noise: HCAM: control"))
    assert control < 0.3
    rows = {(row.condition, row.metric): row.value for row in result.rows}
    one = "one question, 8,000 steps: "
    assert rows[one + "HCAM, chunks of 16", "rows of memory read"] == 500 + 4 * 16
    assert rows[one + "flat attention", "rows of memory read"] == 8000
    assert [path.name for path in tmp_path.iterdir()] == result.figures == ["ballet.png"]
