"""Phase diagrams of multitasking networks on any executor, and the figures of the theory."""

import math
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import neuromem
from neuromem.hopfield import RowLaw, attractors, phase_diagram, phases, plots, solve
from neuromem.hopfield.phases import PHASES

GRID = (np.linspace(0.05, 0.95, 7), np.array([0.0, 0.1, 0.3, 0.5, 0.7]))


def same(a, b):
    for name in ("amplitudes", "free_energy", "stability", "converged"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_phases_are_those_of_the_closed_form_lines():
    diagram = phase_diagram(3, [0.05, 0.3, 0.6, 0.8], [0.0, 0.1, 0.15, 0.33, 0.5, 0.9])
    named = np.array(PHASES)[diagram.phase].tolist()
    assert named[0] == ["hierarchical", "pure", "pure", "pure", "pure", "pure"]
    assert named[1] == ["hierarchical", "hierarchical", "hierarchical", "pure", "pure", "paramagnet"]
    assert named[2][3:] == ["pure", "paramagnet", "paramagnet"]
    assert named[3] == ["hierarchical", "symmetric", "symmetric", "paramagnet", "paramagnet", "paramagnet"]
    assert diagram.coexistence.tolist()[2][0] and not diagram.coexistence[:, -1].any()
    assert diagram.n_active[1].tolist() == [3, 2, 2, 1, 1, 0]
    assert diagram.converged.all() and (diagram.stability <= 1 + 1e-9).all()
    for i, d in enumerate(diagram.dilutions):
        one = solve(RowLaw.storing(3, float(d)), 1 / 0.1)
        np.testing.assert_allclose(diagram.from_start("hierarchical")[i, 1], one.m, atol=1e-11)


def test_grids_are_the_same_on_any_threads_and_executor(tmp_path, monkeypatch):
    alone = phase_diagram(3, *GRID)
    with neuromem.threads(1):
        same(phase_diagram(3, *GRID), alone)
    monkeypatch.setattr(phases, "SECONDS_PER_ROW", 1.0)  # a task per row of the grid
    with ThreadPoolExecutor(2) as pool:
        same(phase_diagram(3, *GRID, executor=pool), alone)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        same(phase_diagram(3, *GRID, executor=pool, results_folder=tmp_path), alone)
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 7
    sorted(tmp_path.iterdir())[0].unlink()
    seen = []
    same(phase_diagram(3, *GRID, results_folder=tmp_path, progress=lambda done, total: seen.append((done, total))), alone)
    assert seen == [(6, 7), (7, 7)]
    kept = [path for path in tmp_path.iterdir() if files[path.name] == path.stat().st_mtime_ns]
    assert len(kept) == 6


def test_rows_of_a_killed_worker_are_done_again(monkeypatch):
    monkeypatch.setattr(phases, "SECONDS_PER_ROW", 1.0)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
        same(phase_diagram(2, *GRID, executor=pool), phase_diagram(2, *GRID))


def test_empty_and_single_grids():
    assert phase_diagram(2, [], [0.1]).amplitudes.shape == (3, 0, 1, 2)
    assert phase_diagram(2, [0.1], []).phase.shape == (1, 0)
    assert phase_diagram(1, [0.1], [0.1], starts=["pure"]).phase.tolist() == [[1]]


# ---------------------------------------------------------------- plots


def test_plots_draw_on_the_axes_given(tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    law, found = RowLaw.storing(3, 0.58), attractors(RowLaw.storing(3, 0.58), math.inf, random_state=0)
    diagram = phase_diagram(3, np.linspace(0.05, 0.95, 5), np.linspace(0, 1, 5))
    for draw in (
        lambda ax: plots.plot_row_law(law, 1, ax=ax),
        lambda ax: plots.plot_hierarchy(2, ax=ax),
        lambda ax: plots.plot_amplitudes(law, [0.0, 0.2], "pure", ax=ax),
        lambda ax: plots.plot_free_energy(law, math.inf, found, ax=ax),
        lambda ax: plots.plot_attractors(found, ax=ax),
        lambda ax: plots.plot_fluctuations(law, [0.0, 0.1, 0.42], ax=ax),
        lambda ax: plots.plot_phase_diagram(diagram, ax=ax),
        lambda ax: plots.plot_stability(diagram, "pure", ax=ax),
        lambda ax: plots.plot_critical_dilutions(5, ax=ax),
        lambda ax: plots.plot_learning_threshold(1, [0.1, 0.4], step=0.1, ax=ax),
    ):
        ax = Figure().add_subplot()
        assert draw(ax) is ax and ax.has_data()
        ax.figure.savefig(tmp_path / "picture.png")
