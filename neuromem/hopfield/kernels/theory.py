"""Self-consistency equations of multitasking Hebbian networks: sums over rows.

Rows are folded and carry the root of the coupling scale, so that with n the overlaps with the data times that root

    F(n) = sum_r w_r V_r tanh(beta V_r . n),   A(n) = dF/dn = beta sum_r w_r V_r V_r^T (1 - tanh^2(beta V_r . n)).

With noise (Gaussian data) a value is V (1 + sqrt(rho) z), and both sums hold the mean over z.
"""

import math

import numpy as np

from neuromem.jit import jit

TIE = 1e-14  # a field at zero temperature that is smaller is none: what is left of a sum that cancels
STEEP = 1e100  # slope of the step function at a tie; its square is still a number

# Quadratures over the noise: the trapezoid rule in z, and Gauss-Legendre in the field's distance from the step.
Z_NODES = np.linspace(-8.6, 8.6, 65)
Z_WEIGHTS = np.exp(-(Z_NODES**2) / 2) / np.exp(-(Z_NODES**2) / 2).sum()
LEGENDRE_NODES, LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(64)
U_NODES = 10.0 * (LEGENDRE_NODES + 1.0)
U_WEIGHTS = 10.0 * LEGENDRE_WEIGHTS
U_TANH_MINUS_1 = -2.0 / (1.0 + np.exp(2.0 * U_NODES))
U_SLOPE = 1.0 / np.cosh(U_NODES) ** 2
U_LOG = np.log1p(np.exp(-2.0 * U_NODES))
ROOT_2PI = 2.5066282746310002
ROOT_2 = 1.4142135623730951


@jit
def log_two_cosh(x):
    """log(2 cosh x) without overflow."""
    x = abs(x)
    return x + math.log1p(math.exp(-2.0 * x))


@jit
def normal_density(z):
    """Density of the standard normal law."""
    return math.exp(-0.5 * z * z) / ROOT_2PI


@jit
def noisy_step(a, s, beta):
    """Means over a normal z of t and of (1, z, z^2) times the slope, t = tanh(beta (a + s z)), slope = beta (1 - t^2).

    Where the step of tanh is wide against the noise the integrand is smooth in z.  Where it is narrow, what differs from a
    sharp step is smooth in u = beta (a + s z); at infinite beta nothing is left of it but equation (3): never Gauss-Hermite.
    """
    if s == 0.0:
        if beta == np.inf:
            if abs(a) <= TIE:
                return 0.0, STEEP, 0.0, STEEP
            return math.copysign(1.0, a), 0.0, 0.0, 0.0
        t = math.tanh(beta * a)
        slope = beta * (1.0 - t * t)
        return t, slope, 0.0, slope
    mean, slope0, slope1, slope2 = 0.0, 0.0, 0.0, 0.0
    if beta * s < 1.0:
        for i in range(Z_NODES.shape[0]):
            z = Z_NODES[i]
            t = math.tanh(beta * (a + s * z))
            slope = Z_WEIGHTS[i] * beta * (1.0 - t * t)
            mean += Z_WEIGHTS[i] * t
            slope0 += slope
            slope1 += slope * z
            slope2 += slope * z * z
        return mean, slope0, slope1, slope2
    for i in range(U_NODES.shape[0]):
        above = (U_NODES[i] / beta - a) / s
        below = (-U_NODES[i] / beta - a) / s
        p = normal_density(above)
        q = normal_density(below)
        mean += U_WEIGHTS[i] * U_TANH_MINUS_1[i] * (p - q)
        slope = U_WEIGHTS[i] * U_SLOPE[i]
        slope0 += slope * (p + q)
        slope1 += slope * (p * above + q * below)
        slope2 += slope * (p * above * above + q * below * below)
    return math.erf(a / (s * ROOT_2)) + mean / (beta * s), slope0 / s, slope1 / s, slope2 / s


@jit
def noisy_log(a, s, beta):
    """Mean over a normal z of log(2 cosh(beta (a + s z))) / beta."""
    if s == 0.0:
        return abs(a) if beta == np.inf else log_two_cosh(beta * a) / beta
    mean = 0.0
    if beta * s < 1.0:
        for i in range(Z_NODES.shape[0]):
            mean += Z_WEIGHTS[i] * log_two_cosh(beta * (a + s * Z_NODES[i]))
        return mean / beta
    for i in range(U_NODES.shape[0]):
        above = (U_NODES[i] / beta - a) / s
        below = (-U_NODES[i] / beta - a) / s
        mean += U_WEIGHTS[i] * U_LOG[i] * (normal_density(above) + normal_density(below))
    sharp = a * math.erf(a / (s * ROOT_2)) + 2.0 * s * normal_density(a / s)
    return sharp + mean / (beta * s) / beta


