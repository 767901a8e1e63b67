"""A network of macs over a stream: in time order, or level by level where nothing comes down from above."""

import numpy as np

from neuromem.jit import jit, prange
from neuromem.sparsey.kernels.accumulate import ONE, address
from neuromem.sparsey.kernels.mac_signals import (
    FIRST_MODULE,
    FIRST_SOURCE,
    FIRST_WORD,
    MODULES,
    N_UP,
    PADDED,
    WORDS,
)
from neuromem.sparsey.kernels.mac_step import run_macs, workspace
from neuromem.sparsey.kernels.routing import ROUTED_FROM, route, seen_by


@jit(parallel=True)
def run_in_time(
    indices,
    indptr,
    row_of_feature,
    flags,
    blocks,
    first_step,
    macs,
    sources,
    parents,
    rates,
    u_powers,
    u_factors,
    constants,
    modes,
    sigmoid,
    multipliers,
    key,
    bits,
    n_weights,
    frozen,
    codes,
    recalled,
    age,
    sends,
    familiarity,
    versions,
):
    """Steps one after the other; in each, levels bottom-up.

    Blocks of steps run side by side: only where nothing is learned, and each but the first begins an episode.

    Parameters
    ----------
    indices : int32 (nnz,)
        Active features of the frames, one after the other.
    indptr : int64 (n_steps + 1,)
    row_of_feature : int32 (macs of the first level, n_features)
        Afferent of each feature, -1 where the mac does not see it.
    flags : uint8 (n_steps,)
        Sum of 1: an episode begins with this step, 2: it is learned, 4: the first level runs free.
    blocks : int64 (n_blocks + 1,)
        Bounds of the blocks.
    first_step : int
        Number of the first step; with mac and module it addresses every draw.
    macs : int64 (n_macs, MAC_COLUMNS)
        One row per mac, lower levels first; the columns are named in ``mac_signals``.
    sources : int32 (n,)
        Features of the first level's macs, macs that the others see.
    parents : int32 (n,)
        Macs of the level above that see each mac.
    rates : float64 (n_levels, 4)
    u_powers, u_factors : float64 (n_levels, (TABLED + 1) * (TABLED + 2) / 2)
        V and its win factor where U is the only signal and ``count`` of ``n`` rows have a weight, at n * (n + 1) / 2 + count.
    constants : float64 (8,)
    modes : int64 (5,)
    sigmoid : float64 (4,)
    multipliers : int32 (n,)
        How often a row counts at its target, by the number of hypotheses of its mac, 0 beyond; empty: always once.
    key : uint32 (2,)
    bits : uint64 (n,), in and out
        Weights: per mac rows from below, from its own cells, from above, and one of zeros.
    n_weights : int32 (n_cells,), in and out
        Weights set from below, per cell.
    frozen : bool (n_cells,), in and out
    codes, recalled : int32 (n_steps + 1, modules of all macs)
        Row 0 is what was there before, row t + 1 what step t leaves.  Winners, -1 where silent; argmax winners before
        the write.
    age, sends : int32 (n_steps + 1, n_macs)
        Steps that a code has lived; how often its rows count, 0 where nothing is sent.
    familiarity : float64 (n_steps + 1, n_macs)
    versions : float64 (n_steps + 1, n_macs, 7)
        G of U, H, UH, D, UD, HD, UHD with all exponents 1; -1 where a signal was absent.
    """
    routed = indptr.shape[0] > ROUTED_FROM
    seen = seen_by(row_of_feature, routed)
    starts, active = route(indices, indptr, 0, indptr.shape[0] - 1, seen, row_of_feature.shape[0])
    for block in prange(blocks.shape[0] - 1):
        frames = (indices, indptr, row_of_feature, routed, starts, active)
        network = (macs, sources, parents)
        settings = (rates, u_powers, u_factors, constants, modes, sigmoid, multipliers, key)
        state = (bits, n_weights, frozen)
        history = (codes, recalled, age, sends, familiarity, versions)
        work = workspace(macs, row_of_feature.shape[1], multipliers)
        start, stop = blocks[block], blocks[block + 1]
        run_macs(start, stop, 0, macs.shape[0], flags, first_step, frames, network, settings, state, history, work)


@jit(parallel=True)
def run_by_level(
    indices,
    indptr,
    row_of_feature,
    flags,
    blocks,
    level_starts,
    first_step,
    macs,
    sources,
    parents,
    rates,
    u_powers,
    u_factors,
    constants,
    modes,
    sigmoid,
    multipliers,
    key,
    bits,
    n_weights,
    frozen,
    codes,
    recalled,
    age,
    sends,
    familiarity,
    versions,
):
    """The same where no mac has weights from above: each mac sees the whole stream before the level above sees any of it.

    Arguments as in :func:`run_in_time`; ``level_starts`` int64 (n_levels + 1,) has the first mac of each level.
    """
    n_blocks = blocks.shape[0] - 1
    routed = indptr.shape[0] > ROUTED_FROM
    seen = seen_by(row_of_feature, routed)
    starts, active = route(indices, indptr, 0, indptr.shape[0] - 1, seen, row_of_feature.shape[0])
    for level in range(level_starts.shape[0] - 1):
        first_mac = level_starts[level]
        for task in prange((level_starts[level + 1] - first_mac) * n_blocks):
            m = first_mac + task // n_blocks
            block = task % n_blocks
            frames = (indices, indptr, row_of_feature, routed, starts, active)
            network = (macs, sources, parents)
            settings = (rates, u_powers, u_factors, constants, modes, sigmoid, multipliers, key)
            state = (bits, n_weights, frozen)
            history = (codes, recalled, age, sends, familiarity, versions)
            work = workspace(macs, row_of_feature.shape[1], multipliers)
            start, stop = blocks[block], blocks[block + 1]
            run_macs(start, stop, m, m + 1, flags, first_step, frames, network, settings, state, history, work)


@jit(parallel=True)
def project_back(codes, macs, n_first, sources, bits, out_scores):
    """Score every feature by the share of winners that have a weight from it, averaged over the macs awake that see it.

    Parameters
    ----------
    codes : int32 (n_items, modules of all macs)
    macs, sources, bits
        As in :func:`run_in_time`.
    n_first : int
        Macs of the first level.
    out_scores : float32 (n_items, n_features)
    """
    n_features = out_scores.shape[1]
    for n in prange(codes.shape[0]):
        seen = np.zeros(n_features, np.int32)
        out_scores[n, :] = np.float32(0.0)
        for m in range(n_first):
            place, n_modules, n_words = macs[m, FIRST_MODULE], macs[m, MODULES], macs[m, WORDS]
            if codes[n, place] < 0:
                continue
            first = macs[m, FIRST_WORD]
            for r in range(macs[m, N_UP]):
                hits = 0
                for q in range(n_modules):
                    word, bit = address(q, np.int64(codes[n, place + q]), n_modules, macs[m, PADDED])
                    hits += np.int64((bits[first + r * n_words + word] >> np.uint64(bit)) & ONE)
                feature = sources[macs[m, FIRST_SOURCE] + r]
                out_scores[n, feature] += np.float32(hits / n_modules)
                seen[feature] += 1
        for f in range(n_features):
            if seen[f] > 1:
                out_scores[n, f] /= np.float32(seen[f])
