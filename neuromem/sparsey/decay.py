"""How a weight fades with its age: the tables behind ``decay="permanence"`` and ``decay="convex"``."""

import numpy as np

FULL_WEIGHT = 127
# Per stiffness class: (age up to which the weight holds, weight); a coincidence before the first age raises the class.
PERMANENCE = (((2000, 127), (3000, 120), (4000, 50)), ((4000, 127), (6000, 120), (8000, 50)))
CONVEX_LIFETIME = 8000
CONVEX_CURVATURE = 1.0


def decay_tables(decay: str) -> tuple[np.ndarray, np.ndarray]:
    """Weight at each age and the age limit for stiffening.

    Parameters
    ----------
    decay : {"permanence", "convex"}
        "permanence": 127, 120, 50, 0 with breakpoints at 2000, 3000, 4000 steps, twice as late once stiffened, never
        once stiffened twice.  "convex": w(a) = (1 + c / P) / (1 + c / (P - a)), with c = 1 and P = 8000 steps.

    Returns
    -------
    value_at : uint8 (n_classes, highest_age + 1)
    raise_before : int32 (n_classes,)

    Examples
    --------
    >>> value_at, raise_before = decay_tables("permanence")
    >>> value_at[0, [0, 1999, 2000, 3000, 4000]].tolist(), raise_before.tolist()
    ([127, 127, 120, 50, 0], [2000, 4000, 0])
    """
    if decay == "permanence":
        value_at = np.zeros((len(PERMANENCE) + 1, PERMANENCE[-1][-1][0] + 1), np.uint8)
        for stiffness, breakpoints in enumerate(PERMANENCE):
            start = 0
            for stop, weight in breakpoints:
                value_at[stiffness, start:stop] = weight
                start = stop
        value_at[-1] = FULL_WEIGHT
        return value_at, np.array([*(breakpoints[0][0] for breakpoints in PERMANENCE), 0], np.int32)
    age = np.arange(CONVEX_LIFETIME)
    curve = (1 + CONVEX_CURVATURE / CONVEX_LIFETIME) / (1 + CONVEX_CURVATURE / (CONVEX_LIFETIME - age))
    value_at = np.zeros((1, CONVEX_LIFETIME + 1), np.uint8)
    value_at[0, :-1] = np.rint(FULL_WEIGHT * curve)
    return value_at, np.zeros(1, np.int32)
