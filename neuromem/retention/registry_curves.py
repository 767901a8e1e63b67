"""Rows of the kernels that fit forgetting curves."""

from collections.abc import Callable

import numpy as np

from neuromem.kernel_registry import KernelRow

TIMES = np.array([0.0, 1, 2, 5, 12, 40, 150])
BY_ROWS = "a curve takes microseconds, and its steps depend on the one before"


def example(gaussian: bool, hyperbola: bool, with_c: bool, floor: float) -> Callable[[], tuple]:
    """Arguments for a few curves, some of which end at a bound."""

    def arguments() -> tuple:
        rng = np.random.default_rng(5)
        m = 6
        a, b, c = rng.uniform(0.6, 0.95, (m, 1)), 10 ** rng.uniform(-2.5, 0, (m, 1)), rng.uniform(0.05, 0.3, (m, 1))
        e = 1 / (1 + b * TIMES) if hyperbola else np.exp(-b * TIMES)
        p = floor + (1 - floor) * (c + (a - c) * e if with_c else a * e)
        trials = np.full(p.shape, 80.0)
        successes = rng.binomial(80, p).astype(float)
        successes[0, 0] = 80  # an amplitude of 1
        if gaussian:
            successes, trials = successes / 80, np.ones(p.shape)
        rates = np.geomspace(0.02 / TIMES[-1], 5.0, 16)
        x = TIMES[:, None] * rates
        return (
            TIMES.copy(),
            successes,
            trials,
            gaussian,
            hyperbola,
            with_c,
            floor,
            1 - floor,
            np.array([1e-6, 1e-12, 0.0]),
            np.array([1.0, 10.0, 1.0]),
            rates,
            1 / (1 + x) if hyperbola else np.exp(-x),
            np.zeros((m, 3)),
            np.zeros((m, 3)),
            np.zeros(m, np.uint8),
        )

    return arguments


# a fit stops within 1e-6 of a standard error of the top: parameters near 1e-2 with errors up to as large
ROWS: list[KernelRow] = [
    KernelRow(
        "fit_curves",
        "neuromem.retention.kernels:fit_curves",
        example(False, False, True, 0.5),
        (12, 13, 14),
        "neuromem.retention.reference_curves:fit_curves",
        rtol=2e-6,
        atol=1e-7,
        cpu_only=BY_ROWS,
    ),
]
