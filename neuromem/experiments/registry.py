"""Every experiment by name: what it needs, how long it takes, what was published."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neuromem.experiments.result import Result


@dataclass(frozen=True)
class Experiment:
    """One row of ``neuromem reproduce --list``."""

    name: str
    module: str
    what: str
    data: str
    minutes: str
    published: str
    seeds: int = 3
    html: bool = False  # whether it can write a page of its own

    def run(self, *, quick: bool, seeds: int | None, out: Path | None, progress: bool, html: Path | None = None) -> Result:
        """Run it; figures go to ``out`` where one is given, a page to the file ``html`` where the experiment has one."""
        function: Callable[..., Result] = importlib.import_module(f"neuromem.experiments.{self.module}").run
        own = {"html": html} if self.html else {}
        return function(quick=quick, seeds=seeds or (1 if quick else self.seeds), out=out, progress=progress, **own)


EXPERIMENTS = {
    row.name: row
    for row in (
        Experiment("mnist-200", "mnist200", "200 skeleton digits per class, shown once", "MNIST", "2", "91 %, 220 s to learn"),
        Experiment("mnist", "mnist", "all 60,000 digits, shown once", "MNIST", "4", "about 90 % on a subset"),
        Experiment("sisc", "sisc", "similar inputs get similar codes, against the closed form", "none", "0.2", "none read"),
        Experiment("sparsey-capacity", "capacity", "how much a mac holds; time against items stored", "none", "1", "none read"),
        Experiment("sparsey-continual", "continual", "five two-class tasks in a row, no replay", "MNIST", "4", "none"),
        Experiment("sparsey-few", "few", "1 to 20 digits per class; one-shot Omniglot", "MNIST, Omniglot", "6", "none"),
        Experiment(
            "sparsey-sequences",
            "sparsey_sequences",
            "sequences and levels: capacity, warp, words",
            "none",
            "2",
            "none read",
            seeds=5,
        ),
        Experiment("hopfield-amplitudes", "hopfield_amplitudes", "patterns at once at zero noise", "none", "0.1", "none read"),
        Experiment("hopfield-phase", "hopfield_phase", "phases over dilution and noise", "none", "0.2", "none read", seeds=1),
        Experiment("hopfield-temperature", "hopfield_temperature", "overlaps against temperature", "none", "0.1", "none read"),
        Experiment("hopfield-learning", "hopfield_learning", "noisy examples, with labels and without", "none", "1", "none read"),
        Experiment("hopfield-loss", "hopfield_loss", "energy and squared errors fall together", "none", "0.1", "none read"),
        Experiment("hopfield-load", "hopfield_load", "patterns at once, 10^3 to 10^9 units", "none", "0.1", "none read"),
        Experiment("hopfield-mnist", "hopfield_mnist", "digits as patterns with blank entries", "MNIST", "0.4", "none"),
        Experiment("retention", "retention", "every memory through every probe", "none", "3", "human curves", seeds=4, html=True),
        Experiment(
            "retention-orhan",
            "retention_orhan",
            "600 items, six conditions, up to 100,000 items later",
            "none",
            "10",
            "findings in words",
            seeds=4,
        ),
        Experiment(
            "retention-human",
            "retention_human",
            "forgetting curves fitted to what people kept",
            "none (human_memory for free recall)",
            "0.1",
            "formula of 1885: k 1.84, c 1.25",
            seeds=1,
        ),
        Experiment("retention-spacing", "retention_spacing", "repetitions massed and spaced", "none", "13", "none", seeds=4),
        Experiment(
            "retention-viewbatch",
            "retention_viewbatch",
            "several views at once, seen less often",
            "none",
            "18",
            "other tasks",
            seeds=40,
        ),
        Experiment(
            "weizmann",
            "weizmann",
            "ten actions of a person never seen, goes on when called again",
            "weizmann",
            "11",
            "none for this protocol",
            seeds=5,
        ),
        Experiment(
            "weizmann-replay",
            "weizmann_replay",
            "93 clips shown once, recognised when damaged",
            "weizmann",
            "5",
            "88 of 90 clips, damage not known",
            seeds=3,
        ),
        Experiment("ballet", "ballet", "recall of who danced where, streams up to 65,000 steps", "none", "8", "none read"),
        Experiment("ballet-rl", "ballet_rl", "Ballet by reward, goes on when called again", "none", "28", "curves only", seeds=1),
    )
}
