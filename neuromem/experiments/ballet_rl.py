"""Ballet learned by reward alone, with three memories; a long run is broken off and taken up again as its user likes."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from neuromem.experiments.ballet_training import Settings, Trainer, smoothed
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar

MEMORIES = {"hcam": "chunks (HCAM)", "flat": "flat attention", "lstm": "LSTM"}
LEVELS = {"2 dancers, delay 2": (2, 2), "2 dancers, delay 16": (2, 16)}
UNSEEN = {"2 dancers, delay 48": (2, 48), "4 dancers, delay 16": (4, 16)}  # never trained on
N_UPDATES, QUICK_UPDATES = 1500, 40  # of each run, and what each further call adds
N_TESTED, QUICK_TESTED, N_TESTED_UNSEEN = 1024, 128, 256
PUBLISHED_LIMIT = 320  # of delay 16
CURVE_POINTS = 6


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Return against environment steps, and what remains of it where memories are exchanged between episodes.

    With a folder the long form keeps a checkpoint of every run there: called again it goes on, to the next multiple of
    ``N_UPDATES``.  The quick form shows that everything runs, and learns little.
    """
    levels = list(LEVELS)[:1] if quick else list(LEVELS)
    memories = ("hcam",) if quick else tuple(MEMORIES)
    n_updates = QUICK_UPDATES if quick else N_UPDATES
    shared = Settings(n_envs=64) if quick else Settings()
    settings = {name: value for name, value in asdict(shared).items() if name not in ("memory", "n_dancers", "delay", "seed")}
    result = Result("ballet-rl", 0, {**settings, "updates_per_call": n_updates})
    curves: dict[str, dict[str, list[list[tuple[int, float, float]]]]] = {level: {} for level in levels}
    with progress_bar(len(levels) * len(memories) * seeds * n_updates, progress, "ballet") as advance:
        for level in levels:
            n_dancers, delay = LEVELS[level]
            for memory in memories:
                tests: dict[str, list[float]] = {}
                for seed in range(seeds):
                    own = replace(shared, memory=memory, n_dancers=n_dancers, delay=delay, seed=seed)
                    trainer = Trainer(own, None if quick or out is None else checkpoint_of(own, out))
                    with result.timed(f"learn, {MEMORIES[memory]}, {level}"):
                        trainer.train((trainer.n_updates // n_updates + 1) * n_updates, advance=advance)
                    with result.timed("test"):
                        for metric, value in tested(trainer, quick).items():
                            tests.setdefault(metric, []).append(value)
                    curves[level].setdefault(memory, []).append(trainer.curve)
                name = f"{MEMORIES[memory]}, {level}"
                for metric, values in tests.items():
                    n = QUICK_TESTED if quick else N_TESTED_UNSEEN if "not trained on" in metric else N_TESTED
                    result.add(name, metric, values, n)
                result.add(name, "updates learned from", [trainer.n_updates])
                add_curve(result, name, curves[level][memory])
    for level, (n_dancers, _) in (LEVELS | UNSEEN).items():
        result.add(f"chance, {level}", "return", [1 / n_dancers])
    if out is not None:
        draw(result, curves, out)
    return result


def checkpoint_of(settings: Settings, out: Path) -> Path:
    """Where a run is kept."""
    return out / f"ballet-rl-{settings.n_dancers}_delay{settings.delay}-{settings.memory}-{settings.seed}.npz"


def tested(trainer: Trainer, quick: bool) -> dict[str, float]:
    """Measures of fresh episodes; the long form also of other limits and levels."""
    n = QUICK_TESTED if quick else N_TESTED
    returns, touched = trainer.evaluate(n)
    exchanged, _ = trainer.evaluate(n, exchanged=True)
    found = {
        "return": float(returns.mean()),
        "share that touched a dancer": float(touched.mean()),
        "return where memories are exchanged between episodes": float(exchanged.mean()),
    }
    if not quick:
        if trainer.settings.delay == 16:
            returns, _ = trainer.evaluate(n, max_steps=PUBLISHED_LIMIT)
            found["return with the published limit of 320 steps"] = float(returns.mean())
        for level, (n_dancers, delay) in UNSEEN.items():
            returns, _ = trainer.evaluate(N_TESTED_UNSEEN, n_dancers=n_dancers, delay=delay)
            found[f"return, {level}, not trained on"] = float(returns.mean())
    return found


def add_curve(result: Result, name: str, curves: list[list[tuple[int, float, float]]]) -> None:
    """Rows of a learning curve: the return in training, a mean over 50 updates or, in a short run, over a tenth of it."""
    every = min(50, max(1, len(curves[0]) // 10))
    steps, values = zip(*(smoothed(curve, every) for curve in curves), strict=True)
    for i in np.unique(np.linspace(0, len(steps[0]) - 1, CURVE_POINTS).astype(int)):
        at = float(np.mean([s[i] for s in steps]))
        result.add(name, f"return in training after {at / 1e6:.2f} million steps", [v[i] for v in values])


def draw(result: Result, curves: dict[str, dict[str, list[list[tuple[int, float, float]]]]], out: Path) -> None:
    """Learning curves, a panel for each level."""
    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(5.2 * len(curves) + 1, 4.2, len(curves))
    for ax, (level, by_memory) in zip(np.atleast_1d(axes), curves.items(), strict=True):
        for colour, (memory, found) in enumerate(by_memory.items()):
            for seed, curve in enumerate(found):
                steps, values = smoothed(curve, min(50, max(1, len(curve) // 10)))
                ax.plot(steps / 1e6, values, color=f"C{colour}", label=None if seed else MEMORIES[memory])
        ax.axhline(1 / LEVELS[level][0], color="0.5", ls=":", label="chance: to go to some dancer")
        ax.set(xlabel="million environment steps", ylabel="return per episode", ylim=(0, 1.02), title=level)
        ax.legend(loc="upper left", fontsize=8)
    finish(figure, out / "ballet-rl.png", result)
