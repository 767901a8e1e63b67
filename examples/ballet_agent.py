"""
An agent that goes to the ballet
================================

Two dancers perform, one after the other.  Then the agent is told the name of one dance and has to walk to its dancer: all that
it sees at that moment was the same for both.  It learns by reward alone, with a memory of your choice, for as long as you like:
the checkpoint in ``--out`` is written as it goes, and the next call goes on from there.
"""

# %%
# Options of the script.  A minute shows it find dancers, ten minutes the right one three times out of four.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem.experiments.ballet_training import Settings, Trainer, play, smoothed

parser = argparse.ArgumentParser(description="Learn Ballet by reward, and draw one episode.")
parser.add_argument("--memory", choices=["hcam", "lstm", "flat"], default="hcam", help="what the agent remembers with")
parser.add_argument("--seconds", type=float, default=120.0, help="how long to learn now")
parser.add_argument("--dancers", type=int, default=2, help="1 to 8")
parser.add_argument("--delay", type=int, default=2, help="frames between the dances; 16 and 48 are the published levels")
parser.add_argument("--quick", action="store_true", help="a few updates only, which teach little")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for checkpoint and picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# Learning
# --------
# Many environments play at once.  What was watched is cut into chunks of sixteen frames; the instruction is the question that
# looks up the best chunks, and the answer goes to the policy.

settings = Settings(memory=options.memory, n_dancers=options.dancers, delay=options.delay, n_envs=32 if options.quick else 128)
name = f"ballet_agent-{options.dancers}_delay{options.delay}-{options.memory}{'-quick' if options.quick else ''}.npz"
trainer = Trainer(settings, options.out / name)
print(f"{trainer.n_updates} updates were learned before; the agent has {trainer.agent.n_weights} weights")
if options.quick:
    trainer.train(trainer.n_updates + 20)
else:
    trainer.train(seconds=options.seconds)

# %%
# What was learned
# ----------------
# Chance is to go to one dancer or other.  With the memory of another episode the agent can do no better than that.

returns, touched = trainer.evaluate(256)
exchanged, _ = trainer.evaluate(256, exchanged=True)
print(f"after {trainer.n_updates} updates and {trainer.curve[-1][0]:,} steps, chance {settings.chance:.2f}:")
print(f"  reached a dancer     {touched.mean():.2f}")
print(f"  the right one        {returns.mean():.2f}")
print(f"  with another memory  {exchanged.mean():.2f}")

# %%
# One episode as a film
# ---------------------
# Above, some frames of the dances, and what the agent did when it was told whom to go to; below, the course of learning.

ballet = settings.ballet(1, random_state=1)
frames, texts = [], []


def shown(environments):
    frames.append(environments.render()[0])
    texts.append(environments.texts()[0])


episode = play(trainer.agent, ballet, np.random.default_rng(1), shown=shown)
first = ballet.first_choice_frame
period = first // options.dancers
danced = [j * period + t for j in range(options.dancers) for t in (0, 2, 4, 6)][:8]
chosen = np.unique(np.linspace(first, len(frames) - 1, 8).astype(int))

figure = plt.figure(figsize=(11.0, 6.2), layout="constrained")
grid = figure.add_gridspec(3, 8, height_ratios=[1.0, 1.0, 1.3])
for row, places in enumerate((danced, chosen)):
    for column, t in enumerate(places):
        ax = figure.add_subplot(grid[row, column])
        ax.imshow(frames[t])
        ax.set_title(f"{t}: {texts[t]}", fontsize=8)
        ax.set_axis_off()
ax = figure.add_subplot(grid[2, :])
steps, means = smoothed(trainer.curve, max(1, len(trainer.curve) // 40))
ax.plot(steps / 1e6, means, label=f"{options.memory}, {options.dancers} dancers, delay {options.delay}")
ax.axhline(settings.chance, color="0.5", ls=":", label="chance: to go to some dancer")
ax.set(xlabel="million environment steps", ylabel="return per episode", ylim=(0, 1.02))
ax.legend(loc="upper left")
figure.suptitle(f"This episode's reward: {episode.returns[0]:.0f}")
figure.savefig(options.out / "ballet_agent.png", dpi=120)
print("picture: ballet_agent.png")
