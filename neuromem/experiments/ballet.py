"""Who danced where?  Networks that differ in their memory only, trained on short streams and asked about long ones."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.experiments.ballet_task import CHUNK_SIZE, N_HEADS, N_PLACES, TOP_K, WIDTH, RecallNetwork, draw_episodes
from neuromem.experiments.result import Result
from neuromem.experiments.workers import one_thread_each
from neuromem.hcam import ChunkView, HCAMAttention
from neuromem.layers import softmax_cross_entropy
from neuromem.optim import Adam, clip_by_norm
from neuromem.parallel import threads
from neuromem.sweep import run_tasks

# Name in the tables -> kind of memory and options; then further ways to read with the same weights.
LEARNERS: dict[str, tuple[str, dict[str, int]]] = {
    "HCAM": ("chunks", {}),
    "HCAM, 4 summaries per chunk": ("chunks", {"n_summaries": 4}),
    "flat attention": ("flat", {}),
    "LSTM": ("lstm", {}),
}
READ_WITH = 16  # chunks kept by "k = 16 when read"
NOISES = {"no noise": 0.0, "noise 0.5": 0.5}

# Training: as short and as easy as the prototype of the task; number of dancers and delay are drawn for every batch, or
# a network learns to answer by exclusion, which fails with fewer dancers.
SECONDS = 25.0  # of processor time for every network, all that it gets
EPISODES, DANCERS, DELAYS = 16, (2, 6), (8, 24)
LEARNING_RATE, MOST_GRADIENT = 2e-3, 1.0
QUICK_SECONDS = 1.5

# Tests: (dancers, delay) -> episodes.  With a delay of 985 eight dancers make a stream of 8,000 steps, with 8110 of 65,000.
TESTS = {(2, 16): 256, (4, 16): 256, (8, 16): 256, (8, 48): 128, (8, 985): 64, (8, 8110): 16}
QUICK_TESTS = {(2, 16): 32, (8, 16): 32, (8, 985): 4}
STEPS_AT_ONCE = 32_768
TEST_SEED = 1_000_003  # no training stream has it
NONE_WRONG = 1e-3  # where the picture draws a share of 0
COSTS = {8_000: CHUNK_SIZE, 65_000: CHUNK_SIZE, 1_000_000: 256}  # steps remembered -> chunk size
QUICK_COSTS = {8_000: CHUNK_SIZE}


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Accuracies of every memory with and without noise, controls, and what a question costs."""
    tests, seconds = (QUICK_TESTS, QUICK_SECONDS) if quick else (TESTS, SECONDS)
    tasks = [
        {"learner": learner, "noise": noise, "seed": seed, "seconds": seconds, "tests": [[*key, n] for key, n in tests.items()]}
        for noise in (list(NOISES.values())[:1] if quick else NOISES.values())
        for seed in range(seeds)
        for learner in LEARNERS
    ]
    settings = {"seconds of training": seconds, "episodes per update": EPISODES, "dancers": DANCERS, "delays": DELAYS}
    settings |= {"learning rate": LEARNING_RATE, "chunk size": CHUNK_SIZE, "k": TOP_K, "width": WIDTH, "seeds": seeds}
    result = Result("ballet", 0, settings)
    with result.timed("train and test"), one_thread_each() as pool:
        found = run_tasks(trained_and_tested, tasks, pool, progress=progress)
    for noise_name, noise in NOISES.items():
        for learner in LEARNERS:
            mine = [f for f, task in zip(found, tasks, strict=True) if (task["learner"], task["noise"]) == (learner, noise)]
            if mine:
                add_rows(result, f"{noise_name}: {learner}", mine, tests)
    for n_dancers in sorted({key[0] for key in tests}):
        condition = f"chance: one of the places danced at, {n_dancers} dancers"
        result.add(condition, "accuracy", [1 / n_dancers], source="by definition")
    with result.timed("cost of a question"):
        add_costs(result, QUICK_COSTS if quick else COSTS)
    if out is not None:
        draw(result, tests, out)
    return result


