"""The theory's sums in plain NumPy, and its equations solved by plain iteration.  Short and slow: an oracle, and documentation.

Rows carry the root of the coupling scale; n is the overlaps with the data times that root.  Over Gaussian noise the mean is
taken on a fine grid of z; at infinite beta it has a closed form, equation (3):

    E[sgn(a + s z)] = erf(a / (s sqrt 2)),   beta E[z^j (1 - tanh^2 beta (a + s z))] -> 2 phi(a / s) (-a / s)^j / s.
"""

import math

import numpy as np

Z = np.linspace(-10, 10, 8001)
Z_WEIGHTS = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()


def row_steps(values: np.ndarray, noise: np.ndarray, n: np.ndarray, beta: float, out_steps: np.ndarray) -> None:
    """Of each row the mean of t = tanh(beta (a + s z)), and of (1, z, z^2) times beta (1 - t^2)."""
    a = values @ n
    s = np.sqrt((values * n) ** 2 @ noise)
    if math.isinf(beta):
        x = np.divide(a, s, out=np.zeros_like(a), where=s > 0)
        out_steps[:, 0] = np.where(
            s > 0, [math.erf(value) for value in x / math.sqrt(2)], np.sign(np.where(abs(a) > 1e-14, a, 0))
        )
        density = np.divide(2 * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), s, out=np.zeros_like(a), where=s > 0)
        for j in range(3):
            out_steps[:, 1 + j] = density * (-x) ** j
        return
    t = np.tanh(beta * (a[:, None] + s[:, None] * Z))
    out_steps[:, 0] = t @ Z_WEIGHTS
    for j in range(3):
        out_steps[:, 1 + j] = beta * (1 - t**2) @ (Z_WEIGHTS * Z**j)


def row_sums(
    values: np.ndarray,
    weights: np.ndarray,
    noise: np.ndarray,
    n: np.ndarray,
    beta: float,
    out_sums: np.ndarray,
    out_slopes: np.ndarray,
) -> None:
    """F(n) = E[V tanh(beta V . n)] and A = beta E[V V^T (1 - tanh^2)], V = values (1 + sqrt(noise) z), row by row."""
    steps = np.empty((len(values), 4))
    row_steps(values, noise, n, beta, steps)
    out_sums[:] = 0
    out_slopes[:] = 0
    for row, weight, (t, slope0, slope1, slope2) in zip(values, weights, steps, strict=True):
        shared = noise * row**2 * n  # covariances of the values' noise with that of the field
        s = math.sqrt(shared @ n)
        along = shared / s if s else np.zeros_like(n)  # the noise that moves with the field's; the rest is independent of it
        rest = np.diag(noise * row**2) - np.outer(along, along)
        crossed = np.outer(row, along) + np.outer(along, row)
        out_sums += weight * (row * t + along * s * slope0)
        out_slopes += weight * (np.outer(row, row) * slope0 + crossed * slope1 + np.outer(along, along) * slope2 + rest * slope0)


def free_energy_at(
    values: np.ndarray,
    weights: np.ndarray,
    noise: np.ndarray,
    zero_weight: float,
    n: np.ndarray,
    beta: float,
    out_free_energy: np.ndarray,
) -> None:
    """|n|^2 / 2 - E[log 2 cosh(beta V . n)] / beta."""
    spread = np.sqrt((values * n) ** 2 @ noise)
    fields = (values @ n)[:, None] + spread[:, None] * Z
    if math.isinf(beta):
        out_free_energy[0] = n @ n / 2 - weights @ (abs(fields) @ Z_WEIGHTS)
        return
    logs = np.logaddexp(beta * fields, -beta * fields) @ Z_WEIGHTS
    out_free_energy[0] = n @ n / 2 - (weights @ logs + zero_weight * math.log(2)) / beta


def iterate(
    values: np.ndarray, weights: np.ndarray, noise: np.ndarray, n: np.ndarray, beta: float, steps: int = 100_000
) -> np.ndarray:
    """Plain iteration n <- F(n) until nothing moves: what defines the basin."""
    slopes = np.empty((len(n), len(n)))
    for _ in range(steps):
        sums = np.empty_like(n)
        if noise.any():
            row_sums(values, weights, noise, n, beta, sums, slopes)
        else:
            fields = values @ n
            sums = (weights * (np.sign(fields) if math.isinf(beta) else np.tanh(beta * fields))) @ values
        if abs(sums - n).max() < 1e-15:
            break
        n = sums
    return n
