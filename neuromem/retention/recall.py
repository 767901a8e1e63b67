"""Recall: is the rest of an item brought back from a part of it?"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY
from neuromem.errors import InputError
from neuromem.parallel import kernel_threads
from neuromem.progress import Progress, progress_bar
from neuromem.random import generator_for
from neuromem.retention.adapters import Reader, described, empty_answers, fresh, require, system_name, write_batches
from neuromem.retention.cues import CUE_KINDS, Cues, make_cues
from neuromem.retention.items import ItemSource
from neuromem.retention.recognition import N_PROBE, ascending, seeds_of, share, spread_out
from neuromem.retention.results import ProbeResult
from neuromem.retention.sequences import sequence_measure
from neuromem.retention.statistics import mean_interval, mutual_information

MEASURES = (
    "component_accuracy",
    "exact",
    "cosine",
    "pearson",
    "normalised_error",
    "information",
    "identification",
    "edit_similarity",
    "rouge_1",
    "rouge_2",
    "rouge_l",
)
DEFAULT_MEASURES = MEASURES[:7]
WORDS_BLOCK = 1024  # recalled items that are compared with all others at a time
HALF = 0.5


def decoded(recalled: np.ndarray, kind: str) -> np.ndarray:
    """Recalled items as items: binary above one half, signs by sign (0 is neither), ternary rounded; real as they are."""
    if kind == "binary":
        return (recalled > HALF).astype(np.uint8)
    if kind == "sign":
        return np.sign(recalled).astype(np.int8)
    if kind == "ternary":
        return np.clip(np.rint(recalled), -1, 1).astype(np.int8)
    return recalled


def best_guess(items: np.ndarray, kind: str) -> np.ndarray:
    """The one answer that is right most often, component by component: from the studied items' own frequencies, (d,)."""
    if kind == "real":
        return items.mean(axis=0)
    values = {"binary": (0, 1), "sign": (-1, 1), "ternary": (0, -1, 1)}[kind]
    counts = np.stack([(items == value).sum(axis=0) for value in values])
    return np.array(values)[counts.argmax(axis=0)]


