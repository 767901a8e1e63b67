"""One mac that is told what came before: items one after the other, each with codes given from outside."""

import numpy as np

from neuromem.jit import jit, prange
from neuromem.sparsey.kernels.mac_signals import FIRST_MODULE
from neuromem.sparsey.kernels.mac_step import run_macs, workspace


@jit(parallel=True)
def run_given(
    indices,
    indptr,
    row_of_feature,
    flags,
    blocks,
    given,
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
    out_codes,
    out_recalled,
    out_age,
    out_sends,
    out_familiarity,
    out_versions,
):
    """Steps of the first mac, each from a context of its own; the other macs are its parents and never step.

    Blocks of items run side by side: only where nothing is learned.

    Parameters
    ----------
    indices, indptr, row_of_feature, flags, blocks
        As in :func:`neuromem.sparsey.kernels.network.run_in_time`; an item that begins an episode hears no context.
    given : int32 (n_items, modules of all macs)
        Winners that the mac hears: its own code of before, then its parents'; -1 where there is none.
    first_step, macs, sources, parents, rates, u_powers, u_factors, constants, modes, sigmoid, multipliers, key
        As there.
    bits, n_weights, frozen
        As there, of the first mac only; in and out.
    out_codes, out_recalled : int32 (n_items, modules of the first mac)
    out_age, out_sends : int32 (n_items, 1)
    out_familiarity : float64 (n_items, 1)
    out_versions : float64 (n_items, 1, 7)
    """
    n_macs, n_modules, n_all = macs.shape[0], out_codes.shape[1], given.shape[1]
    for block in prange(blocks.shape[0] - 1):
        network = (macs, sources, parents)
        settings = (rates, u_powers, u_factors, constants, modes, sigmoid, multipliers, key)
        state = (bits, n_weights, frozen)
        work = workspace(macs, row_of_feature.shape[1], multipliers)
        codes, recalled = np.empty((2, n_all), np.int32), np.empty((2, n_all), np.int32)
        age, sends = np.empty((2, n_macs), np.int32), np.empty((2, n_macs), np.int32)
        familiarity, versions = np.zeros((2, n_macs)), np.zeros((2, n_macs, 7))
        history = (codes, recalled, age, sends, familiarity, versions)
        for i in range(blocks[block], blocks[block + 1]):
            codes[0, :] = given[i]
            for m in range(n_macs):
                awake = given[i, macs[m, FIRST_MODULE]] >= 0
                age[0, m] = awake  # a code of one step, which has run out
                sends[0, m] = awake
            bounds = indptr[i : i + 2]
            frames = (indices, bounds, row_of_feature, False, bounds, indices)  # features are looked through, not handed out
            run_macs(0, 1, 0, 1, flags[i : i + 1], first_step + i, frames, network, settings, state, history, work)
            out_codes[i, :] = codes[1, :n_modules]
            out_recalled[i, :] = recalled[1, :n_modules]
            out_age[i, 0], out_sends[i, 0], out_familiarity[i, 0] = age[1, 0], sends[1, 0], familiarity[1, 0]
            out_versions[i, 0, :] = versions[1, 0]
