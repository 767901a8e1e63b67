"""Forgetting curves fitted to what people kept: Ebbinghaus, those who did the same after him, and free recall of word lists."""

from pathlib import Path
from typing import Any

import numpy as np

from neuromem import datasets
from neuromem.errors import MissingDataError
from neuromem.experiments.result import Result, Row
from neuromem.progress import progress_bar
from neuromem.retention import (
    EXACT_MINUTES,
    REPETITIONS,
    CurveComparison,
    HumanCurve,
    compare_curves,
    ebbinghaus_formula,
    human_curves,
)

FORMULA = (0.570, 0.468, 0.345, 0.304, 0.281, 0.249, 0.212)  # the published column of the formula of 1885
PUBLISHED = {"k": 1.84, "c": 1.25}
SOURCE = "Ebbinghaus 1885, as given by Murre and Dros 2015, table 3"
NAMES = ("20 min", "1 h", "9 h", "1 d", "2 d", "6 d", "31 d")
LIST_LENGTH = 16
RECENT = 4  # words that count as the end, and as the start, of a list


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Least squares of every model on every table; free recall where its file is there."""
    draws = 100 if quick else 500
    settings = {"fit": "least squares on shares, floor 0", "ranking": "AICc and AIC, variance counted", "draws": draws}
    result = Result("retention-human", 0, settings | {"times": "minutes"})
    fits: dict[str, CurveComparison] = {}
    with result.timed("all"), progress_bar(len(human_curves()) + 2, progress, "tables") as advance:
        for name, exact, published in zip(NAMES, ebbinghaus_formula(EXACT_MINUTES), FORMULA, strict=True):
            result.add(f"formula of 1885, {name}", "savings", [exact], published=published, source=SOURCE)
        advance(1)
        for name, curve in human_curves().items():
            fits[name] = rank(result, curve, draws)
            advance(1)
        parameters(result, fits["ebbinghaus"])
        try:
            positions = from_files(result)
            result.settings["files"] = "read"
        except MissingDataError as error:
            positions = None
            result.settings["files"] = f"not read: {str(error).partition(' is not in ')[0]} is missing"
        advance(1)
    if out is not None:
        draw(result, fits, positions, out)
    return result


def rank(result: Result, curve: HumanCurve, draws: int) -> CurveComparison:
    """Rows of every model for one table."""
    found = compare_curves(curve.minutes, values=curve.values, floor=0, draws=draws, random_state=0)
    by_aic = sorted((line.fit for line in found.curves), key=lambda fit: fit.aic)
    for place, line in enumerate(found.curves):
        condition, fit = f"{curve.name}, {line.model}", line.fit
        n = curve.minutes.size
        result.rows.append(Row(condition, "R2", fit.r2, n=n))
        result.rows.append(Row(condition, "SSE", fit.sse, n=n))
        result.rows.append(Row(condition, "rank by AICc", place + 1 if np.isfinite(fit.aicc) else len(found.curves), n=n))
        result.rows.append(Row(condition, "rank by AIC", by_aic.index(fit) + 1, n=n))
        result.rows.append(Row(condition, "Akaike weight (AICc)", line.weight, n=n))
        result.rows.append(Row(condition, "share of draws with the lowest AICc", line.chosen, n=draws))
    return found


def parameters(result: Result, found: CurveComparison) -> None:
    """Ebbinghaus's own two constants, fitted to the rounded intervals."""
    fit = found["ebbinghaus"].fit
    for name, (low, high) in fit.intervals().items():
        row = result.add("Ebbinghaus 1885, ebbinghaus", f"constant {name}", [fit.parameters[name]], source=SOURCE)
        row.ci_low, row.ci_high, row.published, row.n = low, high, PUBLISHED[name], fit.n_points


