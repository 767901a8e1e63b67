"""Recognition: is what was studied told from what was not?"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.progress import Progress, progress_bar
from neuromem.random import generator_for
from neuromem.retention.adapters import Reader, described, fresh, require, system_name, write_batches
from neuromem.retention.foils import Foil, foils_of
from neuromem.retention.items import MOST_ALTERNATIVES, ItemSource
from neuromem.retention.results import ProbeResult
from neuromem.retention.statistics import (
    Choice,
    d_prime,
    forced_choice,
    mean_interval,
    roc_area,
    wilson_interval,
    yes_no,
    z_roc_slope,
)

N_PROBE = 10_000  # studied items that are probed unless asked otherwise
SHARE = ("k", "value", "ci_lo", "ci_hi")
SMALL_SET = 1024  # items with their foils that are read in one block; more need not be copied for that


class RecognitionSet:
    """Studied items beside their foils, made once and scored as often as needed.

    Parameters
    ----------
    source : ItemSource
    ids : int64 (n,)
    foils : list of Foil
    n_alternatives : int, default 2
        Items to choose from: the studied one and n_alternatives - 1 foils.
    """

    def __init__(self, source: ItemSource, ids: np.ndarray, foils: list[Foil], n_alternatives: int = 2) -> None:
        self.foils, self.n, self.n_foils = foils, len(ids), n_alternatives - 1
        made = [foil.make(source, ids, alternative) for foil in foils for alternative in range(self.n_foils)]
        self.blocks = [source.get(ids), *made]
        if self.n * len(self.blocks) <= SMALL_SET:  # in one block, so that small sets cost few calls
            self.blocks = [np.concatenate(self.blocks)]

    def scores(self, reader: Reader) -> tuple[np.ndarray, list[np.ndarray]]:
        """Familiarity of the items (n,), and of each family's foils (n, n_alternatives - 1)."""
        found = np.concatenate([reader.familiarity(block) for block in self.blocks]).reshape(-1, self.n)
        per_foil = [found[1 + i * self.n_foils : 1 + (i + 1) * self.n_foils].T for i in range(len(self.foils))]
        return found[0], per_foil

    def choices(self, reader: Reader) -> list[Choice]:
        """The forced choice against each family of foils."""
        scores, per_foil = self.scores(reader)
        return [forced_choice(scores, foil_scores) for foil_scores in per_foil]


def share(measure: str, k: float, n: int, chance: float | None) -> dict[str, Any]:
    """Columns of a share of successes."""
    low, high = wilson_interval(k, n)
    return {"measure": measure, "n": n, "k": k, "value": k / n, "ci_lo": float(low), "ci_hi": float(high), "chance": chance}


def choice_rows(choices: Sequence[Choice], n_alternatives: int) -> list[list[dict[str, Any]]]:
    """Rows of each of several forced choices: accuracy with ties shared, with ties wrong, and discriminability."""
    n = np.array([choice.n for choice in choices])
    right = [choice.outcomes.sum(dtype=np.float64) for choice in choices]
    strictly = [round(choice.strict_accuracy * choice.n) for choice in choices]
    k = np.array([right, strictly], np.float64)
    columns = np.stack([k, k / n, *wilson_interval(k, n)])  # (4, 2, choices)
    if n_alternatives == 2:
        z = d_prime(columns[1:, 0], n)
    rows: list[list[dict[str, Any]]] = []
    for place, choice in enumerate(choices):
        common = {"n": choice.n, "chance": 1 / n_alternatives}
        shares = zip(("accuracy", "strict_accuracy"), columns[:, :, place].T.tolist(), strict=True)
        rows.append([common | {"measure": name} | dict(zip(SHARE, values, strict=True)) for name, values in shares])
        if n_alternatives == 2:
            ends = dict(zip(SHARE[1:], z[:, place].tolist(), strict=True))
            rows[-1].append({"measure": "d_prime", "n": choice.n, "chance": 0.0} | ends)
    return rows


def pooled_rows(scores: np.ndarray, foil_scores: np.ndarray) -> list[dict[str, Any]]:
    """Rows of measures that compare all items with all foils, for foils that are not made of the items."""
    foils = foil_scores.ravel()
    n = len(scores)
    rows = [{"measure": "roc_area", "n": n, "value": roc_area(scores, foils), "chance": 0.5}]
    slope = z_roc_slope(scores, foils)
    rows.append({"measure": "z_roc_slope", "n": n, "value": None if np.isnan(slope) else slope})
    if n >= 2:
        found = yes_no(scores, foils)
        rows.append(share("hit_rate", found.hits, found.n_studied, None))
        rows.append(share("false_alarm_rate", found.false_alarms, found.n_new, None))
    return rows


def ascending(values: Any, name: str, low: int) -> list[int]:
    """Whole numbers from ``low`` up, in ascending order, none twice.

    Raises
    ------
    InputError
    """
    values = [values] if isinstance(values, (int, np.integer)) else list(values)
    found = [validate.integer(value, name, low) for value in values]
    if not found or any(b <= a for a, b in zip(found, found[1:], strict=False)):
        raise InputError(f"{name} are {found}, ascending numbers without repeats were expected")
    return found


def seeds_of(seeds: Any) -> list[int]:
    """Seeds as a list; one number is one seed.

    Raises
    ------
    InputError
        For none, or the same one twice.
    """
    seeds = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
    found = [validate.integer(seed, "seeds", 0) for seed in seeds]
    if not found or len(set(found)) != len(found):
        raise InputError(f"seeds are {found}, at least one and none twice was expected")
    return found


