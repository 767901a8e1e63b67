"""The dynamics in plain NumPy, with the kernels' own arguments: fields from the full matrix, one unit or class at a time."""

import math

import numpy as np

from neuromem.random import exp64, log64, philox4x32, uniform53

BLOCK = 1024
Y_LARGEST = 24.0
EXP_LIMIT = 700.0
DIGITS = 54


def lanes(key, c0, c1, first_line, last, n):
    """The first n draws of one line of counters."""
    n_lines = -(-n // 4)
    counters = np.zeros((n_lines, 4), np.uint32)
    counters[:, 0], counters[:, 1], counters[:, 3] = c0, c1, last
    counters[:, 2] = first_line + np.arange(n_lines)
    return philox4x32(counters, key).ravel()[:n].astype(np.int64)


def flip_threshold(y, metropolis):
    """A spin flips where a 32-bit draw is below this number."""
    if y > Y_LARGEST:
        return 0
    if metropolis:
        return 2**32 if y <= 0 else int(2.0**32 * exp64(-y))
    return 2**32 if y < -Y_LARGEST else int(2.0**32 / (1 + exp64(y)))


def flips(draw, x, scale, metropolis):
    """Whether a unit with ``x = s F`` (own part left out) flips."""
    if scale == np.inf:
        return x < 0
    return int(draw) < flip_threshold(scale * x, metropolis)


def couplings(rows, weights):
    """The matrix of couplings in units of their factor, 0 on the diagonal."""
    columns = rows.astype(float)
    links = (columns * weights) @ columns.T
    np.fill_diagonal(links, 0)
    return links


def order_of_updates(order, given, n, key, c0, c1):
    """Units in the order of their updates in one sweep."""
    if order == 2:
        return given
    if order == 0:
        return lanes(key, c0, c1, 0, 2, n) * n >> 32
    sites = np.arange(n)
    for i, draw in enumerate(lanes(key, c0, c1, 0, 1, n)):
        j = i + (int(draw) * (n - i) >> 32)
        sites[[i, j]] = sites[[j, i]]
    return sites


class Records:
    """Where a chain's overlaps go."""

    def __init__(self, rows, weights, sweeps, first_reported, out_overlaps, out_squares):
        self.rows, self.weights, self.first = rows.astype(np.int64), weights, first_reported
        self.sweeps, self.n = sweeps, 0
        self.out_overlaps, self.out_squares = out_overlaps, out_squares

    def keep(self, chain, step, magnetisation, square=None):
        """Record after the sweep, if it is one to be recorded; ``magnetisation`` goes with the rows."""
        done = step + 1 - self.sweeps[2]
        if done > 0 and done % self.sweeps[3] == 0:
            place = done // self.sweeps[3] - 1
            overlaps = magnetisation.astype(np.int64) @ self.rows
            self.out_overlaps[chain, place] = overlaps[self.first :]
            self.out_squares[chain, place] = (self.weights * overlaps**2).sum() if square is None else square


def serial(links, records, scales, metropolis, order, given, key, chains, sweeps, until_stable, free, spins, out_settled, dense):
    """One unit at a time."""
    n = len(links)
    for chain, s in enumerate(spins):
        loose = free[chain % len(free)] != 0
        for step in range(sweeps[1]):
            c0 = sweeps[0] + step
            units = order_of_updates(order, given, n, key, c0, chains[chain])
            draws = lanes(key, c0, chains[chain], 0, 0, len(units))
            for i, draw in zip(units, draws, strict=True):
                if loose[i] and flips(draw, s[i] * (links[i] @ s), scales[chain], metropolis):
                    s[i] = -s[i]
            records.keep(chain, step, s, s @ (links @ s) if dense else None)
            out_settled[chain, 0] = step + 1
            if until_stable and not (loose & (s * (links @ s) < 0)).any():
                out_settled[chain, 1] = 1
                break


def parallel(links, records, scales, metropolis, key, chains, sweeps, until_stable, free, spins, out_settled, dense):
    """All units at once."""
    for chain, s in enumerate(spins):
        loose = free[chain % len(free)] != 0
        before = np.zeros(len(s), bool)
        for step in range(sweeps[1]):
            draws = lanes(key, sweeps[0] + step, chains[chain], 0, 0, len(s))
            x = s * (links @ s)
            flipped = loose & [flips(draw, y, scales[chain], metropolis) for draw, y in zip(draws, x, strict=True)]
            s[flipped] *= -1
            records.keep(chain, step, s, s @ (links @ s) if dense else None)
            out_settled[chain, 0] = step + 1
            if until_stable and (not flipped.any() or np.array_equal(flipped, before)):
                out_settled[chain, 1] = 2 if flipped.any() else 1
                break
            before = flipped


def serial_overlaps(
    rows,
    weights,
    own,
    scales,
    metropolis,
    order,
    given,
    key,
    chains,
    sweeps,
    until_stable,
    first_reported,
    free,
    spins,
    out_overlaps,
    out_squares,
    out_settled,
):
    """Fields from the full matrix."""
    records = Records(rows, weights, sweeps, first_reported, out_overlaps, out_squares)
    links = couplings(rows, weights)
    serial(links, records, scales, metropolis, order, given, key, chains, sweeps, until_stable, free, spins, out_settled, False)


def parallel_overlaps(
    rows,
    weights,
    own,
    scales,
    metropolis,
    key,
    chains,
    sweeps,
    until_stable,
    first_reported,
    free,
    spins,
    out_overlaps,
    out_squares,
    out_settled,
):
    """Fields from the full matrix."""
    records = Records(rows, weights, sweeps, first_reported, out_overlaps, out_squares)
    links = couplings(rows, weights)
    parallel(links, records, scales, metropolis, key, chains, sweeps, until_stable, free, spins, out_settled, False)


def serial_dense(
    links,
    rows,
    scales,
    metropolis,
    order,
    given,
    key,
    chains,
    sweeps,
    until_stable,
    first_reported,
    free,
    spins,
    out_overlaps,
    out_squares,
    out_settled,
):
    """Fields summed anew for every update."""
    records = Records(rows, 1.0, sweeps, first_reported, out_overlaps, out_squares)
    links = links.astype(float)
    serial(links, records, scales, metropolis, order, given, key, chains, sweeps, until_stable, free, spins, out_settled, True)


def parallel_dense(
    links,
    rows,
    scales,
    metropolis,
    key,
    chains,
    sweeps,
    until_stable,
    first_reported,
    free,
    spins,
    out_overlaps,
    out_squares,
    out_settled,
):
    """Fields summed anew in every sweep."""
    records = Records(rows, 1.0, sweeps, first_reported, out_overlaps, out_squares)
    parallel(links.astype(float), records, scales, metropolis, key, chains, sweeps, until_stable, free, spins, out_settled, True)


# ---------------------------------------------------------------- packed spins


def bit_parallel(
    values,
    weights,
    own,
    counts,
    offsets,
    free,
    scales,
    metropolis,
    key,
    chains,
    sweeps,
    first_reported,
    spins,
    out_overlaps,
    out_squares,
):
    """Lane by lane: a 54-digit number, drawn digit by digit, is compared with the chance of the spin."""
    records = Records(values.T, weights, sweeps, first_reported, out_overlaps, out_squares)
    lane_of = np.arange(64, dtype=np.uint64)
    class_of_word = np.repeat(np.arange(len(counts)), np.diff(offsets))
    for chain, words in enumerate(spins):
        loose = free[chain % len(free)][:, None] >> lane_of & np.uint64(1) != 0
        up = words[:, None] >> lane_of & np.uint64(1) != 0
        for step in range(sweeps[1] + 1):
            per_class = np.array([up[offsets[c] : offsets[c + 1]].sum() for c in range(len(counts))], np.int64)
            magnetisation = 2 * per_class - counts
            if step:
                records.keep(chain, step - 1, magnetisation)
            if step == sweeps[1]:
                break
            fields = (weights * (values @ magnetisation)) @ values
            if scales[chain] == np.inf:
                flip = np.where(up, (fields - own < 0)[class_of_word, None], (-fields - own < 0)[class_of_word, None])
            else:
                grown = exp64(np.clip(scales[chain] * np.stack([fields - own, -fields - own]), -EXP_LIMIT, EXP_LIMIT))
                chance = np.minimum(1, 1 / grown) if metropolis else 1 / (1 + grown)
                digits = (2.0**DIGITS * chance).astype(np.int64)
                threshold = np.where(up, digits[0][class_of_word, None], digits[1][class_of_word, None])
                flip = threshold > drawn_numbers(key, sweeps[0] + step, chains[chain], len(words))
            up ^= flip & loose
        words[:] = (up.astype(np.uint64) << lane_of).sum(axis=1, dtype=np.uint64)


def drawn_numbers(key, c0, c1, n_words):
    """54 random digits for each lane, the first drawn ones highest, int64 (n_words, 64)."""
    counters = np.zeros((n_words, 4), np.uint32)
    counters[:, 0], counters[:, 1], counters[:, 2] = c0, c1, np.arange(n_words)
    drawn = np.zeros((n_words, 64), np.int64)
    for call in range(DIGITS // 2):
        counters[:, 3] = call
        words = philox4x32(counters, key)
        for pair in (words[:, :2], words[:, 2:]):
            bits = pair[:, :, None] >> np.arange(32, dtype=np.uint32) & np.uint32(1)
            drawn = 2 * drawn + bits.reshape(n_words, 64)
    return drawn


# ---------------------------------------------------------------- class counts


def class_chains(
    values, weights, own, counts, scales, metropolis, key, chains, sweeps, first_reported, up, out_overlaps, out_squares
):
    """Two binomials per class and sweep."""
    records = Records(values.T, weights, sweeps, first_reported, out_overlaps, out_squares)
    n_classes = len(counts)
    for chain, mine in enumerate(up):
        for step in range(sweeps[1]):
            fields = (weights * (values @ (2 * mine - counts))) @ values
            moved = np.zeros((2, n_classes), np.int64)
            for side, (x, n) in enumerate(((fields - own, mine), (-fields - own, counts - mine))):
                for c in range(n_classes):
                    if scales[chain] == np.inf:
                        moved[side, c] = n[c] if x[c] < 0 else 0
                        continue
                    grown = float(exp64(np.clip(scales[chain] * x[c], -EXP_LIMIT, EXP_LIMIT)))
                    p = min(1.0, 1 / grown) if metropolis else 1 / (1 + grown)
                    rest = 1 - p if metropolis else grown * p
                    counter = [sweeps[0] + step, chains[chain], side * n_classes + c, 0]
                    moved[side, c] = binomial(int(n[c]), p, rest, counter, key)
            mine += moved[1] - moved[0]
            records.keep(chain, step, 2 * mine - counts)


def class_serial(
    values,
    weights,
    own,
    counts,
    n_units,
    scales,
    metropolis,
    permuted,
    key,
    chains,
    sweeps,
    first_reported,
    up,
    out_overlaps,
    out_squares,
):
    """A unit is a place in the list of all units, those of a class together, the +1 ones first."""
    records = Records(values.T, weights, sweeps, first_reported, out_overlaps, out_squares)
    n_idle = n_units - int(counts.sum())
    for chain, mine in enumerate(up):
        for step in range(sweeps[1]):
            left = [(c, s) for c in range(len(counts)) for s in [True] * mine[c] + [False] * (counts[c] - mine[c])]
            left += [(-1, True)] * n_idle
            counters = np.zeros((n_units, 4), np.uint32)
            counters[:, 0], counters[:, 1], counters[:, 2] = sweeps[0] + step, chains[chain], np.arange(n_units)
            for draw in philox4x32(counters, key):
                place = int(uniform53(draw[0], draw[1]) * float(len(left)))
                c, is_up = left[place]
                if permuted:
                    del left[place]
                if c < 0:
                    continue
                field = (weights * (values @ (2 * mine - counts))) @ values[:, c]
                if flips(draw[2], (field if is_up else -field) - own[c], scales[chain], metropolis):
                    mine[c] += -1 if is_up else 1
                    if not permuted:
                        first = int(counts[:c].sum())
                        left[first : first + counts[c]] = [(c, j < mine[c]) for j in range(counts[c])]
            records.keep(chain, step, 2 * mine - counts)


def log_of_rest(p, q):
    """log(1 - p), q being 1 - p rounded."""
    return float(log64(q)) - ((q - 1.0) + p) / q


def stirling_error(n):
    """log(n!) less Stirling's main term."""
    if n < 16:
        return math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - 0.9189385332046727
    nn = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / nn) / nn) / nn) / nn) / n


