"""The network's kernels in plain NumPy, with the kernels' own arguments: what the mirror suite compares against."""

from typing import Any

import numpy as np

from neuromem.sparsey.packing import pack_cells, unpack_cells
from neuromem.sparsey.reference_network import ReferenceCell, ReferenceLevel, ReferenceNetwork

BEGINS, LEARNS, FREE = 1, 2, 4
BACKOFFS, TRANSFERS = ("none", "relative", "absolute"), ("psi", "logistic")


def network_of(n_features: int, macs: Any, sources: Any, rates: Any, constants: Any, modes: Any, rest: tuple) -> ReferenceNetwork:
    """The plain form of a network's tables."""
    sigmoid, multipliers, key = rest
    levels = []
    for j in range(len(rates)):
        mine = macs[macs[:, 0] == j]
        offset = int((macs[:, 0] < j - 1).sum()) if j else 0
        fields = [sources[mac[16] : mac[17]].astype(int) - offset for mac in mine]
        first = mine[0]
        levels.append(
            ReferenceLevel(
                int(first[1]),
                int(first[2]),
                fields,
                persistence=int(first[11]),
                exponents=tuple(rates[j, :3]),
                bounds=(int(first[12]), int(first[13])),
                horizontal=bool(first[7]),
                top_down=bool(mine[:, 8].any()),
                saturation_limit=float(first[14] / first[6]),
                release=None if rates[j, 3] < 0 else float(rates[j, 3]),
                critical_period=int(first[15]),
            )
        )
    hypotheses = "off" if not len(multipliers) else "discount" if modes[3] > 1 or len(multipliers) == 2 else "boost"
    return ReferenceNetwork(
        n_features,
        levels,
        key,
        {
            "familiarity_floor": constants[0],
            "expansivity_exponent": constants[1],
            "expansivity_scale": constants[2],
            "sigmoid": tuple(sigmoid),
            "transfer": TRANSFERS[modes[1]],
        },
        backoff=BACKOFFS[modes[0]],
        ratio=constants[3],
        thresholds=tuple(constants[4:7]),
        learn_context="always" if modes[2] else "onset",
        hypotheses=hypotheses,
        hypothesis_threshold=constants[7],
        hypothesis_limit=max(1, len(multipliers) - 1),
        upper_input="argmax" if modes[4] else "sampled",
    )


def code_of(cell: ReferenceCell, code: np.ndarray) -> np.ndarray:
    """Winners of a one-hot code, -1 where there is none."""
    return np.where(code.any(axis=1), code.argmax(axis=1), -1)


def run_in_time(
    indices: Any,
    indptr: Any,
    row_of_feature: Any,
    flags: Any,
    blocks: Any,
    first_step: int,
    macs: Any,
    sources: Any,
    parents: Any,
    rates: Any,
    constants: Any,
    modes: Any,
    sigmoid: Any,
    multipliers: Any,
    key: Any,
    bits: Any,
    n_weights: Any,
    frozen: Any,
    codes: Any,
    recalled: Any,
    age: Any,
    sends: Any,
    familiarity: Any,
    versions: Any,
) -> None:
    """Step by step, level by level, mac by mac; the first step begins an episode."""
    n_features = row_of_feature.shape[1]
    network = network_of(n_features, macs, sources, rates, constants, modes, (sigmoid, multipliers, key))
    network.step_number = first_step
    cells = [cell for level in network.macs for cell in level]
    for t, flag in enumerate(flags):
        if flag & BEGINS:
            network.reset()
        x = np.zeros(n_features, bool)
        x[indices[indptr[t] : indptr[t + 1]]] = True
        network.step(x, bool(flag & LEARNS), bool(flag & FREE))
        for m, (mac, cell) in enumerate(zip(macs, cells, strict=True)):
            modules = slice(mac[9], mac[9] + mac[1])
            codes[t + 1, modules], recalled[t + 1, modules] = code_of(cell, cell.code), code_of(cell, cell.recalled)
            age[t + 1, m], sends[t + 1, m] = cell.age, cell.sends
            familiarity[t + 1, m], versions[t + 1, m] = cell.familiarity, cell.versions
    for mac, cell in zip(macs, cells, strict=True):
        weights = np.concatenate([cell.up, cell.across, cell.down]).reshape(-1, mac[1], mac[2])
        packed = pack_cells(weights).ravel()
        bits[mac[5] : mac[5] + len(packed)] = packed
        mine = slice(mac[10], mac[10] + mac[1] * mac[2])
        n_weights[mine], frozen[mine] = cell.up.sum(axis=0), cell.frozen


def run_by_level(*arguments: Any) -> None:
    """The same: where nothing comes down the order makes no difference."""
    run_in_time(*arguments[:5], *arguments[6:])


def project_back(codes: Any, macs: Any, n_first: int, sources: Any, bits: Any, out_scores: Any) -> None:
    """Share of winners with a weight from each feature, averaged over the macs awake that see it."""
    total, seen = np.zeros(out_scores.shape, np.float32), np.zeros(out_scores.shape, int)
    for mac in macs[:n_first]:
        n_modules, n_words = int(mac[1]), int(mac[4])
        words = bits[mac[5] : mac[5] + mac[6] * n_words].reshape(-1, n_words)
        weights = unpack_cells(words, n_modules, int(mac[2]))
        field = sources[mac[16] : mac[17]]
        for n, code in enumerate(codes[:, mac[9] : mac[9] + n_modules]):
            if code[0] >= 0:
                total[n, field] += weights[:, np.arange(n_modules), code].mean(axis=1).astype(np.float32)
                seen[n, field] += 1
    out_scores[:] = total / np.maximum(seen, 1).astype(np.float32)