def from_files(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """What the files say: whether they are the tables, and recall by position in a list, with errors over people."""
    minutes, savings = datasets.ebbinghaus_savings()
    tables = human_curves()
    result.add("file against table, Ebbinghaus 1885", "largest difference", [abs(savings - tables["ebbinghaus"].values).max()])
    _, replications, errors = datasets.murre_dros_savings()
    for name in ("Mack", "Seitz", "Dros"):
        result.add(
            f"file against table, {name}", "largest difference", [abs(replications[name] - tables[name.lower()].values).max()]
        )
    learned, again = (np.array(row) for row in REPETITIONS["ebbinghaus"])
    apart = abs(replications["Ebbinghaus"] - (learned - again) / learned).max()
    result.add("file against repetitions, Ebbinghaus 1885", "largest difference", [apart])
    result.add("Ebbinghaus 1885 in repetitions, standard error of savings", "mean", [errors["Ebbinghaus"].mean()])
    shares = recall_by_position(datasets.peers_free_recall())
    n_people = len(shares)
    for what, part in (
        ("first", shares[:, :RECENT]),
        ("middle", shares[:, RECENT:-RECENT]),
        ("last", shares[:, -RECENT:]),
    ):
        values = part.mean(1)
        half = 1.96 * values.std(ddof=1) / n_people**0.5
        name = f"free recall, {what} {part.shape[1]} of {LIST_LENGTH} words"
        result.rows.append(Row(name, "share recalled", values.mean(), values.mean() - half, values.mean() + half, n=n_people))
    return shares.mean(0), shares.std(0, ddof=1) / n_people**0.5


def recall_by_position(events: dict[str, np.ndarray]) -> np.ndarray:
    """Share of lists in which the word at each position was recalled, (n_people, LIST_LENGTH)."""
    people, who = np.unique(events["subject"], return_inverse=True)
    lines = list(zip(who.tolist(), events["list"].tolist(), events["item"].tolist(), strict=True))
    said = {line for line, recall in zip(lines, events["recall"], strict=True) if recall}
    places = zip(lines, events["position"] - 1, events["recall"], strict=True)
    studied = {line: place for line, place, recall in places if not recall}
    lists = np.zeros(len(people))
    for person, _ in {(person, number) for person, number, _ in studied}:
        lists[person] += 1
    recalled = np.zeros((len(people), LIST_LENGTH))
    for key in said & studied.keys():  # a word said twice counts once, a word from another list not at all
        recalled[key[0], studied[key]] += 1
    return recalled / lists[:, None]


def draw(result: Result, fits: dict[str, CurveComparison], positions: Any, out: Path) -> None:
    """Ebbinghaus with three curves, all tables with their best, and recall by position."""
    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(13.5, 4.4, 3)
    minutes = np.geomspace(15, 50_000, 300)
    own = human_curves()["ebbinghaus"]
    axes[0].plot(own.minutes, own.values, "o", color="black", label=f"{own.name}, {own.measure}")
    for model, colour in (("ebbinghaus", "tab:blue"), ("power", "tab:green"), ("exponential", "tab:red")):
        fit = fits["ebbinghaus"][model].fit
        axes[0].plot(minutes, fit.retention(minutes), color=colour, label=f"{model}: R2 {fit.r2:.3f}")
    for place, (name, curve) in enumerate(human_curves().items()):
        best = fits[name].best
        axes[1].plot(curve.minutes, curve.values, "o", color=f"C{place}")
        axes[1].plot(minutes, best.retention(minutes), color=f"C{place}", label=f"{curve.name}: {best.model}")
    axes[0].set(title="One table, three curves", ylabel="savings")
    axes[1].set(title="Four tables, the best curve of each by AICc")
    for ax in axes[:2]:
        ax.set(xscale="log", xlabel="minutes since learning", ylim=(0, 0.75))
        ax.legend(fontsize=8)
    axes[2].set(title="Free recall of 16 words, 126 people", xlabel="position in the list", ylabel="share recalled", ylim=(0, 1))
    if positions is None:
        axes[2].text(0.5, 0.5, "file not there", ha="center", transform=axes[2].transAxes)
    else:
        mean, error = positions
        axes[2].errorbar(np.arange(1, LIST_LENGTH + 1), mean, 1.96 * error, fmt="o-", color="black", capsize=2)
    finish(figure, out / "retention-human.png", result)
