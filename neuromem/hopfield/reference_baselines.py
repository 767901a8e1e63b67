"""The kernels of the classic associative memories in plain NumPy: same names, same arguments, short and obviously right."""

import numpy as np


def relax_fields(couplings, known, order, max_sweeps, out_states, out_fields, out_sweeps, out_settled):
    """Serial sweeps, every field worked out anew."""
    wide = couplings.astype(out_fields.dtype)
    for n, state in enumerate(out_states):
        blank = state == 0
        if blank.any():
            state[blank] = np.where((wide @ state)[blank] >= 0, 1, -1)
        out_sweeps[n], out_settled[n] = max_sweeps, False
        for sweep in range(max_sweeps):
            before = state.copy()
            for i in order:
                if not known[n, i] and (wide[i] @ state) * state[i] < 0:
                    state[i] *= -1
            if np.array_equal(before, state):
                out_sweeps[n], out_settled[n] = sweep + 1, True
                break
        out_fields[n] = wide @ state


relax_fields_serial = relax_fields


def learn_storkey(patterns, out_couplings):
    """W += (x x' - x h' - h x') / N with the local fields h_ij that leave out the units i and j."""
    n_units = patterns.shape[1]
    for x in patterns.astype(np.float64):
        local = (out_couplings @ x)[:, None] - np.diag(out_couplings)[:, None] * x[:, None] - out_couplings * x
        out_couplings += (np.outer(x, x) - x[:, None] * local.T - local * x) / n_units
        np.fill_diagonal(out_couplings, 0)


def relax_dense(
    rows,
    known,
    values,
    pulls,
    drags,
    modes,
    tie,
    order,
    out_states,
    out_overlaps,
    out_fields,
    out_before,
    out_steps,
    out_settled,
    out_best,
    out_totals,
):
    """The update of a dense associative memory, from the tables, one state at a time."""
    from_top, _, sweeping, max_steps = modes
    wide = rows.astype(np.int64)

    def wanted(state):
        overlaps = wide @ state
        entries = overlaps.max() - overlaps if from_top else overlaps + rows.shape[1]
        fields = pulls[entries] @ wide + state * (drags[entries] @ np.abs(wide))
        return fields, tie * (np.abs(pulls[entries]) + np.abs(drags[entries])).sum()

    for n, state in enumerate(out_states):
        blank = state == 0
        out_before[n] = 0
        if blank.any():
            out_fields[n], least = wanted(state)
            state[blank] = np.where(out_fields[n, blank] >= -least, 1, -1)
        serial, steps, settled = bool(sweeping), 0, max_steps == 0
        while not settled and steps < max_steps:
            old = state.copy()
            if serial:
                for i in order:
                    fields, least = wanted(state)
                    if not known[n, i] and fields[i] * state[i] < -least:
                        state[i] *= -1
            else:
                out_fields[n], least = wanted(state)
                state[(known[n] == 0) & (out_fields[n] * state < -least)] *= -1
                serial = np.array_equal(state, out_before[n]) and not np.array_equal(state, old)
                out_before[n] = old
            steps += 1
            settled = np.array_equal(state, old)
        out_steps[n], out_settled[n] = steps, settled
        out_overlaps[n] = wide @ state
        out_best[n] = out_overlaps[n].argmax(), out_overlaps[n].max()
        entries = out_best[n, 1] - out_overlaps[n] if from_top else out_overlaps[n] + rows.shape[1]
        out_totals[n] = values[entries].sum()


relax_dense_serial = relax_dense


def bits_of(words):
    """Words (n, n_words) as bool (n, 64 n_words)."""
    return np.unpackbits(np.ascontiguousarray(words, "<u8").view(np.uint8), axis=-1, bitorder="little").astype(bool)


def count_shared_bits(rows, cues, out_counts):
    """Bits in common."""
    out_counts[:] = bits_of(cues).astype(np.int32) @ bits_of(rows).T.astype(np.int32)


def count_differing_bits(rows, cues, masks, out_counts):
    """Bits that differ under a mask."""
    out_counts[:] = ((bits_of(rows)[None] ^ bits_of(cues)[:, None]) & bits_of(masks)[:, None]).sum(axis=2)


def link_bits(sources, targets, out_rows):
    """OR of outer products."""
    for source, target in zip(sources, targets, strict=True):
        out_rows[target != 0] |= source


def add_to_counters(distances, radius, signs, out_counters):
    """Items to the locations that they wake."""
    out_counters += (distances <= radius).T.astype(np.int32) @ signs.astype(np.int32)


def sum_counters(distances, radii, counters, out_sums, out_active):
    """Counters of the locations that a cue wakes."""
    awake = distances <= radii[:, None]
    out_sums[:] = awake.astype(np.int64) @ counters
    out_active[:] = awake.sum(axis=1)
