"""
Find one moment among a million
===============================

A walker carries 128 sensors past four hundred landmarks for a million steps, and everything is kept on disk.  Then the walker is
given a noisy glimpse of one moment, long ago, and asked for it: the memory finds the step and replays what came before and
after.  Attention to every single step does the same for comparison.
"""

# %%
# Options of the script.  ``--quick`` walks 100,000 steps.

import argparse
import shutil
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import neuromem
from neuromem import ChunkMemory

parser = argparse.ArgumentParser(description="A million steps on disk: find the moment of a cue, and replay it.")
parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
parser.add_argument("--keep", action="store_true", help="leave the memory on disk")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture and the memory (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# A stream
# --------
# The walk drifts through a plane, reflected at its borders.  Each sensor answers to landmarks of its own; the weather, which
# changes over some thousand steps, moves all of them, and every reading is noisy.

N_STEPS = 100_000 if options.quick else 1_000_000
N_SENSORS, N_LANDMARKS, BATCH = 128, 400, 1000
NOISE = 0.3
N_CUES = 100
rng = np.random.default_rng(0)
landmarks = rng.uniform(-1, 1, (N_LANDMARKS, 2)).astype(np.float32)
sensors = rng.standard_normal((N_LANDMARKS, N_SENSORS)).astype(np.float32)


def walk():
    """Batches of sensor readings, float32 (1000, 128)."""
    heading, position, weather = 0.0, np.zeros(2), np.zeros(N_SENSORS, np.float32)
    for _ in range(N_STEPS // BATCH):
        headings = heading + np.cumsum(0.15 * rng.standard_normal(BATCH))
        path = position + 0.004 * np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=1), axis=0)
        heading, position = headings[-1], path[-1]
        path = (np.abs((path + 1) % 4 - 2) - 1).astype(np.float32)
        near = np.exp(-((path[:, None] - landmarks) ** 2).sum(axis=2) / (2 * 0.08**2))
        other = np.float32(0.8) * weather + np.float32(0.6) * rng.standard_normal(N_SENSORS, np.float32)
        mixed = np.linspace(0, 1, BATCH, dtype=np.float32)[:, None]
        yield near @ sensors + (1 - mixed) * weather + mixed * other + NOISE * rng.standard_normal((BATCH, N_SENSORS), np.float32)
        weather = other


# %%
# Write
# -----
# The memory is a directory.  Chunks of 256 steps keep both parts of a read short: 3,907 summaries, then the steps of 16 chunks.
# A process that is killed here leaves a memory that opens, with all that was committed.

store = options.out / "walk"
shutil.rmtree(store, ignore_errors=True)
moments = np.sort(rng.choice(N_STEPS, N_CUES, replace=False))
lived = np.empty((N_CUES, N_SENSORS), np.float32)
neuromem.warmup(["hcam"])
with ChunkMemory(N_SENSORS, chunk_size=256, capacity=8192, n_chunks=16, storage=store) as memory:
    spent = 0.0
    for i, batch in enumerate(walk()):
        start = time.perf_counter()
        memory.write(batch)
        spent += time.perf_counter() - start
        here = moments // BATCH == i
        lived[here] = batch[moments[here] % BATCH]
        if i == N_STEPS // BATCH // 3:
            third = batch
    memory.flush()
on_disk = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
print(f"{N_STEPS:,} steps written, {1e9 * spent / N_STEPS:.0f} ns each; {on_disk / (4 * N_STEPS * N_SENSORS):.3f} x their bytes")

# %%
# Find
# ----
# Opened again, as by another process.  A cue is a step with noise of its own, larger than the sensors', on every reading.

memory = ChunkMemory.open(store)


def glimpse(step):
    """What is still known of a step."""
    return step + np.float32(0.5) * rng.standard_normal(step.shape, np.float32)


def fastest(call, repeats):
    """The shortest of several calls, in milliseconds, and what it gave."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times), result


view = memory.view()
cues = glimpse(lived)
for n_chunks in (4, 16, 64):
    right = (memory.read(cues, n_chunks=n_chunks).ids[:, 0] == moments).mean()
    print(f"{right:.0%} of {N_CUES} moments found to the step, looking into {n_chunks} chunks of {view.visible.sum():,}")
moment = N_STEPS // BATCH // 3 * BATCH + 500
cue = glimpse(third[500:501])
with neuromem.threads(1):
    ours, recall = fastest(lambda: memory.read(cue), 20)
found = int(recall.ids[0, 0])
print(f"asked for step {moment:,}, found step {found:,} in {ours:.2f} ms")

# %%
# The same from all steps at once: scores, softmax, weighted sum, as attention without chunks does it.

steps = view.contents.reshape(-1, N_SENSORS)[: memory.n_steps]


def flat_attention():
    """One query against every step, in NumPy."""
    scores = steps @ cue[0] / np.sqrt(np.float32(N_SENSORS))
    weights = np.exp(scores - scores.max())
    return weights @ steps / weights.sum()


flat, _ = fastest(flat_attention, 2 if options.quick else 3)
print(f"flat attention over every step: {flat:.1f} ms, {flat / ours:.0f} x as long (NumPy, the steps in memory by then)")

# %%
# Replay
# ------
# The steps around the one that was found lie in its chunk, in order.

chunk, step = int(recall.info["chunk"][0, 0]), int(recall.info["step"][0, 0])
replayed = memory.chunk(chunk)
first = found - step
lowest = moment - 500  # the batch that was lived through then
shown = slice(max(first, lowest), min(first + len(replayed), lowest + BATCH))
if shown.start >= shown.stop:
    raise SystemExit("another moment was found; there is nothing to compare")
truth, same = third[shown.start - lowest : shown.stop - lowest], replayed[shown.start - first : shown.stop - first]
print(f"{len(same)} steps around it replayed, largest difference from what was lived through: {np.abs(same - truth).max():.1f}")

# %%
# Picture
# -------

scores = view.summaries[0] @ cue[0] / np.sqrt(N_SENSORS)
figure, (above, middle, below) = plt.subplots(3, 1, figsize=(8.0, 6.6), height_ratios=[1.2, 1, 1], layout="constrained")
at = view.first_step[0] + 128
above.plot(at, scores, ".", ms=2, color="0.6", label="a chunk's summary against the cue")
looked = recall.info["chunks"][0]
above.plot(at[looked], scores[looked], "o", ms=5, mfc="none", color="tab:blue", label="the 16 chunks looked into")
above.axvline(moment, color="tab:orange", lw=1, label="the moment asked for")
above.set(xlabel="step", ylabel="score")
above.legend(fontsize=8, loc="upper left")
middle.imshow(truth.T, aspect="auto", extent=(shown.start, shown.stop, N_SENSORS, 0), cmap="RdBu_r", vmin=-3, vmax=3)
middle.set(title="as it was lived through", ylabel="sensor")
below.imshow(same.T, aspect="auto", extent=(shown.start, shown.stop, N_SENSORS, 0), cmap="RdBu_r", vmin=-3, vmax=3)
below.axvline(found, color="black", lw=1)
below.set(title="as it is replayed; the line: the step that was found", xlabel="step", ylabel="sensor")
figure.savefig(options.out / "long_stream_recall.png", dpi=120)

memory.close()
if not options.keep:
    shutil.rmtree(store)
print("picture: long_stream_recall.png")
