"""Many forgetting curves of two or three parameters at once, by scoring.

A curve is R(x) = c + (a - c) e(b x), with e(z) = exp(-z) or 1 / (1 + z), x a function of time, and c 0 or fitted; what is seen
is p = floor + scale R, from counts (binomial) or values (least squares).  Steps are Newton's, without second derivatives of R
where these would make a valley of the hill; the weight of a count is k / p^2 + (n - k) / (1 - p)^2, for errors its expectation
n / (p (1 - p)).
"""

import math

import numpy as np

from neuromem.jit import jit, prange

CLIP = 1e-9  # a probability is kept this far from 0 and 1
CLOSE = 1e-13  # square of the distance from the top, in standard errors, at which a fit is done
NEARLY = 0.3  # of what is left of the sum of squares, more that a second peak may leave
STEP_CLOSE = 1e-13  # or the largest relative step
FLATTEST = 0.1  # share of the hill without second derivatives of R
LEAST_EXPECTED = 0.03  # successes for each that was seen, where a fit begins
FAST_STEPS = 14
ENOUGH = 1e-10  # the same, where steps have run out
SAFE_STEPS = 200
MOST_DAMPING = 1e12
BLOCK = 64  # curves that share a line of scratch


@jit
def totals(x, y, n, gaussian, hyperbola, with_c, with_loss, expected, a, b, c, floor, scale):
    """Score (3), information (upper triangle, 6) and loss of one curve at (a, b, c); what second derivatives of R add (2)."""
    s0, s1, s2 = 0.0, 0.0, 0.0
    f00, f01, f02, f11, f12, f22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    loss, h01, h11 = 0.0, 0.0, 0.0
    for i in range(x.shape[0]):
        if hyperbola:
            e = 1.0 / (1.0 + b * x[i])
            slope = -x[i] * e * e
            bend = -2.0 * x[i] * e * slope
        else:
            e = math.exp(-b * x[i])
            slope = -x[i] * e
            bend = -x[i] * slope
        left = c + (a - c) * e
        j0, j1, j2 = scale * e, scale * (a - c) * slope, scale * (1.0 - e)
        if gaussian:
            p = floor + scale * left
            w = n[i]
            pull = w * (y[i] - p)
            loss += 0.5 * pull * (y[i] - p)
        else:
            if left < 0.0 or left > 1.0:
                left = min(max(left, 0.0), 1.0)
                j0, j1, j2, slope, bend = 0.0, 0.0, 0.0, 0.0, 0.0
            p = floor + scale * left
            if p < CLIP:  # where the loss is level, so is the slope; above, a at its bound of 1 shall stay there
                p = CLIP
                j0, j1, j2, slope, bend = 0.0, 0.0, 0.0, 0.0, 0.0
            p = min(p, 1.0 - CLIP)
            inverse = 1.0 / (p * (1.0 - p))
            up, down = y[i] * (1.0 - p) * inverse, (n[i] - y[i]) * p * inverse
            pull = up - down
            w = n[i] * inverse if expected else (up * (1.0 - p) + down * p) * inverse
            if with_loss:
                loss -= y[i] * math.log(p) + (n[i] - y[i]) * math.log1p(-p)
        s0 += pull * j0
        s1 += pull * j1
        h01 += pull * slope
        h11 += pull * bend
        w0, w1 = w * j0, w * j1
        f00 += w0 * j0
        f01 += w0 * j1
        f11 += w1 * j1
        if with_c:
            s2 += pull * j2
            f02 += w0 * j2
            f12 += w1 * j2
            f22 += w * j2 * j2
    return s0, s1, s2, f00, f01, f02, f11, f12, f22, loss, scale * h01, scale * (a - c) * h11


@jit
def bent(f00, f01, f02, f11, f12, f22, h01, h11, with_c):
    """Elements 01, 11 and 12 of the information with second derivatives of R, where it stays a hill; else as they are."""
    n01, n11, n12 = f01 - h01, f11 - h11, f12 + h01
    if f00 <= 0.0:
        return f01, f11, f12
    # the hill may be no flatter than a tenth of the one without
    p11 = n11 - n01 * n01 / f00
    if p11 <= FLATTEST * (f11 - f01 * f01 / f00):
        return f01, f11, f12
    if with_c:
        p12, g12 = n12 - n01 * f02 / f00, f12 - f01 * f02 / f00
        g11, p22 = max(f11 - f01 * f01 / f00, 1e-14 * f11), f22 - f02 * f02 / f00
        if p22 - p12 * p12 / p11 <= FLATTEST * (p22 - g12 * g12 / g11):
            return f01, f11, f12
    return n01, n11, n12