def deviance(x, mean):
    """x log(x / mean) + mean - x."""
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * float(log64(x / mean)) + mean - x
    v = (x - mean) / (x + mean)
    total, term, j = (x - mean) * v, 2.0 * x * v, 1.0
    while True:
        term *= v * v
        if total + term / (2.0 * j + 1.0) == total:
            return total
        total += term / (2.0 * j + 1.0)
        j += 1.0


def log_chance(k, n, p, q):
    """Log of the binomial probability of k in n."""
    if k == 0:
        return n * log_of_rest(p, q)
    if k == n:
        return n * float(log64(p))
    errors = stirling_error(n) - stirling_error(k) - stirling_error(n - k)
    errors = errors - deviance(k, n * p) - deviance(n - k, n * q)
    return errors + 0.5 * float(log64(n / (k * (n - k)))) - 0.9189385332046727


def binomial(n, p, q, counter, key):
    """How many of n flip: inversion where n min(p, q) < 10, else transformed rejection (Hormann 1993)."""
    if n == 0 or p <= 0:
        return 0
    if q <= 0:
        return n
    if p > 0.5:
        return n - binomial(n, q, p, counter, key)

    def uniforms(attempt):
        d = philox4x32([[*counter[:3], attempt]], key)[0]
        return float(uniform53(d[0], d[1])), float(uniform53(d[2], d[3]))

    trials, mean = float(n), float(n) * p
    u, v = uniforms(0)
    if mean < 10:
        chance, x = float(exp64(trials * log_of_rest(p, q))), 0.0
        while u >= chance and x < trials:
            u -= chance
            x += 1.0
            chance *= (trials + 1.0) * (p / q) / x - p / q
            if chance < 1e-30:
                break
        return int(x)
    spread = math.sqrt(mean * q)
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    attempt = 0
    while True:
        offset = u - 0.5
        us = 0.5 - abs(offset)
        k = math.floor((2.0 * a / us + b) * offset + (mean + 0.5)) if us > 0 else -1
        if us >= 0.07 and v <= 0.92 - 4.2 / b:
            return k
        if 0 <= k <= n and v > 0:
            height = float(log64(v * ((2.83 + 5.1 / b) * spread) / (a / (us * us) + b)))
            mode = float(math.floor((trials + 1.0) * p))
            if height <= log_chance(float(k), trials, p, q) - log_chance(mode, trials, p, q):
                return k
        attempt += 1
        u, v = uniforms(attempt)
