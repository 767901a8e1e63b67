"""The classic associative memories: field sweeps, dense updates, and counts over bits.

Every function is a loop over independent rows, so that results do not depend on the number of threads.  Those whose names end
in ``_serial`` do the same on one thread, for problems too small to be worth starting others.
"""

import numpy as np

from neuromem.jit import jit, popcount64, prange

# ---------------------------------------------------------------- Hopfield networks


@jit
def relax_state(couplings, known, order, max_sweeps, state, fields):
    """One state for ``relax_fields``; returns the sweeps made and whether the last of them changed nothing."""
    n_units = couplings.shape[0]
    for i in range(n_units):
        fields[i] = 0
    some_open = False
    for j in range(n_units):
        spin = state[j]
        if spin == 0:
            some_open = True
        else:
            row = couplings[j]
            for i in range(n_units):
                fields[i] += row[i] * spin
    if some_open:  # blank units take the sign of the field of the given ones, 0 counting as up
        for j in range(n_units):
            if state[j] == 0:
                state[j] = 2 if fields[j] >= 0 else -2  # marked, until all are chosen
        for j in range(n_units):
            if state[j] == 2 or state[j] == -2:
                state[j] //= 2
                row = couplings[j]
                spin = state[j]
                for i in range(n_units):
                    fields[i] += row[i] * spin
    for sweep in range(max_sweeps):
        changed = False
        for step in range(n_units):
            i = order[step]
            if known[i] == 0 and fields[i] * state[i] < 0:
                state[i] = -state[i]
                changed = True
                row = couplings[i]
                change = 2 * state[i]
                for j in range(n_units):
                    fields[j] += row[j] * change
        if not changed:
            return sweep + 1, True
    return max_sweeps, False


@jit(parallel=True)
def relax_fields(couplings, known, order, max_sweeps, out_states, out_fields, out_sweeps, out_settled):
    """Serial sweeps at zero temperature with cached fields, each state by itself; a field of 0 keeps the spin.

    Parameters
    ----------
    couplings : int32 or float (N, N), symmetric
    known : uint8 (n, N)
        Not 0 where the unit is held.
    order : int32 (N,)
        The units in the order of a sweep.
    max_sweeps : int
    out_states : int8 (n, N)
        In: the starts, 0 where a unit is blank.  Out: the states reached.
    out_fields : int64 or float64 (n, N)
    out_sweeps : int64 (n,)
    out_settled : bool (n,)
        Whether the last sweep changed nothing.
    """
    for n in prange(out_states.shape[0]):
        sweeps, settled = relax_state(couplings, known[n], order, max_sweeps, out_states[n], out_fields[n])
        out_sweeps[n] = sweeps
        out_settled[n] = settled


@jit
def relax_fields_serial(couplings, known, order, max_sweeps, out_states, out_fields, out_sweeps, out_settled):
    """``relax_fields`` on one thread."""
    for n in range(out_states.shape[0]):
        sweeps, settled = relax_state(couplings, known[n], order, max_sweeps, out_states[n], out_fields[n])
        out_sweeps[n] = sweeps
        out_settled[n] = settled


@jit
def learn_storkey(patterns, out_couplings):
    """Storkey's rule, pattern after pattern, into float64 couplings (N, N) with a zero diagonal.

    Parameters
    ----------
    patterns : int8 (n, N) of -1 and 1
    out_couplings : float64 (N, N)
    """
    n_units = patterns.shape[1]
    fields = np.empty(n_units, np.float64)
    for n in range(patterns.shape[0]):
        x = patterns[n]
        for i in range(n_units):
            fields[i] = 0.0
        for j in range(n_units):
            row = out_couplings[j]
            spin = float(x[j])
            for i in range(n_units):
                fields[i] += row[i] * spin
        for i in range(n_units):
            row = out_couplings[i]
            spin = float(x[i])
            field = fields[i]
            for j in range(n_units):
                # h'_ij = h_i - w_ij x_j leaves out the unit j; w_ii = 0 leaves out the unit i; the same bits for ij and ji
                row[j] += (spin * x[j] - (spin * fields[j] + field * x[j]) + 2.0 * row[j]) / n_units
            row[i] = 0.0


# ---------------------------------------------------------------- dense associative memory


@jit
def entry_of(overlap, top, from_top, n_units):
    """Where an overlap stands in the tables: by itself, or by its distance from the largest."""
    return top - overlap if from_top else overlap + n_units


@jit
def overlaps_of(rows, state, overlaps):
    """Overlaps of a state with every row; returns the largest."""
    n_units = rows.shape[1]
    top = -n_units
    for k in range(rows.shape[0]):
        row = rows[k]
        total = np.int32(0)
        for i in range(n_units):
            total += np.int32(row[i] * state[i])
        overlaps[k] = total
        top = max(top, total)
    return top