@jit
def solve(s0, s1, s2, f00, f01, f02, f11, f12, f22, damping, free0, free1, free2):
    """Step of Levenberg and Marquardt: information with its diagonal raised by ``damping``; 0 where not free."""
    if not free0 or f00 <= 0.0:
        f00, f01, f02, s0 = 1.0, 0.0, 0.0, 0.0
    if not free1 or f11 <= 0.0:
        f11, f01, f12, s1 = 1.0, 0.0, 0.0, 0.0
    if not free2 or f22 <= 0.0:
        f22, f02, f12, s2 = 1.0, 0.0, 0.0, 0.0
    raised = 1.0 + damping
    l00 = f00 * raised
    l10, l20 = f01 / l00, f02 / l00
    l11 = max(f11 * raised - l10 * f01, 1e-14 * f11)
    l21 = (f12 - l20 * f01) / l11
    l22 = max(f22 * raised - l20 * f02 - l21 * (f12 - l20 * f01), 1e-14 * f22)
    t1 = s1 - l10 * s0
    t2 = s2 - l20 * s0 - l21 * t1
    d2 = t2 / l22
    d1 = t1 / l11 - l21 * d2
    d0 = s0 / l00 - l10 * d1 - l20 * d2
    return d0, d1, d2


@jit
def fit_fast(x, y, n, gaussian, hyperbola, with_c, floor, scale, low, high, a, b, c):
    """Plain scoring: a few steps, and no look at the loss; parameters and whether they are at the top, within the bounds."""
    for _ in range(FAST_STEPS):
        s0, s1, s2, f00, f01, f02, f11, f12, f22, loss, h01, h11 = totals(
            x, y, n, gaussian, hyperbola, with_c, False, False, a, b, c, floor, scale
        )
        f01, f11, f12 = bent(f00, f01, f02, f11, f12, f22, h01, h11, with_c)
        d0, d1, d2 = solve(s0, s1, s2, f00, f01, f02, f11, f12, f22, 0.0, True, True, with_c)
        gain = s0 * d0 + s1 * d1 + s2 * d2
        d1 = min(max(d1, -0.8 * b), 2.0 * b)
        a, b, c = a + d0, b + d1, c + d2
        inside = low[0] < a < high[0] and low[1] < b < high[1] and (not with_c or low[2] < c < min(high[2], a))
        if not inside:
            return a, b, c, False
        size = x.shape[0] * CLOSE if not gaussian else loss * CLOSE
        if gain <= max(size, 1e-300) or (abs(d0) <= STEP_CLOSE * a and abs(d1) <= STEP_CLOSE * b):
            return a, b, c, True
    return a, b, c, False


