"""Simulated forgetting that tests of curves share: true curves of each family at the published checkpoints."""

import numpy as np

TIMES = np.r_[0, 1:11, 20:101:10, 1000:10001:1000, 100000].astype(float)
N_ITEMS = 600


def truths(family, n, seed):
    """Parameters of ``n`` curves of one family."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(0.7, 0.98, n)
    if family == "exponential":
        return np.stack([a, 10 ** rng.uniform(-4, -1, n)], 1)
    if family == "power1":
        return np.stack([a, rng.uniform(0.05, 0.5, n)], 1)
    return np.stack([a, 10 ** rng.uniform(-3, -1, n), rng.uniform(0.05, 0.4, n)], 1)


def retention(family, parameters):
    """R of each curve at ``TIMES``, written out."""
    a, b = parameters[:, :1], parameters[:, 1:2]
    if family == "exponential":
        return a * np.exp(-b * TIMES)
    if family == "power1":
        return a * (1 + TIMES) ** -b
    c = parameters[:, 2:]
    return c + (a - c) * np.exp(-b * TIMES)


def counts(family, n, floor, seed):
    """True parameters and successes out of ``N_ITEMS``, (n, T)."""
    parameters = truths(family, n, seed)
    p = floor + (1 - floor) * retention(family, parameters)
    return parameters, np.random.default_rng([seed, 1]).binomial(N_ITEMS, p)