# ---------------------------------------------------------------- training and tests, in a worker


def trained_and_tested(learner: str, noise: float, seed: int, seconds: float, tests: list[list[int]]) -> dict[str, Any]:
    """Train one network for its time; its accuracies on every test, and what it took."""
    kind, options = LEARNERS[learner]
    network = RecallNetwork(kind, options, random_state=seed)
    curve = train(network, noise, seed, seconds)
    found: dict[str, Any] = {"weights": network.n_weights, "updates": len(curve), "curve": np.array(curve, np.float32)}
    wider = None
    if kind == "chunks":
        wider = RecallNetwork(kind, {**options, "top_k": READ_WITH}, random_state=seed)
        wider.load_weights(network.weights)
    for n_dancers, delay, n in tests:
        name = f"{n_dancers} {delay}"
        found[name] = accuracy(network, n_dancers, delay, n, noise)
        if wider is not None:
            found[f"wider {name}"] = accuracy(wider, n_dancers, delay, n, noise)
    found["shuffled"] = accuracy(network, 8, 16, 32, noise, shift=1)
    return found


def train(network: RecallNetwork, noise: float, seed: int, seconds: float) -> list[float]:
    """Adam until the processor time is used up; the rate falls to 0 over its last two thirds.  Accuracy of every batch."""
    rng = np.random.default_rng([seed, 0])
    optimiser = Adam(network.weights, LEARNING_RATE)
    one_update(network, optimiser, noise, np.random.default_rng(0), 1e-12)  # compile and warm up outside the time
    accuracies = []
    start = time.process_time()
    while (spent := (time.process_time() - start) / seconds) < 1:
        accuracies.append(one_update(network, optimiser, noise, rng, LEARNING_RATE * min(1.0, 1.5 * (1 - spent))))
    return accuracies


def one_update(network: RecallNetwork, optimiser: Adam, noise: float, rng: np.random.Generator, rate: float) -> float:
    """Learn from one batch of episodes; the share of questions answered rightly before."""
    n_dancers, delay = int(rng.integers(DANCERS[0], DANCERS[1] + 1)), int(rng.integers(DELAYS[0], DELAYS[1] + 1))
    episodes = draw_episodes(EPISODES, n_dancers, delay, noise, rng)
    scores = network.forward(episodes.frames, episodes.dances)
    _, d_scores = softmax_cross_entropy(scores, episodes.places)
    _, gradients = network.backward(d_scores)
    clip_by_norm(gradients, MOST_GRADIENT)
    optimiser.learning_rate = rate
    optimiser.step(gradients)
    return float((scores.argmax(axis=2) == episodes.places).mean())