@jit
def fit_safe(x, y, n, gaussian, hyperbola, with_c, floor, scale, low, high, a, b, c):
    """Damped scoring that never goes down, within bounds; parameters, loss and whether they have settled."""
    a = min(max(a, low[0]), high[0])
    b = min(max(b, low[1]), high[1])
    c = min(max(c, low[2]), min(high[2], a)) if with_c else 0.0
    damping, gain = 1e-3, np.inf
    s0, s1, s2, f00, f01, f02, f11, f12, f22, loss, h01, h11 = totals(
        x, y, n, gaussian, hyperbola, with_c, True, False, a, b, c, floor, scale
    )
    f01, f11, f12 = bent(f00, f01, f02, f11, f12, f22, h01, h11, with_c)
    for _ in range(SAFE_STEPS):
        free0 = not ((a <= low[0] and s0 < 0.0) or (a >= high[0] and s0 > 0.0))
        free1 = not ((b <= low[1] and s1 < 0.0) or (b >= high[1] and s1 > 0.0))
        free2 = with_c and not ((c <= low[2] and s2 < 0.0) or (c >= min(high[2], a) and s2 > 0.0))
        d0, d1, d2 = solve(s0, s1, s2, f00, f01, f02, f11, f12, f22, damping, free0, free1, free2)
        gain = abs(s0 * d0) + abs(s1 * d1) + abs(s2 * d2)
        new_a = min(max(a + d0, low[0]), high[0])
        new_b = min(max(b + min(max(d1, -0.9 * b), 4.0 * b + 0.01 * (high[1] - b)), low[1]), high[1])
        if b < 1e-3 * high[1] and b + d1 < low[1]:
            new_b = low[1]
        new_c = min(max(c + d2, low[2]), min(high[2], new_a)) if with_c else 0.0
        t0, t1, t2, g00, g01, g02, g11, g12, g22, new_loss, h01, h11 = totals(
            x, y, n, gaussian, hyperbola, with_c, True, False, new_a, new_b, new_c, floor, scale
        )
        if new_loss <= loss + 1e-14 * abs(loss):
            close = abs(new_a - a) <= STEP_CLOSE * a and abs(new_b - b) <= STEP_CLOSE * b and abs(new_c - c) <= STEP_CLOSE
            size = x.shape[0] * CLOSE if not gaussian else new_loss * CLOSE
            a, b, c, loss = new_a, new_b, new_c, new_loss
            s0, s1, s2, f00, f02, f22 = t0, t1, t2, g00, g02, g22
            f01, f11, f12 = bent(g00, g01, g02, g11, g12, g22, h01, h11, with_c)
            damping = max(0.2 * damping, 1e-12)
            if close or gain <= max(size, 1e-300):
                return a, b, c, loss, True
        else:
            damping *= 8.0
            if damping > MOST_DAMPING:
                return a, b, c, loss, True
    size = 1.0 if not gaussian else loss
    return a, b, c, loss, gain <= size * ENOUGH


@jit
def table_falls(y, n, gaussian, with_c, floor, scale, table, out_falls, out_starts):
    """What each rate of a table takes away of the sum of squares at its best a and c, and these (S, 2); that sum."""
    n_points, n_rates = table.shape
    out_falls[:] = 0.0
    total, squares = 0.0, 0.0
    for i in range(n_points):
        share = y[i] if gaussian else y[i] / n[i]
        share = (share - floor) / scale
        total += share
        squares += share * share
        for j in range(n_rates):
            out_falls[j] += share * table[i, j]
    for j in range(n_rates):
        e, ee = 0.0, 0.0
        for i in range(n_points):
            e += table[i, j]
            ee += table[i, j] * table[i, j]
        product = out_falls[j]
        if with_c:
            spread = ee - e * e / n_points
            slope = (product - total * e / n_points) / max(spread, 1e-300)
            c = (total - slope * e) / n_points
            a = c + slope
            out_falls[j] = slope * slope * spread if slope > 0.0 and c > 0.0 else 0.0
        else:
            a, c = product / ee, 0.0
            out_falls[j] = a * product if a > 0.0 else 0.0
        out_starts[j, 0], out_starts[j, 1] = a, c
    return squares - total * total / n_points if with_c else squares


@jit
def fit_one(x, y, n, gaussian, hyperbola, with_c, floor, scale, low, high, rates, table, squares, falls, starts):
    """Fit from every peak of the table that is nearly as good as the best, and keep the best: most often there is one."""
    n_rates = rates.shape[0]
    best_a, best_b, best_c, best_loss, best_settled = low[0], low[1], low[2], np.inf, False
    width = high[0] - low[0]
    highest = 0.0
    for j in range(n_rates):
        highest = max(highest, falls[j])
    least = highest - NEARLY * max(squares - highest, 0.0)
    n_peaks = 0
    for j in range(n_rates):
        n_peaks += is_peak(falls, j, least)
    for peak in range(n_rates):
        if not is_peak(falls, peak, least):
            continue
        j = peak
        if not gaussian:
            j = possible(y, n, with_c, floor, scale, table, starts, peak)
        first_a = min(max(starts[j, 0], low[0] + 1e-3 * width), low[0] + 0.98 * width)
        first_c = min(max(starts[j, 1], 0.01 * first_a), 0.9 * first_a) if with_c else 0.0
        a, b, c, settled = fit_fast(x, y, n, gaussian, hyperbola, with_c, floor, scale, low, high, first_a, rates[j], first_c)
        if settled and n_peaks == 1:
            return a, b, c, True
        if settled:
            loss = totals(x, y, n, gaussian, hyperbola, with_c, True, False, a, b, c, floor, scale)[9]
        else:
            a, b, c, loss, settled = fit_safe(
                x, y, n, gaussian, hyperbola, with_c, floor, scale, low, high, first_a, rates[j], first_c
            )
        if loss < best_loss:
            best_a, best_b, best_c, best_loss, best_settled = a, b, c, loss, settled
    return best_a, best_b, best_c, best_settled