@jit
def dense_step(rows, pulls, drags, from_top, blanks, state, overlaps, fields):
    """What each unit is drawn to, into ``fields``: by its sign, 0 to stay.  Returns the most that a field could be."""
    n_units = rows.shape[1]
    top = overlaps_of(rows, state, overlaps)
    for i in range(n_units):
        fields[i] = 0.0
    total_drag = 0.0
    most = 0.0
    for k in range(rows.shape[0]):
        entry = entry_of(overlaps[k], top, from_top, n_units)
        pull = pulls[entry]
        drag = drags[entry]
        most += abs(pull) + abs(drag)
        row = rows[k]
        if pull != 0.0:
            for i in range(n_units):
                fields[i] += pull * row[i]
        if blanks and drag != 0.0:  # a unit that the row leaves blank makes no difference to its overlap
            for i in range(n_units):
                fields[i] += drag * (row[i] * row[i] * state[i])
        elif not blanks:
            total_drag += drag
    if total_drag != 0.0:
        for i in range(n_units):
            fields[i] += total_drag * state[i]
    return most


@jit
def dense_sweep(rows, known, pulls, drags, from_top, tie, order, state, overlaps):
    """One serial sweep with cached overlaps; returns whether a unit changed."""
    n_rows, n_units = rows.shape
    overlaps_of(rows, state, overlaps)
    changed = False
    for step in range(n_units):
        i = order[step]
        if known[i] != 0:
            continue
        top = overlaps[0]
        for k in range(1, n_rows):
            top = max(top, overlaps[k])
        wanted = 0.0
        most = 0.0
        spin = state[i]
        for k in range(n_rows):
            x = rows[k, i]
            entry = entry_of(overlaps[k], top, from_top, n_units)
            most += abs(pulls[entry]) + abs(drags[entry])
            if x != 0:
                wanted += pulls[entry] * x + drags[entry] * spin
        if wanted * spin < -tie * most:
            state[i] = -spin
            changed = True
            for k in range(n_rows):
                overlaps[k] -= 2 * spin * rows[k, i]
    return changed


@jit
def relax_dense_state(rows, known, values, pulls, drags, modes, tie, order, state, overlaps, fields, before):
    """One state for ``relax_dense``; returns steps made, whether it settled, the nearest row, its overlap, and the sum."""
    n_rows, n_units = rows.shape
    from_top = modes[0] != 0
    blanks = modes[1] != 0
    serial = modes[2] != 0
    max_steps = modes[3]
    some_open = False
    for i in range(n_units):
        some_open |= state[i] == 0
        before[i] = 0
    if some_open:  # blank units take the sign that the given ones call for, 0 counting as up
        most = dense_step(rows, pulls, drags, from_top, blanks, state, overlaps, fields)
        for i in range(n_units):
            if state[i] == 0:
                state[i] = 1 if fields[i] >= -tie * most else -1
    settled = max_steps == 0
    steps = 0
    while not settled and not serial and steps < max_steps:
        most = dense_step(rows, pulls, drags, from_top, blanks, state, overlaps, fields)
        steps += 1
        settled = True
        returns = True
        for i in range(n_units):
            old = state[i]
            new = old
            if known[i] == 0 and fields[i] * old < -tie * most:
                new = -old
                settled = False
            returns &= new == before[i]
            before[i] = old
            state[i] = new
        serial = returns and not settled
    while not settled and serial and steps < max_steps:
        steps += 1
        settled = not dense_sweep(rows, known, pulls, drags, from_top, tie, order, state, overlaps)
    top = overlaps_of(rows, state, overlaps)
    best = 0
    while overlaps[best] != top:
        best += 1
    total = 0.0
    for k in range(n_rows):
        total += values[entry_of(overlaps[k], top, from_top, n_units)]
    return steps, settled, best, top, total