def accuracy(network: RecallNetwork, n_dancers: int, delay: int, n: int, noise: float, shift: int = 0) -> float:
    """Share of right answers over ``n`` episodes, the same ones for every network."""
    rng = np.random.default_rng([TEST_SEED, n_dancers, delay])
    at_once = max(1 + shift, min(n, STEPS_AT_ONCE // (n_dancers * (15 + delay))))
    right: list[float] = []
    while len(right) * at_once < n:
        episodes = draw_episodes(at_once, n_dancers, delay, noise, rng)
        scores = network.forward(episodes.frames, episodes.dances, shift)
        right.append(float((scores.argmax(axis=2) == episodes.places).mean()))
    return float(np.mean(right))


# ---------------------------------------------------------------- rows


def add_rows(result: Result, name: str, found: list[dict[str, np.ndarray]], tests: dict[tuple[int, int], int]) -> None:
    """One learner: accuracies by test, by seed averaged; then the control and what training took."""
    for (n_dancers, delay), n in tests.items():
        what = f"{n_dancers} dancers, delay {delay}, {n_dancers * (15 + delay):,} steps"
        key = f"{n_dancers} {delay}"
        result.add(f"{name}: {what}", "accuracy", [f[key] for f in found], n=n * n_dancers)
        if f"wider {key}" in found[0]:
            values = [f[f"wider {key}"] for f in found]
            result.add(f"{name}, k = {READ_WITH} when read: {what}", "accuracy", values, n=n * n_dancers)
    shuffled = [f["shuffled"] for f in found]
    result.add(f"{name}: control: memory of another episode, 8 dancers", "accuracy", shuffled, n=32 * 8)
    result.add(name, "weights", [found[0]["weights"]])
    result.add(name, "updates", [f["updates"] for f in found])
    result.add(name, "episodes shown", [EPISODES * f["updates"] for f in found], presentations=1)


def add_costs(result: Result, costs: dict[int, int]) -> None:
    """One question to a full memory, one thread: rows of memory read, and the time; flat attention by the same kernel."""
    rng = np.random.default_rng(0)
    question = rng.standard_normal((1, 1, WIDTH), dtype=np.float32)
    for n_steps, chunk_size in costs.items():
        steps = rng.standard_normal((n_steps, WIDTH), dtype=np.float32)
        n_chunks = n_steps // chunk_size
        contents = steps[: n_chunks * chunk_size].reshape(1, n_chunks, chunk_size, WIDTH)
        chunked = HCAMAttention(WIDTH, WIDTH, WIDTH, N_HEADS, TOP_K)
        flat = HCAMAttention(WIDTH, WIDTH, WIDTH, N_HEADS, 1, position_code=False)
        views = {
            "HCAM": (chunked, ChunkView.from_arrays(contents.mean(axis=2), contents), n_chunks + TOP_K * chunk_size),
            "flat attention": (flat, ChunkView.from_arrays(steps.mean(axis=0)[None, None], steps[None, None]), n_steps),
        }
        for name, (attention, view, n_rows) in views.items():
            condition = f"one question, {n_steps:,} steps: {name}" + (f", chunks of {chunk_size}" if name == "HCAM" else "")
            result.add(condition, "rows of memory read", [n_rows])
            microseconds = 1e6 * best_seconds(lambda a=attention, v=view: a.forward(question, v))  # type: ignore[misc]
            result.add(condition, "microseconds", [microseconds])


def best_seconds(call: Callable[[], Any], repeats: int = 7) -> float:
    """The shortest of a few calls on one thread, after one to warm up."""
    with threads(1):
        call()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return min(times)


def draw(result: Result, tests: dict[tuple[int, int], int], out: Path) -> None:
    """Share of wrong answers with eight dancers against the length of the stream, without noise and with it."""
    from neuromem.experiments.figures import finish, new_figure

    values = {row.condition: row.value for row in result.rows if row.metric == "accuracy"}
    figure, axes = new_figure(11, 4.4, len(NOISES))
    shown = [(n, delay) for n, delay in tests if n == N_PLACES]
    for ax, noise in zip(axes, NOISES, strict=True):
        for learner in [*LEARNERS, *(f"{name}, k = {READ_WITH} when read" for name in list(LEARNERS)[:2])]:
            found = [values.get(f"{noise}: {learner}: {n} dancers, delay {d}, {n * (15 + d):,} steps") for n, d in shown]
            wrong = [max(1 - value, NONE_WRONG) for value in found if value is not None]
            if wrong:
                style = "o--" if "read" in learner else "o-"
                ax.plot([n * (15 + d) for n, d in shown], wrong, style, label=learner, ms=4, alpha=0.8)
        ax.axhline(1 - 1 / N_PLACES, color="0.5", ls=":", label="chance")
        ax.set(xscale="log", yscale="log", ylim=(0.7 * NONE_WRONG, 1.2), title=f"eight dancers, {noise}")
        ax.set(xlabel="steps in the stream")
        ax.set_yticks([NONE_WRONG, 0.01, 0.1, 1], ["none", "1 %", "10 %", "100 %"])
    axes[0].set_ylabel("wrong answers")
    axes[1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(0.01, 0.92))
    finish(figure, out / "ballet.png", result)