@jit
def row_sums(values, weights, noise, n, beta, out_sums, out_slopes):
    """F(n) and A(n).

    Parameters
    ----------
    values : float64 (n_rows, n_patterns)
    weights : float64 (n_rows,)
    noise : float64 (n_patterns,)
        Entropies rho; all 0 for values that are what they are.
    n : float64 (n_patterns,)
    beta : float
        inf: tanh is the sign, 0 at a tie, where its slope is ``STEEP``.
    out_sums : float64 (n_patterns,)
    out_slopes : float64 (n_patterns, n_patterns), or of no rows
        Left alone where it has no rows.
    """
    n_rows, n_patterns = values.shape
    wanted = out_slopes.shape[0] > 0
    out_sums[:] = 0.0
    out_slopes[:] = 0.0
    noisy = False
    for k in range(n_patterns):
        noisy |= noise[k] > 0.0
    for r in range(n_rows):
        field = 0.0
        for k in range(n_patterns):
            field += values[r, k] * n[k]
        if noisy:
            add_noisy_row(values[r], weights[r], noise, n, field, beta, out_sums, out_slopes)
            continue
        if beta == np.inf:
            tie = abs(field) <= TIE
            t = 0.0 if tie else math.copysign(1.0, field)
            slope = STEEP if tie else 0.0
        else:
            t = math.tanh(beta * field)
            slope = beta * (1.0 - t * t)
        t *= weights[r]
        for k in range(n_patterns):
            out_sums[k] += t * values[r, k]
        if wanted and slope > 0.0:
            slope *= weights[r]
            for k in range(n_patterns):
                scaled = slope * values[r, k]
                for j in range(k + 1):
                    out_slopes[k, j] += scaled * values[r, j]
    if wanted:
        for k in range(n_patterns):
            for j in range(k):
                out_slopes[j, k] = out_slopes[k, j]


@jit
def add_noisy_row(row, weight, noise, n, field, beta, out_sums, out_slopes):
    """One row's part of ``row_sums`` where its values have noise; slopes in the lower triangle only."""
    variance = 0.0
    for k in range(row.shape[0]):
        variance += noise[k] * (row[k] * n[k]) ** 2
    s = math.sqrt(variance)
    t, slope0, slope1, slope2 = noisy_step(field, s, beta)
    if s > 0.0:
        slope1 /= s
        slope2 = (slope2 - slope0) / variance
    else:
        slope1, slope2 = 0.0, 0.0
    for k in range(row.shape[0]):
        with_field = noise[k] * row[k] * row[k]  # times n: covariance of the value's noise with the field's
        out_sums[k] += weight * row[k] * t
        if s > 0.0:
            out_sums[k] += weight * with_field * n[k] * slope0
        if out_slopes.shape[0] > 0:
            out_slopes[k, k] += weight * with_field * slope0
            shared = with_field * n[k]
            for j in range(k + 1):
                other = noise[j] * row[j] * row[j] * n[j]
                mixed = row[k] * row[j] * slope0 + (row[k] * other + row[j] * shared) * slope1 + shared * other * slope2
                out_slopes[k, j] += weight * mixed


@jit
def row_free_energy(values, weights, noise, zero_weight, n, beta):
    """|n|^2 / 2 - sum_r w_r log(2 cosh(beta V_r . n)) / beta, rows of zeros included."""
    if beta == 0.0:
        return -np.inf
    total = 0.0
    for k in range(n.shape[0]):
        total += 0.5 * n[k] * n[k]
    if beta < np.inf:
        total -= zero_weight * math.log(2.0) / beta
    for r in range(values.shape[0]):
        field, variance = 0.0, 0.0
        for k in range(n.shape[0]):
            field += values[r, k] * n[k]
            variance += noise[k] * (values[r, k] * n[k]) ** 2
        total -= weights[r] * noisy_log(field, math.sqrt(variance), beta)
    return total


@jit
def row_steps(values, noise, n, beta, out_steps):
    """Of each row the mean of t = tanh(beta V . n), and of (1, z, z^2) times its slope beta (1 - t^2).

    Parameters
    ----------
    values, noise, n, beta
        As in ``row_sums``.
    out_steps : float64 (n_rows, 4)
    """
    for r in range(values.shape[0]):
        field, variance = 0.0, 0.0
        for k in range(n.shape[0]):
            field += values[r, k] * n[k]
            variance += noise[k] * (values[r, k] * n[k]) ** 2
        t, slope0, slope1, slope2 = noisy_step(field, math.sqrt(variance), beta)
        out_steps[r, 0] = t
        out_steps[r, 1] = slope0
        out_steps[r, 2] = slope1
        out_steps[r, 3] = slope2


@jit
def free_energy_at(values, weights, noise, zero_weight, n, beta, out_free_energy):
    """Free energy per unit at n.

    Parameters
    ----------
    values, weights, noise, n, beta
        As in ``row_sums``.
    zero_weight : float
        Weight of the row of zeros.
    out_free_energy : float64 (1,)
    """
    out_free_energy[0] = row_free_energy(values, weights, noise, zero_weight, n, beta)