@jit
def possible(y, n, with_c, floor, scale, table, starts, peak):
    """The rate of the table, from a peak on down, at which nothing was seen that has next to no chance.

    Squares do not mind a few successes where none are expected, the likelihood minds nothing as much; and from where it is cut
    off there is no way to its top.
    """
    for j in range(peak, 0, -1):
        a = starts[j, 0]
        c = starts[j, 1] if with_c else 0.0
        fits = True
        for i in range(table.shape[0]):
            fits = fits and n[i] * (floor + scale * (c + (a - c) * table[i, j])) >= LEAST_EXPECTED * y[i]
        if fits:
            return j
    return 0


@jit
def is_peak(falls, j, least):
    """Whether a rate takes more away than those beside it and no less than ``least``; of equals the last."""
    return falls[j] >= least and (j == 0 or falls[j] >= falls[j - 1]) and (j + 1 == falls.shape[0] or falls[j] > falls[j + 1])


@jit(parallel=True)
def fit_curves(
    x,
    successes,
    trials,
    gaussian,
    hyperbola,
    with_c,
    floor,
    scale,
    low,
    high,
    rates,
    table,
    out_parameters,
    out_errors,
    out_settled,
):
    """Fit every row.

    Parameters
    ----------
    x : float64 (T,)
        The function of time that the rate multiplies.
    successes, trials : float64 (m, T)
        Counts; values and weights where ``gaussian``.
    gaussian, hyperbola, with_c : bool
        Least squares; e(z) = 1 / (1 + z) instead of exp(-z); whether c is fitted.
    floor, scale : float
    low, high : float64 (3,)
        Bounds of a, b and c.
    rates : float64 (S,)
        Where fits begin.
    table : float64 (T, S)
        e(rate x).
    out_parameters : float64 (m, 3)
        a, b, c.
    out_errors : float64 (m, 3)
        Standard errors (least squares: for a variance of 1); NaN at a bound.
    out_settled : uint8 (m,)
    """
    n_curves, n_rates = successes.shape[0], rates.shape[0]
    n_blocks = (n_curves + BLOCK - 1) // BLOCK
    falls = np.empty((n_blocks, n_rates))
    starts = np.empty((n_blocks, n_rates, 2))
    for block in prange(n_blocks):
        for row in range(block * BLOCK, min((block + 1) * BLOCK, n_curves)):
            y, n = successes[row], trials[row]
            squares = table_falls(y, n, gaussian, with_c, floor, scale, table, falls[block], starts[block])
            a, b, c, settled = fit_one(
                x, y, n, gaussian, hyperbola, with_c, floor, scale, low, high, rates, table, squares, falls[block], starts[block]
            )
            out_settled[row] = settled
            out_parameters[row, 0], out_parameters[row, 1], out_parameters[row, 2] = a, b, c
            write_errors(x, y, n, gaussian, hyperbola, with_c, floor, scale, low, high, a, b, c, out_errors[row])


@jit
def write_errors(x, y, n, gaussian, hyperbola, with_c, floor, scale, low, high, a, b, c, out_errors):
    """Roots of the diagonal of the inverse information of the parameters off their bounds."""
    _, _, _, f00, f01, f02, f11, f12, f22, _, _, _ = totals(
        x, y, n, gaussian, hyperbola, with_c, False, True, a, b, c, floor, scale
    )
    free0, free1 = low[0] < a < high[0], low[1] < b < high[1]
    free2 = with_c and low[2] < c < high[2]
    e0, _, _ = solve(1.0, 0.0, 0.0, f00, f01, f02, f11, f12, f22, 0.0, free0, free1, free2)
    _, e1, _ = solve(0.0, 1.0, 0.0, f00, f01, f02, f11, f12, f22, 0.0, free0, free1, free2)
    _, _, e2 = solve(0.0, 0.0, 1.0, f00, f01, f02, f11, f12, f22, 0.0, free0, free1, free2)
    out_errors[0] = math.sqrt(e0) if free0 and e0 > 0.0 else np.nan
    out_errors[1] = math.sqrt(e1) if free1 and e1 > 0.0 else np.nan
    out_errors[2] = math.sqrt(e2) if free2 and e2 > 0.0 else np.nan