def packed(bits: np.ndarray) -> np.ndarray:
    """Bits as words, uint64 (n, w)."""
    n_words = -(-bits.shape[1] // 64)
    padded = np.zeros((len(bits), 8 * n_words), np.uint8)
    found = np.packbits(bits, axis=1)
    padded[:, : found.shape[1]] = found
    return padded.view(np.uint64)


def identified(recalled: np.ndarray, scored: np.ndarray, items: np.ndarray, kind: str) -> np.ndarray:
    """Whether the studied item nearest to what was recalled is the right one, (n,); t equally near ones share it.

    Only scored components count: differing ones (binary, sign), or squared differences.
    """
    n = len(recalled)
    if kind in ("binary", "sign"):
        distance, best, ties = (np.zeros(n, np.int32) for _ in range(3))
        words = packed(decoded(recalled, kind) > 0), packed(scored), packed(items > 0)
        with kernel_threads(n * len(items) * words[0].shape[1] * 1.0):
            NUMPY.kernels("retention").nearest_hamming(*words, np.arange(n), distance, best, ties)
        return np.where(distance == best, 1.0 / ties, 0.0)
    pool = items.astype(np.float64)
    found = np.empty(n)
    for start in range(0, n, WORDS_BLOCK):
        rows = slice(start, min(start + WORDS_BLOCK, n))
        mask = scored[rows].astype(np.float64)
        distances = mask @ (pool**2).T - 2 * (mask * recalled[rows]) @ pool.T
        own = distances[np.arange(len(mask)), np.arange(rows.start, rows.stop)]
        # equal items must tie although their distances are rounded
        margin = 1e-9 * np.abs(distances).max(axis=1)
        ties = (distances <= own[:, None] + margin[:, None]).sum(axis=1)
        closer = (distances < own[:, None] - margin[:, None]).any(axis=1)
        found[rows] = np.where(closer, 0.0, 1.0 / ties)
    return found


def along(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of rows; 0 where a row is 0."""
    norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.where(norms > 0, (a * b).sum(axis=1) / np.where(norms > 0, norms, 1.0), 0.0)


class RecallSet:
    """Cues of studied items, made once and completed as often as needed.

    Parameters
    ----------
    source : ItemSource
    cues : Cues
    measures : sequence of str
    include_cue : bool
    tolerance : float
        A real component is right within this many standard deviations.
    reference : array (m, d), optional
        Items whose frequencies the guesser knows; default: those of the cues.
    """

    def __init__(
        self,
        source: ItemSource,
        cues: Cues,
        measures: Sequence[str],
        include_cue: bool = False,
        tolerance: float = 0.1,
        reference: np.ndarray | None = None,
    ) -> None:
        self.cues, self.kind, self.measures = cues, source.kind, tuple(measures)
        self.include_cue = include_cue
        reference = cues.items if reference is None else reference
        self.tolerance = tolerance * float(reference.std()) if self.kind == "real" else 0.0
        self.n_scored = cues.scored.sum(axis=1)
        guess = best_guess(reference, self.kind)
        # the guesser has what is given; of a noisy item nothing is known to be right, so it may as well keep the cue
        self.guess = cues.cues if cues.kind == "noise" else np.where(cues.known, cues.cues, guess)
        self.chances = self.judged(self.guess)

    def recalled(self, reader: Reader) -> np.ndarray:
        """What the memory makes of the cues, (n, d)."""
        if self.cues.kind == "noise":
            return reader.read(self.cues.cues)
        return reader.complete(self.cues.cues, self.cues.known)

    def n_wrong(self, recalled: np.ndarray) -> np.ndarray:
        """Wrong ones among each item's scored components, (n,)."""
        items = self.cues.items
        wrong = np.abs(recalled - items) > self.tolerance if self.kind == "real" else decoded(recalled, self.kind) != items
        return np.add.reduce(wrong & self.cues.scored, axis=1, dtype=np.int64)

    def errors(self, recalled: np.ndarray) -> np.ndarray:
        """Wrong components of each item, or its squared error, (n,)."""
        if self.kind != "real":
            return self.n_wrong(recalled).astype(np.float64)
        return (np.where(self.cues.scored, recalled - self.cues.items, 0.0).astype(np.float64) ** 2).sum(axis=1)

    def parts(self, recalled: np.ndarray, centred: bool) -> list[np.ndarray]:
        """Scored components of what was recalled and of the items, the others 0; about their mean if ``centred``."""
        scored = self.cues.scored
        found = [np.where(scored, part, 0).astype(np.float64) for part in (recalled, self.cues.items)]
        if not centred:
            return found
        return [np.where(scored, part - (part.sum(axis=1) / self.n_scored)[:, None], 0.0) for part in found]

    def information(self, recalled: np.ndarray) -> float | None:
        """Bits that a recalled component tells of the right one, over all scored components; None for real items."""
        if self.kind == "real":
            return None
        values = (-1, 0, 1)
        found, wanted = decoded(recalled, self.kind)[self.cues.scored], self.cues.items[self.cues.scored].astype(np.int8)
        codes = np.bincount(3 * (wanted.astype(np.int64) + 1) + found.astype(np.int64) + 1, minlength=9)
        return mutual_information(codes.reshape(len(values), len(values)))

    def judged(self, recalled: np.ndarray) -> dict[str, Any]:
        """Every measure: (n,) of items, or one number."""
        scored, items = self.cues.scored, self.cues.items
        n_wrong = self.n_wrong(recalled)
        out: dict[str, Any] = {}
        for name in self.measures:
            if name == "component_accuracy":
                out[name] = 1.0 - n_wrong / self.n_scored
            elif name == "exact":
                out[name] = (n_wrong == 0).astype(np.float64)
            elif name in ("cosine", "pearson"):
                out[name] = along(*self.parts(recalled, name == "pearson"))
            elif name == "normalised_error":
                expected = self.errors(self.guess).mean()
                out[name] = self.errors(recalled) / expected if expected > 0 else None
            elif name == "information":
                out[name] = self.information(recalled)
            elif name == "identification":
                out[name] = identified(recalled, scored, items, self.kind)
            else:
                rows = len(items), -1
                found = decoded(recalled, self.kind)[scored].reshape(rows)
                out[name] = sequence_measure(name, found, items[scored].reshape(rows)) if len(items) else np.empty(0)
        return out

    def label(self, measure: str) -> str:
        """What tables call a measure."""
        return f"{measure}_with_cue" if self.include_cue else measure

    def rows(self, recalled: np.ndarray) -> list[dict[str, Any]]:
        """Rows of every measure."""
        rows = []
        for name, value in self.judged(recalled).items():
            if value is None:
                continue
            chance = float(np.mean(self.chances[name])) if self.chances[name] is not None else None
            label = self.label(name)
            if name in ("exact", "identification"):
                row = share(label, float(value.sum()), len(value), chance)
            elif isinstance(value, float):
                row = {"measure": label, "n": len(recalled), "value": value, "chance": chance}
            else:
                mean, low, high = mean_interval(value)
                row = {"measure": label, "n": len(value), "value": mean, "ci_lo": low, "ci_hi": high, "chance": chance}
            rows.append({"cue": self.cues.kind, "cue_fraction": self.cues.fraction} | row)
        return rows


def verbs_for(kinds: Iterable[str]) -> set[str]:
    """What a memory must have for cues of these kinds."""
    return {"read" if kind == "noise" else "complete" for kind in kinds}


def recall_probe(
    memory: Any,
    source: ItemSource,
    *,
    n_study: int = 600,
    exposures: int | Sequence[int] = (1,),
    cue_fraction: float | Sequence[float] = 0.5,
    cue_kind: str | Sequence[str] = "prefix",
    include_cue: bool = False,
    shape: tuple[int, int] | None = None,
    n_key: int | None = None,
    measures: Sequence[str] = DEFAULT_MEASURES,
    tolerance: float = 0.1,
    n_probe: int | None = None,
    batch_size: int = 16,
    with_targets: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """Study items, then complete each from a part of it, and judge what was not given.

    Parameters
    ----------
    memory : object or callable
        Has ``write`` and ``complete`` (``read`` for noisy cues); it is copied, never changed.  A callable without ``write`` makes
        a memory from a seed.
    source : ItemSource
        Each seed studies other items of it.
    n_study, exposures, n_probe, batch_size, with_targets, seeds, check_purity, progress
        As in :func:`recognition_probe`.
    cue_fraction : float in (0, 1] or several, default 0.5
        Share of components that are given, or, of noisy cues, left right.
    cue_kind : {"prefix", "random_mask", "block", "noise", "key"} or several, default "prefix"
        The first components; some at random; all but a block (of a picture, with ``shape``); all, with the others of
        ``cue_fraction`` wrong; the first ``n_key``.
    include_cue : bool, default False
        Judge the given components too, as published text scores do: measures are then named "..._with_cue".
    shape : (height, width), optional
    n_key : int, optional
    measures : sequence of str
        "component_accuracy"; "exact" (every judged component right); "cosine" and "pearson"; "normalised_error" (errors, squared
        for real items, over those of a guess from the studied items' frequencies); "information" (bits a component tells of the
        right one: 1 - H2(error) for fair bits); "identification" (the nearest studied item is the right one); and, with
        components as symbols in order, "edit_similarity", "rouge_1", "rouge_2", "rouge_l".
    tolerance : float, default 0.1
        A real component is right within this many standard deviations of the items.

    Returns
    -------
    ProbeResult
        ``chance`` is computed from the best constant guess, given the same cue, and judged in the same way.

    Raises
    ------
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.
    InputError
        If a cue gives nothing, or leaves nothing to recall.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, recall_probe
    >>> result = recall_probe(ExactStore(64), RandomBits(64), n_study=50, seeds=1)
    >>> result.where(measure="exact", exposures=1).values().tolist()
    [1.0]
    """
    probe = "recall_probe"
    n_study = validate.integer(n_study, "n_study", 2)
    passes = ascending(exposures, "exposures", 1)
    kinds = [cue_kind] if isinstance(cue_kind, str) else list(cue_kind)
    for kind in kinds:
        validate.choice(kind, "cue_kind", CUE_KINDS)
    for name in measures:
        validate.choice(name, "measures", MEASURES)
    fractions = [cue_fraction] if isinstance(cue_fraction, (int, float)) else list(cue_fraction)
    validate.number(tolerance, "tolerance", low=0.0)
    validate.integer(batch_size, "batch_size", 1)
    n_probe = min(n_study, N_PROBE) if n_probe is None else validate.integer(n_probe, "n_probe", 2, n_study)
    seeds = seeds_of(seeds)
    options: dict[str, Any] = {"include_cue": bool(include_cue), "shape": shape, "n_key": n_key}
    if "key" in kinds and len(fractions) > 1:
        raise InputError("cue_kind='key' has the fraction that n_key makes, one cue_fraction was expected")
    rows: list[dict[str, Any]] = []
    system, prior_answered = "", True
    with progress_bar(len(seeds) * passes[-1], progress, probe) as advance:
        for seed in seeds:
            live = fresh(memory, seed)
            require(live, ("write", *verbs_for(kinds)), probe)
            system = system_name(live)
            items = source.reseeded(seed)
            ids = items.ids("target", n_study)
            probed = ids[spread_out(n_study, n_probe)]
            prepared = [
                RecallSet(items, make_cues(items, probed, fraction, kind, **options), measures, include_cue, tolerance)
                for kind in kinds
                for fraction in fractions
            ]
            orders = generator_for(items.seed_sequence, "retention.probes")
            for n_passes in range(passes[-1] + 1):
                if n_passes:
                    write_batches(live, items, orders.permutation(ids), batch_size, with_targets)
                    advance(1)
                    if n_passes not in passes:
                        continue
                condition = "studied" if n_passes else "prior"
                common: dict[str, Any] = {"system": system, "probe": "recall", "condition": condition}
                common |= {"exposures": n_passes, "seed": seed}
                with Reader(live, check_purity, probe) as reader:
                    for part in prepared:
                        began = time.perf_counter()
                        try:
                            recalled = part.recalled(reader)
                        except Exception as error:
                            if n_passes or not empty_answers(error):
                                raise
                            prior_answered = False
                            continue
                        seconds = time.perf_counter() - began
                        rows += [common | {"seconds": seconds} | row for row in part.rows(recalled)]
    config = {
        "probe": probe,
        "system": system,
        "memory": described(memory) if hasattr(memory, "write") else system,
        "source": [type(source).__name__, source.describe()],
        "n_study": n_study,
        "n_probe": n_probe,
        "exposures": passes,
        "cue_fraction": fractions,
        "cue_kind": kinds,
        "include_cue": bool(include_cue),
        "shape": None if shape is None else list(shape),
        "n_key": n_key,
        "tolerance": tolerance,
        "batch_size": batch_size,
        "with_targets": with_targets,
        "seeds": seeds,
        "prior_answered": prior_answered,
    }
    return ProbeResult(rows, config)
