"""The agent that learns Ballet by reward: its gradients, its checkpoints, its controls, and that it learns."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuromem import FormatError, InputError
from neuromem.cli import main
from neuromem.environments import Ballet
from neuromem.experiments.ballet_agent import MEMORIES, BalletAgent, LossWeights, Targets, chunked, loss_of
from neuromem.experiments.ballet_rl import run
from neuromem.experiments.ballet_training import Settings, Trainer, play, smoothed
from neuromem.hcam import ChunkMemory

ROOT = Path(__file__).parent.parent
SMALL = Settings(n_dancers=2, delay=1, n_choices=6, n_envs=8)


def small_agent(memory, **changes):
    settings = dict(width=8, n_features=6, n_motion=10, n_hidden=12, n_heads=2, top_k=2, chunk_size=5, window=4)
    return BalletAgent(memory, dtype="float64", random_state=1, **(settings | changes))


def batch(agent, n=5, seed=0):
    """Views of a few episodes, and targets that have nothing to do with them."""
    ballet = Ballet(n, n_dancers=2, delay=1, max_steps=38, auto_reset=False, random_state=seed)
    episodes = play(agent, ballet, np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    shape = episodes.actions.shape
    targets = Targets(episodes.actions, rng.normal(size=shape), rng.normal(size=shape), (rng.random(shape) < 0.7).astype(float))
    return episodes.views, targets


LOSS_WEIGHTS = LossWeights(value=0.7, entropy=0.3, expected=0.9)


def unsettle(agent):
    """Weights away from first values, so that no unit sits on its corner and the policy is not nearly flat."""
    rng = np.random.default_rng(5)
    agent.load_weights({name: w + 0.3 * rng.normal(size=w.shape) / len(w) ** 0.5 for name, w in agent.weights.items()})


@pytest.mark.parametrize("memory", MEMORIES)
def test_gradients_of_the_whole_loss_are_central_differences(memory):
    agent = small_agent(memory)
    unsettle(agent)
    views, targets = batch(agent)

    def loss():
        return loss_of(agent.forward(views), views, targets, LOSS_WEIGHTS)[0]

    _, _, d = loss_of(agent.forward(views), views, targets, LOSS_WEIGHTS)
    _, gradients = agent.backward(d)
    assert set(gradients) == set(agent.weights)
    rng = np.random.default_rng(0)
    for name, weight in agent.weights.items():
        step = 1e-6
        touched = np.flatnonzero(gradients[name]) if name in ("frame.w", "instruction.w") else np.arange(weight.size)
        for at in rng.choice(touched, min(12, len(touched)), replace=False):
            flat = weight.reshape(-1)
            before = flat[at]
            flat[at] = before + step
            above = loss()
            flat[at] = before - step
            slope = (above - loss()) / (2 * step)
            flat[at] = before
            assert slope == pytest.approx(gradients[name].flat[at], rel=1e-5, abs=1e-8), (name, at)


@pytest.mark.parametrize("memory", MEMORIES)
def test_weights_that_a_batch_does_not_use_have_no_gradient(memory):
    agent = small_agent(memory)
    views, targets = batch(agent)
    agent.forward(views)
    _, gradients = agent.backward(loss_of(agent.forward(views), views, targets, LOSS_WEIGHTS)[2])
    told = np.unique(views.instruction)
    assert np.flatnonzero(np.abs(gradients["instruction.w"]).any(axis=1)).tolist() == told.tolist()


def test_a_detached_memory_is_taught_by_the_forecast_only():
    views, targets = batch(small_agent("hcam"))
    for detached in (False, True):
        agent = small_agent("hcam", detach_memory=detached)
        _, _, d = loss_of(agent.forward(views), views, targets, LossWeights(expected=0.0))
        _, gradients = agent.backward(d)
        assert bool(gradients["store.w"].any()) is not detached
        _, _, d = loss_of(agent.forward(views), views, targets, LOSS_WEIGHTS)
        assert agent.backward(d)[1]["store.w"].any()


@pytest.mark.parametrize("memory", MEMORIES)
def test_acting_and_learning_see_the_same_policy(memory):
    agent = small_agent(memory)
    unsettle(agent)
    views, _ = batch(agent)
    answer = agent.ask(agent.watch(views.watched), views.instruction)
    steps = [agent.choose(answer, views.seen[:, t]) for t in range(views.seen.shape[1])]
    np.testing.assert_allclose(np.stack(steps, axis=1), agent.forward(views).logits, rtol=1e-12, atol=1e-14)


def test_chunks_hold_every_step_once_and_the_last_is_closed_as_it_is():
    stored = np.random.default_rng(0).normal(size=(3, 11, 4))
    summaries, contents, lengths = chunked(stored, 4)
    assert lengths.tolist() == [[4, 4, 3]] * 3
    np.testing.assert_array_equal(contents.reshape(3, 12, 4)[:, :11], stored)
    np.testing.assert_allclose(summaries[:, 2], stored[:, 8:].mean(axis=1))


def test_the_agent_s_chunks_are_those_of_a_chunk_memory():
    agent = small_agent("hcam")
    unsettle(agent)
    views, _ = batch(agent)
    wanted = agent.ask(agent.watch(views.watched), views.instruction)
    memory = ChunkMemory(agent.width, chunk_size=agent.chunk_size, capacity=16, n_lanes=len(wanted), dtype="float64")
    for step in agent.stored(agent.frames(views.watched)).swapaxes(0, 1):
        memory.append(step)
    memory.flush()
    found = agent.children["memory"].attend(agent.question(views.instruction), memory)
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-10, atol=1e-12)


def test_the_loss_does_not_see_what_lies_behind_an_episode_s_end():
    agent = small_agent("hcam")
    views, targets = batch(agent)
    other = targets._replace(
        advantages=np.where(targets.counts > 0, targets.advantages, 99.0),
        values=np.where(targets.counts > 0, targets.values, 99.0),
    )
    outputs = agent.forward(views)
    first, second = (loss_of(outputs, views, t, LOSS_WEIGHTS) for t in (targets, other))
    assert first[0] == second[0] and all(np.array_equal(a, b) for a, b in zip(first[2], second[2], strict=True))


def test_targets_go_on_behind_a_cut_and_not_behind_a_touch():
    trainer = Trainer(replace(SMALL, n_envs=64, n_choices=10))
    for _ in range(3):
        episodes = play(trainer.agent, trainer.ballet, np.random.default_rng(0))
    outputs = trainer.agent.forward(episodes.views)
    outputs = outputs._replace(values=np.ones_like(outputs.values))
    targets = trainer.targets(outputs, episodes)
    touched = episodes.touched
    assert 0 < touched.sum() < 64
    lengths = episodes.counts.sum(axis=1).astype(int)
    assert (lengths[~touched] == 10).all()
    ends = targets.values[np.arange(64), lengths - 1]
    np.testing.assert_allclose(ends[touched], episodes.returns[touched], rtol=1e-6)
    np.testing.assert_allclose(ends[~touched], trainer.settings.discount, rtol=1e-6)  # the value behind the cut


# ---------------------------------------------------------------- runs


def assert_same_run(a, b):
    assert a.curve == b.curve
    mine, theirs = a.arrays(), b.arrays()
    assert set(mine) == set(theirs)
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_run_taken_up_again_is_the_run_that_was_never_broken_off(memory, tmp_path):
    settings = replace(SMALL, memory=memory, n_passes=2)
    whole = Trainer(settings)
    whole.train(9)
    part = Trainer(settings, tmp_path / "run.npz", every=2)
    part.train(4)
    resumed = Trainer(settings, tmp_path / "run.npz", every=2)
    assert resumed.n_updates == 4
    resumed.train(9)
    assert_same_run(resumed, whole)


KILLED = """
import sys
from neuromem.experiments.ballet_training import Settings, Trainer
trainer = Trainer(Settings(n_dancers=2, delay=1, n_choices=6, n_envs=8), sys.argv[1], every=3)
print("begun", flush=True)
trainer.train(seconds=100)
"""
# In a process of its own too: what a test before this one loaded may have other rounding modes or BLAS threads.
UNBROKEN = """
import sys
from neuromem.experiments.ballet_training import Settings, Trainer
trainer = Trainer(Settings(n_dancers=2, delay=1, n_choices=6, n_envs=8), sys.argv[1], every=3)
trainer.train(int(sys.argv[2]))
"""


def test_a_run_that_is_killed_loses_no_more_than_its_last_updates(tmp_path):
    path = tmp_path / "run.npz"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begun\n"
        while not path.exists() and process.poll() is None:
            pass
    finally:
        process.kill()
        process.wait()
    found = Trainer(SMALL, path)
    assert found.n_updates >= 3 and found.n_updates % 3 == 0
    whole = tmp_path / "whole.npz"
    subprocess.run([sys.executable, "-c", UNBROKEN, str(whole), str(found.n_updates)], cwd=ROOT, check=True)
    assert_same_run(found, Trainer(SMALL, whole))


def test_a_failed_write_leaves_the_older_checkpoint_whole(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    trainer = Trainer(SMALL, path)
    trainer.train(1)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        trainer.save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_checkpoints_of_other_settings_or_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    Trainer(SMALL, path).train(1)
    with pytest.raises(InputError, match="other settings.*delay.*1, 2"):
        Trainer(replace(SMALL, delay=2), path)
    whole = path.read_bytes()
    for damaged in (b"", b"nothing", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="run.npz"):
            Trainer(SMALL, path)
    arrays = Trainer(SMALL).arrays()
    for change in ({"weights.extra": np.zeros(2)}, {"other.thing": np.zeros(2)}, {"optimiser.n_steps": np.array(-1)}):
        np.savez(path, **(arrays | change))
        with pytest.raises(FormatError):
            Trainer(SMALL, path)


def test_going_to_a_lone_dancer_is_learned():
    trainer = Trainer(Settings(n_dancers=1, delay=1, n_choices=12, n_envs=64, forecast=0.0))
    trainer.train(160)
    _, returns = smoothed(trainer.curve, 20)
    assert returns[0] < 0.2 and returns[-1] > 0.4


def test_an_unknown_memory_is_refused():
    with pytest.raises(InputError, match="memory is 'none'"):
        BalletAgent("none")


def test_exchanged_memories_are_those_of_neighbours():
    agent = small_agent("flat")
    unsettle(agent)
    plain, exchanged = (play(agent, SMALL.ballet(4), np.random.default_rng(0), exchanged=e) for e in (False, True))
    assert np.array_equal(plain.views.watched, exchanged.views.watched)
    assert not np.array_equal(plain.log_probs[:, 0], exchanged.log_probs[:, 0])


# ---------------------------------------------------------------- the experiment


def test_quick_form(tmp_path):
    assert main(["reproduce", "ballet-rl", "--quick", "--out", str(tmp_path), "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["experiment"] == "ballet-rl" and found["settings"]["updates_per_call"] == 40
    rows = {(row["condition"], row["metric"]): row["value"] for row in found["rows"]}
    assert rows["chance, 2 dancers, delay 2", "return"] == 0.5 and rows["chance, 4 dancers, delay 16", "return"] == 0.25
    share = rows["chunks (HCAM), 2 dancers, delay 2", "share that touched a dancer"]
    assert 0 <= rows["chunks (HCAM), 2 dancers, delay 2", "return"] <= share <= 1
    assert sum("return in training" in metric for _, metric in rows) == 6
    assert {path.name for path in tmp_path.iterdir()} == {"ballet-rl.png", "found.json"}


def test_the_long_form_goes_on_where_it_stood(tmp_path, monkeypatch):
    from neuromem.experiments import ballet_rl

    monkeypatch.setattr(ballet_rl, "LEVELS", {"2 dancers, delay 1": (2, 1)})
    monkeypatch.setattr(ballet_rl, "UNSEEN", {"2 dancers, delay 2": (2, 2)})
    for name, value in (("N_UPDATES", 2), ("N_TESTED", 64), ("N_TESTED_UNSEEN", 64)):
        monkeypatch.setattr(ballet_rl, name, value)
    run(quick=False, seeds=1, out=tmp_path, progress=False)
    result = run(quick=False, seeds=1, out=tmp_path, progress=False)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [*(f"ballet-rl-2_delay1-{memory}-0.npz" for memory in sorted(MEMORIES)), "ballet-rl.png"]
    with np.load(tmp_path / kept[0]) as file:
        assert len(file["curve"]) == 4
    assert any(row.metric == "return, 2 dancers, delay 2, not trained on" for row in result.rows)
