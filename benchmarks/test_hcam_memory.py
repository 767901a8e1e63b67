"""Reading a chunk memory of up to a million steps beside flat attention over all of them, and writing it: a group is a row.

``extra_info`` has ``items``: cues of a read, steps of a write.  The streams are walks, as those of sensors; for the rows of
pruning also episodes and steps without any order in time.  The cue is a stored step and noise, another one in each round.
"""

import functools
import itertools

import numpy as np
import pytest

from neuromem import ChunkMemory
from neuromem.hcam import ChunkView
from neuromem.hcam.kernels import best_chunks, best_chunks_pruned
from neuromem.hcam.pruning import SummaryGroups

WIDTH, HEADS, KEPT, N_CUES = 128, 4, 16, 64
CHUNK = {10**4: 32, 10**5: 64, 10**6: 256}  # near sqrt(steps / chunks kept), where the fewest numbers are read
STEPS = sorted(CHUNK)


@functools.lru_cache(maxsize=1)
def stream(n_steps):
    """A walk of unit variance, and cues."""
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((n_steps, WIDTH), np.float32)
    np.cumsum(steps, axis=0, out=steps)
    steps /= steps[:: n_steps // 1000].std()
    return steps, steps[rng.integers(n_steps, size=N_CUES)] + 0.1 * rng.standard_normal((N_CUES, WIDTH), np.float32)


@functools.lru_cache(maxsize=1)
def memory_of(n_steps, chunk_size):
    steps, _ = stream(n_steps)
    memory = ChunkMemory(WIDTH, chunk_size, capacity=-(-n_steps // chunk_size), n_chunks=KEPT)
    for part in range(0, n_steps, 100_000):
        memory.write(steps[part : part + 100_000])
    memory.flush()
    return memory


def one_by_one(cues):
    """The next cue, (1, D), at each call."""
    rows = itertools.cycle([cues[i : i + 1] for i in range(len(cues))])
    return lambda: next(rows)


def name_read(benchmark, n_steps):
    benchmark.group = f"read one cue of {n_steps:.0e} steps of 128 numbers, one thread"
    benchmark.extra_info["items"] = 1


@pytest.mark.parametrize("n_steps", STEPS)
def test_read(benchmark, one_thread, n_steps):
    name_read(benchmark, n_steps)
    memory, cue = memory_of(n_steps, CHUNK[n_steps]), one_by_one(stream(n_steps)[1])
    memory.read(cue())
    benchmark.pedantic(lambda: memory.read(cue()), rounds=300, warmup_rounds=5)


@pytest.mark.parametrize("n_steps", STEPS)
def test_read_rival(benchmark, one_thread, n_steps):
    torch = pytest.importorskip("torch")
    name_read(benchmark, n_steps)
    benchmark.extra_info["rival"] = (
        f"PyTorch {torch.__version__.partition('+')[0]}, attention over all steps, keys and values kept"
    )
    steps, cues = stream(n_steps)
    keys = torch.from_numpy(steps).view(n_steps, HEADS, -1).permute(1, 0, 2)[None].contiguous()
    values = keys.clone()
    queries = torch.from_numpy(cues).view(N_CUES, 1, HEADS, 1, -1)
    place = itertools.cycle(range(N_CUES))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        benchmark.pedantic(
            lambda: torch.nn.functional.scaled_dot_product_attention(queries[next(place)], keys, values),
            rounds=10 if n_steps > 10**5 else 50,
            warmup_rounds=1,
        )
    finally:
        torch.set_num_threads(before)


def name_search(benchmark, n_steps):
    benchmark.group = f"find one cue among {n_steps:.0e} steps of 128 numbers, one thread"
    benchmark.extra_info["items"] = 1


@pytest.mark.parametrize("n_steps", STEPS)
def test_search(benchmark, one_thread, n_steps):
    name_search(benchmark, n_steps)
    memory, cue = memory_of(n_steps, CHUNK[n_steps]), one_by_one(stream(n_steps)[1])
    memory.read(cue())
    benchmark.pedantic(lambda: memory.read(cue()), rounds=300, warmup_rounds=5)


@pytest.mark.parametrize("n_steps", STEPS)
def test_search_rival(benchmark, one_thread, n_steps):
    """Softmax of all products and the weighted sum: flat attention in NumPy, one head."""
    name_search(benchmark, n_steps)
    benchmark.extra_info["rival"] = "NumPy, attention over all steps"
    steps, cues = stream(n_steps)
    cue = one_by_one(cues)

    def attend():
        scores = steps @ cue()[0]
        scores *= WIDTH**-0.5
        scores -= scores.max()
        np.exp(scores, out=scores)
        scores /= scores.sum()
        return scores @ steps

    benchmark.pedantic(attend, rounds=10 if n_steps > 10**5 else 50, warmup_rounds=1)


def test_read_many(benchmark, one_thread):
    memory, cues = memory_of(10**6, 256), stream(10**6)[1]
    benchmark.group = "read one cue of 64 together, 1e+06 steps of 128 numbers, one thread"
    benchmark.extra_info["items"] = N_CUES
    benchmark.pedantic(lambda: memory.read(cues), rounds=10, warmup_rounds=1)


def test_read_short_chunks(benchmark, one_thread):
    memory, cue = memory_of(10**6, 32), one_by_one(stream(10**6)[1])
    benchmark.group = "read one cue of 1e+06 steps of 128 numbers in chunks of 32, one thread"
    benchmark.extra_info["items"] = 1
    memory.read(cue())
    benchmark.pedantic(lambda: memory.read(cue()), rounds=300, warmup_rounds=5)


# ---------------------------------------------------------------- summaries alone

M = 31_250
KINDS = ["walk", "episodes", "no order"]


@functools.lru_cache(maxsize=1)
def summaries_of(kind):
    """Summaries, their groups, cues."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((M, WIDTH))
    if kind == "walk":
        made = np.cumsum(noise, axis=0)
    elif kind == "episodes":
        made = np.repeat(rng.standard_normal((M // 250, WIDTH)), 250, axis=0) + 0.3 * noise
    else:
        made = noise
    made = (made / made.std()).astype(np.float32)
    made.flags.writeable = False
    groups = SummaryGroups(WIDTH)
    groups.rebuild(ChunkView.from_arrays(made[None], made[None, :, None]))
    cues = made[rng.integers(M, size=N_CUES)] + 0.5 * rng.standard_normal((N_CUES, WIDTH))
    return made, groups, cues


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pruned", [True, False])
def test_summaries(benchmark, one_thread, kind, pruned):
    made, groups, cues = summaries_of(kind)
    cue, visible, index, score = one_by_one(cues), np.ones(M, np.uint8), np.zeros((1, KEPT), np.int32), np.zeros((1, KEPT))
    loose, scanned = np.zeros(0, np.int32), np.zeros(1, np.int64)
    bounds = groups.group_size, groups.centres[0], groups.reach[0]
    benchmark.group = f"the best 16 of 31,250 summaries, {kind}, groups left out, one thread"
    benchmark.extra_info["items"] = 1
    shares = []

    def scan():
        best_chunks(cue(), made, visible, index, score)

    def prune():
        best_chunks_pruned(cue(), made, visible, loose, *bounds, scanned, index, score)
        shares.append(scanned[0] / len(bounds[1]))

    if not pruned:
        benchmark.extra_info["rival"] = "the same kernel over all summaries"
    benchmark.pedantic(prune if pruned else scan, rounds=200, warmup_rounds=5)
    if pruned:
        benchmark.extra_info["groups_scanned"] = float(np.median(shares))


# ---------------------------------------------------------------- writing


def test_write(benchmark, one_thread):
    """Into pages that were touched before: the ring has come round."""
    steps, _ = stream(10**5)
    memory = ChunkMemory(WIDTH, 32, capacity=1024)
    memory.write(steps[: 2 * 32 * 1024])
    parts = itertools.cycle([steps[start : start + 1024] for start in range(0, 64 * 1024, 1024)])
    benchmark.group = "write one step of 128 numbers in batches of 1,024, one thread"
    benchmark.extra_info["items"] = 1024
    benchmark.pedantic(lambda: memory.write(next(parts)), rounds=300, warmup_rounds=10)


def test_append(benchmark, one_thread):
    steps, _ = stream(10**5)
    memory = ChunkMemory(WIDTH, 32, capacity=1024)
    memory.write(steps[: 2 * 32 * 1024])
    rows = list(steps[:1024])
    benchmark.group = "append one step of 128 numbers from Python, one thread"
    benchmark.extra_info["items"] = len(rows)

    def append_all():
        for row in rows:
            memory.append(row)

    benchmark.pedantic(append_all, rounds=30, warmup_rounds=2)
