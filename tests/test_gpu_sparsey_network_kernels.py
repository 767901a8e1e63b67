"""GPU twins of the network's kernels against the CPU's, on nets and settings that the examples of the registry do not have."""

import copy
import ctypes

import numpy as np
import pytest

from cuda_cpu.runner import CpuLauncher, missing
from neuromem.gpu import launch
from neuromem.gpu import sparsey as twins
from neuromem.sparsey import SparseyLevel, SparseyNetwork, kernels
from neuromem.sparsey.network_memory import BEGINS, FREE, LEARNS, block_bounds
from neuromem.sparsey.network_tables import feature_rows, network_tables, u_tables

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

N_FEATURES, SMALLEST_LIMIT = 40, 48 * 1024
THIRDS = [list(range(20)), list(range(10, 30)), list(range(20, 40))]
STATE = 9  # arguments at the end that are written


def arguments(levels, seed=0, n_steps=18, n_features=N_FEATURES, density=0.25, flags=None, n_learned=8, **settings):
    """Learn with an episode's end inside, read in two episodes, run free."""
    network, rng = SparseyNetwork(n_features, levels, **settings), np.random.default_rng(seed)
    network._validate_params()
    tables = network_tables(levels, n_features)
    frames = (rng.random((6, n_features)) < density)[rng.integers(0, 6, n_steps)]
    frames[n_steps // 2] = False  # wakes no mac
    indptr = np.concatenate([[0], np.cumsum(frames.sum(axis=1))])
    if flags is None:
        flags = np.zeros(n_steps, np.uint8)
        flags[:n_learned] = LEARNS
        flags[-3:] = FREE
        flags[[0, n_learned // 2, n_learned, n_learned + 4]] |= BEGINS
    constants, modes, sigmoid, multipliers = network._settings()
    n_modules, n_macs = tables.n_modules, len(tables.macs)
    history = (
        np.full((n_steps + 1, n_modules), -1, np.int32),
        np.full((n_steps + 1, n_modules), -1, np.int32),
        np.zeros((n_steps + 1, n_macs), np.int32),
        np.zeros((n_steps + 1, n_macs), np.int32),
        np.zeros((n_steps + 1, n_macs)),
        np.full((n_steps + 1, n_macs, 7), -1.0),
    )
    blocks = np.array([0, n_steps]) if (flags & LEARNS).any() else block_bounds(flags, 1)
    sweep = not tables.comes_down
    return "run_by_level" if sweep else "run_in_time", (
        *(np.nonzero(frames)[1].astype(np.int32), indptr, feature_rows(tables, n_features), flags, blocks),
        *([tables.level_starts] if sweep else []),
        2**32 - 5,  # the step crosses into the counter's second word
        *(tables.macs, tables.sources, tables.parents, tables.rates),
        *u_tables(tables.rates, sigmoid, int(modes[1])),
        *(constants, modes, sigmoid, multipliers, np.array([5, 6], np.uint32)),
        *(np.zeros(tables.n_words, np.uint64), np.zeros(tables.n_cells, np.int32), np.zeros(tables.n_cells, bool)),
        *history,
    )


def on_the_cpu(name, given, **options):
    """What a twin leaves."""
    mine = copy.deepcopy(given)
    with launch.use(CpuLauncher(**{"shared_limit": SMALLEST_LIMIT, **options})) as launcher:
        getattr(twins, name)(*mine)
    return mine, launcher


def compiled(name, given):
    theirs = copy.deepcopy(given)
    getattr(kernels, name)(*theirs)
    return theirs


def compare(name, given, **options):
    mine, _ = on_the_cpu(name, given, **options)
    for number, (found, wanted) in enumerate(zip(mine, compiled(name, given), strict=True)):
        np.testing.assert_array_equal(found, wanted, err_msg=f"argument {number}")
    return mine


def tower(top_down=True, **first):
    """Three levels of unlike shapes."""
    return [
        SparseyLevel(4, 9, THIRDS, top_down=top_down, **first),
        SparseyLevel(3, 20, [[0, 1], [1, 2]], persistence=2, top_down=top_down),
        SparseyLevel(2, 70, persistence=3),
    ]


# modules of one word and of several, of one cell; one module a word, many
SHAPES = [(3, 1), (24, 2), (5, 33), (3, 65), (9, 130), (2, 1025)]
SETTINGS = {
    "discount": {"hypotheses": "discount", "hypothesis_limit": 8, "hypothesis_threshold": 0.3},
    "boost": {"hypotheses": "boost", "hypothesis_threshold": 0.2, "backoff": "absolute", "backoff_thresholds": (0.9, 0.6, 0.3)},
    "always": {"learn_context": "always", "upper_input": "argmax", "backoff": "none"},
    "logistic": {"transfer": "logistic", "expansivity_scale": 5.0, "backoff_ratio": 1.0},
    "flat": {"expansivity_scale": 0.0, "backoff": "absolute"},
}


@pytest.mark.parametrize(("n_modules", "units"), SHAPES)
def test_one_mac_of_every_shape(n_modules, units):
    found = compare(*arguments([SparseyLevel(n_modules, units, h_exponent=1.0, saturation_limit=0.6)], n_modules))
    assert found[-STATE].any() and (found[-6] >= 0).any()


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("top_down", [True, False])
def test_levels_with_every_setting(setting, top_down):
    levels = tower(top_down, activation_bounds=(2, 8), critical_period=2**32 + 1)
    found = compare(*arguments(levels, 3, **SETTINGS[setting]), order="shuffled")
    silent = found[-4][1:] == 0
    assert silent.any() and not silent.all()


def test_without_context_a_mac_hears_its_input_alone():
    levels = [SparseyLevel(5, 12, THIRDS, horizontal=False, top_down=False)]
    compare(*arguments(levels, 4))
    compare(*arguments(levels, 5, transfer="logistic"), order="reversed")


@pytest.mark.parametrize("horizontal", [True, False])
def test_more_active_features_than_are_listed_tabled_or_held_in_registers_at_once(horizontal):
    level = SparseyLevel(4, 24, horizontal=horizontal, u_exponent=3.0, saturation_limit=0.8)
    name, given = arguments([level], 6, 10, 700, 0.9, n_learned=5)
    assert np.diff(given[1]).max() > twins.CHUNK
    compare(name, given)


@pytest.mark.parametrize("side_by_side", [1, 64])
def test_reads_in_blocks_of_episodes_on_either_way_through_time(monkeypatch, side_by_side):
    monkeypatch.setattr(twins, "SIDE_BY_SIDE", side_by_side)
    levels = tower()
    learned = compiled(*arguments(levels, 7))
    flags = np.zeros(12, np.uint8)
    flags[[0, 1, 5, 9]] = BEGINS
    name, given = arguments(levels, 7, 12, flags=flags)
    given = (*given[:-STATE], *learned[-STATE : -STATE + 3], *given[-STATE + 3 :])
    mine, launcher = on_the_cpu(name, given)
    assert len(given[4]) == 5 and len(launcher.launched) == 1
    compare(name, given)


@pytest.mark.parametrize("limit", [1, SMALLEST_LIMIT])
def test_work_space_in_shared_or_global_memory_and_blocks_that_go_round(monkeypatch, limit):
    monkeypatch.setattr(twins, "SHARED_BYTES", limit)
    monkeypatch.setattr(twins, "FREE_BLOCKS", 2)
    compare(*arguments(tower(False), 8, **SETTINGS["boost"]), shared_limit=limit)


def test_a_level_s_macs_are_launched_together_where_nothing_comes_down():
    launches = []
    name, given = arguments(tower(False), 9)

    class Counting(CpuLauncher):
        def run(self, source, kernel, grid, block, arguments, shared=0):
            launches.append(grid)
            super().run(source, kernel, grid, block, arguments, shared)

    with launch.use(Counting()):
        getattr(twins, name)(*copy.deepcopy(given))
    assert launches == [(3,), (2,), (1,)]


def test_level_by_level_is_step_by_step_where_nothing_comes_down():
    name, given = arguments(tower(False), 12)
    swept, stepped = on_the_cpu(name, given)[0], on_the_cpu("run_in_time", (*given[:5], *given[6:]))[0]
    for found, wanted in zip(swept[-STATE:], stepped[-STATE:], strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("limit", [1, SMALLEST_LIMIT])
def test_codes_are_projected_back(monkeypatch, limit):
    monkeypatch.setattr(twins, "SHARED_BYTES", limit)
    monkeypatch.setattr(twins, "SCRATCH_BYTES", 1)
    rng = np.random.default_rng(10)
    learned = compiled(*arguments(tower(), 10))
    macs, sources, bits = learned[6], learned[7], learned[-STATE]
    codes = rng.integers(0, 9, (5, learned[-6].shape[1])).astype(np.int32)
    codes[1, :4] = codes[2, :12] = -1
    scores = np.full((5, N_FEATURES), 7, np.float32)
    found = compare("project_back", (codes, macs, 3, sources, bits, scores), shared_limit=limit, order="reversed")[5]
    assert found[0].any() and not found[2].any()


def test_no_steps_launch_nothing():
    for top_down in (True, False):
        name, given = arguments(tower(top_down))
        given = (np.zeros(0, np.int32), np.zeros(1, np.int64), given[2], np.zeros(0, np.uint8), np.zeros(1, np.int64), *given[5:])
        _, launcher = on_the_cpu(name, given)
        assert not launcher.launched
    nothing = np.zeros((0, 16), np.int32), given[7], 3, given[8], given[-STATE], np.zeros((0, N_FEATURES), np.float32)
    assert not on_the_cpu("project_back", nothing)[1].launched


# ---------------------------------------------------------------- planted faults

FAULTS = {  # text of the source around a piece of it, which becomes another
    "D from the codes of this step": ("net.macs, |found|, net.sends + t * net.n_macs, 0, modules", "codes"),
    "context learned on every step": ("with_context = !held || |net.always|;", "true"),
    "a module hears its own cells": ("const int row = |j == q| ? -1", "false"),
    "draws do not depend on the mac": ("nm_module_uniform(step, |m|,", "0"),
    "a held code is never released": ("asked >= |rates[NM_RELEASE]|;", "0.0"),
    "the gate is open": ("if (present == 0 || (|!free| && (size", "false"),
    "no limit to a cell's weights": ("net.n_weights[cell] >= |mac[NM_FREEZE_AT]|)", "INT64_MAX"),
    "ages do not count": ("net.age[after] = net.age[before] + |1|;", "0"),
    "back-off while learning": ("const int version = |learns| ? present", "false"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A folder with the network's source, each fault in it there while its number is set: one build for all."""
    text = (launch.KERNELS / "sparsey_network.cu").read_text()
    for number, (place, wrong) in enumerate(FAULTS.values(), 1):
        before, right, after = place.split("|") if place.count("|") == 2 else place.rsplit("|", 2)
        assert text.count(before + right + after) == 1, place
        text = text.replace(before + right + after, f"{before}(nm_fault == {number} ? ({wrong}) : ({right})){after}")
    setter = 'static int nm_fault;\nextern "C" NM_EXPORT void nm_set_fault(int number) { nm_fault = number; }\n'
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "sparsey_network.cu").write_text(text.replace('#include "common.cuh"\n', '#include "common.cuh"\n' + setter))
    return folder


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_a_fault_in_the_step_is_seen(faulty, fault):
    library = ctypes.CDLL(str(CpuLauncher(folder=faulty).build("sparsey_network")))
    library.nm_set_fault(0 if fault is None else list(FAULTS).index(fault) + 1)
    name, given = arguments(tower(activation_bounds=(2, 8), saturation_limit=0.6), 11, 24, n_learned=14)
    found, _ = on_the_cpu(name, given, folder=faulty)
    wanted = compiled(name, given)
    assert all(np.array_equal(f, w) for f, w in zip(found, wanted, strict=True)) == (fault is None)