@jit(parallel=True)
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
    """Dense associative memory: parallel steps by two products, or serial sweeps, each state by itself.

    A unit takes the sign of ``sum_k A(o_k) x_ki + s_i B(o_k) |x_ki|``, where A and B are half the sum and half the difference
    of ``F(o) - F(o - 2)`` and ``F(o + 2) - F(o)``; 0 keeps it.  Parallel steps that come back to the state before last go on
    as serial sweeps, which never raise the energy.

    Parameters
    ----------
    rows : int8 (K, N) of -1, 0 and 1
    known : uint8 (n, N)
        Not 0 where the unit is held.
    values, pulls, drags : float64 (2 N + 1,)
        F, A and B by overlap + N, or by the distance from the largest overlap.
    modes : int64 (4,)
        Whether tables go by distance; whether rows have zeros; whether to sweep from the start; most steps.
    tie : float
        What counts as 0, as a share of the sum of all |A| and |B|; 0 where tables are whole numbers.
    order : int32 (N,)
    out_states : int8 (n, N)
        In: the starts, 0 where a unit is blank.  Out: the states reached.
    out_overlaps : int32 (n, K)
        Overlaps of the states reached.
    out_fields : float64 (n, N); out_before : int8 (n, N)
        Work space.
    out_steps : int64 (n,); out_settled : bool (n,)
    out_best : int64 (n, 2)
        The row of the largest overlap, and that overlap.
    out_totals : float64 (n,)
        Sum of F by the table.
    """
    for n in prange(out_states.shape[0]):
        steps, settled, best, top, total = relax_dense_state(
            rows,
            known[n],
            values,
            pulls,
            drags,
            modes,
            tie,
            order,
            out_states[n],
            out_overlaps[n],
            out_fields[n],
            out_before[n],
        )
        out_steps[n] = steps
        out_settled[n] = settled
        out_best[n, 0] = best
        out_best[n, 1] = top
        out_totals[n] = total


@jit
def relax_dense_serial(
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
    """``relax_dense`` on one thread."""
    for n in range(out_states.shape[0]):
        steps, settled, best, top, total = relax_dense_state(
            rows,
            known[n],
            values,
            pulls,
            drags,
            modes,
            tie,
            order,
            out_states[n],
            out_overlaps[n],
            out_fields[n],
            out_before[n],
        )
        out_steps[n] = steps
        out_settled[n] = settled
        out_best[n, 0] = best
        out_best[n, 1] = top
        out_totals[n] = total


# ---------------------------------------------------------------- bits: Willshaw and sparse distributed memory


@jit(parallel=True)
def count_shared_bits(rows, cues, out_counts):
    """Bits that every row has in common with every cue.

    Parameters
    ----------
    rows : uint64 (M, n_words)
    cues : uint64 (n, n_words)
    out_counts : int32 (n, M)
    """
    for n in prange(cues.shape[0]):
        for m in range(rows.shape[0]):
            total = 0
            for w in range(rows.shape[1]):
                total += np.int64(popcount64(rows[m, w] & cues[n, w]))
            out_counts[n, m] = total


@jit(parallel=True)
def count_differing_bits(rows, cues, masks, out_counts):
    """Bits in which every row differs from every cue, of those that the cue's mask has.

    Parameters
    ----------
    rows : uint64 (M, n_words)
    cues, masks : uint64 (n, n_words)
    out_counts : int32 (n, M)
    """
    for n in prange(cues.shape[0]):
        for m in range(rows.shape[0]):
            total = 0
            for w in range(rows.shape[1]):
                total += np.int64(popcount64((rows[m, w] ^ cues[n, w]) & masks[n, w]))
            out_counts[n, m] = total


@jit
def link_bits(sources, targets, out_rows):
    """Clipped Hebbian learning: the row of every active target unit gains the bits of the source.

    Parameters
    ----------
    sources : uint64 (n, n_words)
    targets : uint8 (n, M)
    out_rows : uint64 (M, n_words)
    """
    for n in range(sources.shape[0]):
        for m in range(targets.shape[1]):
            if targets[n, m] != 0:
                for w in range(sources.shape[1]):
                    out_rows[m, w] |= sources[n, w]


@jit(parallel=True)
def add_to_counters(distances, radius, signs, out_counters):
    """Every item adds its signs to the counters of the locations within a radius.

    Parameters
    ----------
    distances : int32 (n, L)
    radius : int
    signs : int8 (n, d) of -1 and 1
    out_counters : int32 (L, d)
    """
    for location in prange(out_counters.shape[0]):
        counters = out_counters[location]
        for n in range(signs.shape[0]):
            if distances[n, location] <= radius:
                for j in range(signs.shape[1]):
                    counters[j] += signs[n, j]


@jit(parallel=True)
def sum_counters(distances, radii, counters, out_sums, out_active):
    """Counters of the locations within each cue's radius, added up.

    Parameters
    ----------
    distances : int32 (n, L)
    radii : int64 (n,)
    counters : int32 (L, d)
    out_sums : int64 (n, d)
    out_active : int64 (n,)
        Locations within the radius.
    """
    for n in prange(distances.shape[0]):
        sums = out_sums[n]
        active = 0
        for j in range(counters.shape[1]):
            sums[j] = 0
        for location in range(counters.shape[0]):
            if distances[n, location] <= radii[n]:
                active += 1
                for j in range(counters.shape[1]):
                    sums[j] += counters[location, j]
        out_active[n] = active