def spread_out(n: int, n_wanted: int) -> np.ndarray:
    """``n_wanted`` of n places, one from the middle of each of as many equal parts, int64."""
    n_wanted = min(n, n_wanted)
    return ((2 * np.arange(n_wanted, dtype=np.int64) + 1) * n) // (2 * max(1, n_wanted))


def recognition_probe(
    memory: Any,
    source: ItemSource,
    *,
    n_study: int = 600,
    exposures: int | Sequence[int] = (1,),
    foils: str | Foil | Iterable[str | Foil] = ("novel", "variant:1/32"),
    n_alternatives: int = 2,
    n_probe: int | None = None,
    batch_size: int = 16,
    with_targets: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """Study items, then choose each from among its foils by familiarity.

    Parameters
    ----------
    memory : object or callable
        Has ``write`` and ``familiarity``; it is copied, never changed.  A callable without ``write`` makes a memory from a seed.
    source : ItemSource
        Each seed studies other items of it.
    n_study : int, default 600
        Items studied.
    exposures : int or sequence of int, default (1,)
        After how many passes over the list to probe; each pass has an order of its own.  0, the prior, is always probed too.
    foils : str, Foil, or several, default ("novel", "variant:1/32")
        What to choose from: see :class:`Foil`.
    n_alternatives : int, default 2
        Items in each choice.
    n_probe : int, optional
        Studied items that are probed, spread over the list; default 10,000 or all.
    batch_size : int, default 16
        Items in each write.
    with_targets : bool, default False
        Write classes as targets.
    seeds : int or iterable of int, default range(4)
    check_purity : bool, optional
        Compare the memory's state before and after reading; default: where it is at most 1 MiB.
    progress : bool or callable, default False

    Returns
    -------
    ProbeResult
        ``measure``: "accuracy" (ties share the success), "strict_accuracy" (ties are wrong), "d_prime" (two alternatives); for
        foils that are not made of studied items also "roc_area", "z_roc_slope", "hit_rate" and "false_alarm_rate" (at a
        criterion that the other half of the items chose); after study "gain", the accuracy above the prior, item by item.

    Raises
    ------
    InputTypeError
        If the memory lacks a verb, or cannot be copied.
    ScoreError
        If it gives NaN or infinity.
    ProbeMutatedMemoryError
        If reading changed it.

    Notes
    -----
    Two-alternative accuracy is mean[s > f] + mean[s == f] / 2, the area under the yes/no ROC (Green & Swets 1966); d' is
    sqrt(2) times its normal quantile.  Orhan (2023) counts ties as wrong.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, recognition_probe
    >>> result = recognition_probe(ExactStore(64), RandomBits(64), n_study=50, seeds=1)
    >>> result.where(measure="accuracy", foil="novel").values().tolist()
    [0.5, 1.0]
    """
    probe = "recognition_probe"
    families = foils_of(foils)
    n_study = validate.integer(n_study, "n_study", 2)
    passes = ascending(exposures, "exposures", 1)
    validate.integer(n_alternatives, "n_alternatives", 2, MOST_ALTERNATIVES + 1)
    validate.integer(batch_size, "batch_size", 1)
    n_probe = min(n_study, N_PROBE) if n_probe is None else validate.integer(n_probe, "n_probe", 2, n_study)
    seeds = seeds_of(seeds)
    rows: list[dict[str, Any]] = []
    name = ""
    with progress_bar(len(seeds) * passes[-1], progress, probe) as advance:
        for seed in seeds:
            live = fresh(memory, seed)
            require(live, ("write", "familiarity"), probe)
            name = system_name(live)
            items = source.reseeded(seed)
            ids = items.ids("target", n_study)
            prepared = RecognitionSet(items, ids[spread_out(n_study, n_probe)], families, n_alternatives)
            orders = generator_for(items.seed_sequence, "retention.probes")
            priors: list[np.ndarray] = []
            for n_passes in range(passes[-1] + 1):
                if n_passes:
                    write_batches(live, items, orders.permutation(ids), batch_size, with_targets)
                    advance(1)
                    if n_passes not in passes:
                        continue
                began = time.perf_counter()
                with Reader(live, check_purity, probe) as reader:
                    scores, per_foil = prepared.scores(reader)
                seconds = time.perf_counter() - began
                choices = [forced_choice(scores, foil_scores) for foil_scores in per_foil]
                tables = choice_rows(choices, n_alternatives)
                for i, (foil, choice, found) in enumerate(zip(families, choices, tables, strict=True)):
                    found += [] if foil.paired else pooled_rows(scores, per_foil[i])
                    if n_passes:
                        gain, low, high = mean_interval(choice.outcomes.astype(float) - priors[i])
                        found.append(
                            {"measure": "gain", "n": choice.n, "value": gain, "ci_lo": low, "ci_hi": high, "chance": 0.0}
                        )
                    else:
                        priors.append(choice.outcomes)
                    condition = "studied" if n_passes else "prior"
                    common: dict[str, Any] = {"system": name, "probe": "recognition", "condition": condition}
                    common |= {"foil": foil.family, "level": foil.level, "exposures": n_passes, "seed": seed, "seconds": seconds}
                    rows += [common | row for row in found]
    config = {
        "probe": probe,
        "system": name,
        "memory": described(memory) if hasattr(memory, "write") else name,
        "source": [type(source).__name__, source.describe()],
        "foils": [foil.describe() for foil in families],
        "n_study": n_study,
        "n_probe": n_probe,
        "n_alternatives": n_alternatives,
        "exposures": passes,
        "batch_size": batch_size,
        "with_targets": with_targets,
        "seeds": seeds,
    }
    return ProbeResult(rows, config)
