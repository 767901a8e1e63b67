"""Many forgetting curves in plain NumPy, one after the other: short, slow, an oracle.

Newton's method without the second derivatives of the curve, from every rate of the table, each with the best amplitude by least
squares; steps are damped until the loss no longer rises, and the best end is kept.
"""

import numpy as np

CLIP = 1e-9
Arguments = tuple[np.ndarray, np.ndarray, np.ndarray, bool, bool, float, float]  # the first seven of evaluate


def evaluate(
    x: np.ndarray,
    y: np.ndarray,
    n: np.ndarray,
    gaussian: bool,
    hyperbola: bool,
    floor: float,
    scale: float,
    parameters: np.ndarray,
    expected: bool = False,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss, score and information (observed, or expected) of one curve; a parameter more where there are three."""
    a, b, c = (*parameters, 0.0)[:3]
    e = 1 / (1 + b * x) if hyperbola else np.exp(-b * x)
    slope = -x * e**2 if hyperbola else -x * e
    left = c + (a - c) * e
    slopes = scale * np.stack([e, (a - c) * slope, 1 - e][: len(parameters)])
    if gaussian:
        p = floor + scale * left
        return 0.5 * (n * (y - p) ** 2).sum(), slopes @ (n * (y - p)), slopes * n @ slopes.T
    slopes = np.where((left < 0) | (left > 1) | (floor + scale * left < CLIP), 0, slopes)
    p = np.clip(floor + scale * np.clip(left, 0, 1), CLIP, 1 - CLIP)
    loss = -(y * np.log(p) + (n - y) * np.log1p(-p)).sum()
    weights = n / (p * (1 - p)) if expected else y / p**2 + (n - y) / (1 - p) ** 2
    return loss, slopes @ (y / p - (n - y) / (1 - p)), slopes * weights @ slopes.T


def climb(arguments: Arguments, low: np.ndarray, high: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, float]:
    """Parameters at the end of damped steps within the bounds, and their loss."""
    damping = 1e-2
    loss, score, information = evaluate(*arguments, parameters)
    for _ in range(1000):
        top = high.copy()
        if len(parameters) == 3:
            top[2] = min(top[2], parameters[0])
        free = ~((parameters <= low) & (score < 0) | (parameters >= top) & (score > 0)) & (np.diag(information) > 0)
        if not free.any():
            break
        some = information[np.ix_(free, free)]
        step = np.zeros(len(parameters))
        step[free] = np.linalg.solve(some + damping * np.diag(np.diag(some)), score[free])
        moved = np.clip(parameters + step, low, high)
        if len(parameters) == 3:
            moved[2] = min(moved[2], moved[0])
        new = evaluate(*arguments, moved)
        if new[0] > loss:
            damping *= 10
            if damping > 1e12:
                break
            continue
        done = np.array_equal(moved, parameters)
        parameters, (loss, score, information) = moved, new
        damping = max(damping / 10, 1e-13)
        if done:
            break
    return parameters, loss


def fit_curves(
    x: np.ndarray,
    successes: np.ndarray,
    trials: np.ndarray,
    gaussian: bool,
    hyperbola: bool,
    with_c: bool,
    floor: float,
    scale: float,
    low: np.ndarray,
    high: np.ndarray,
    rates: np.ndarray,
    table: np.ndarray,
    out_parameters: np.ndarray,
    out_errors: np.ndarray,
    out_settled: np.ndarray,
) -> None:
    """As the kernel of this name."""
    k = 3 if with_c else 2
    for row, (y, n) in enumerate(zip(successes, trials, strict=True)):
        arguments: Arguments = (x, y, n, gaussian, hyperbola, floor, scale)
        shares = ((y if gaussian else y / n) - floor) / scale
        ends = []
        for e, rate in zip(table.T, rates, strict=True):
            design = np.stack([e, 1 - e], 1)[:, : k - 1]  # a e + c (1 - e)
            a, *c = np.linalg.lstsq(design, shares, rcond=None)[0]
            begin = np.clip(np.array([a, rate, *c]), low[:k], high[:k])
            if with_c:
                begin[2] = min(begin[2], begin[0])
            ends.append(climb(arguments, low[:k], high[:k], begin))
        parameters, _ = min(ends, key=lambda end: end[1])
        information = evaluate(*arguments, parameters, expected=True)[2]
        free = (parameters > low[:k]) & (parameters < high[:k])
        out_parameters[row, :k], out_parameters[row, k:] = parameters, 0
        out_errors[row] = np.nan
        places = np.flatnonzero(free)
        out_errors[row, places] = np.sqrt(np.diag(np.linalg.inv(information[np.ix_(free, free)])))
        out_settled[row] = 1
