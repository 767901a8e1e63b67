"""Targets for actors that lag behind their learner."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.layers.checks import floats


@dataclass(frozen=True, slots=True)
class VTrace:
    """What :func:`vtrace` gives.

    Attributes
    ----------
    vs : ndarray (..., T)
        Targets of the value function.
    advantages : ndarray (..., T)
        Factors of the policy gradient.
    """

    vs: np.ndarray
    advantages: np.ndarray


def vtrace(
    behaviour_log_probs: Any,
    target_log_probs: Any,
    rewards: Any,
    discounts: Any,
    values: Any,
    bootstrap_value: Any,
    rho_bar: float = 1.0,
    c_bar: float = 1.0,
    lam: float = 1.0,
) -> VTrace:
    """V-trace targets (Espeholt et al., ICML 2018, equation 1).

    With ``ratio_t = exp(target_log_prob_t - behaviour_log_prob_t)``, ``rho_t = min(rho_bar, ratio_t)`` and
    ``c_t = lam min(c_bar, ratio_t)``::

        delta_t = rho_t (r_t + g_t V_{t+1} - V_t)
        v_t - V_t = delta_t + g_t c_t (v_{t+1} - V_{t+1})
        advantage_t = rho_t (r_t + g_t v_{t+1} - V_t)

    and both V and v behind the last step are the bootstrap value.

    Parameters
    ----------
    behaviour_log_probs, target_log_probs : array (..., T)
        Logarithms of the probabilities of the actions taken, under the policy that acted and under the one that learns.
    rewards : array (..., T)
    discounts : array (..., T)
        g_t; 0 where an episode ends with step t.
    values : array (..., T)
        V_t.
    bootstrap_value : array (...)
        V behind the last step.
    rho_bar, c_bar : float >= 0, default 1
        Where ratios are cut.
    lam : float in [0, 1], default 1

    Returns
    -------
    VTrace
        Of the dtype of ``values``; both are constants to the learner.

    Raises
    ------
    InputError, InputTypeError
        For shapes that do not fit, or bounds out of range.

    Examples
    --------
    >>> import numpy as np
    >>> zero = np.zeros(3)
    >>> vtrace(zero, zero, [0.0, 0.0, 1.0], np.full(3, 0.5), zero, 0.0).vs.tolist()
    [0.25, 0.5, 1.0]
    """
    rho_bar = validate.number(rho_bar, "rho_bar", low=0)
    c_bar = validate.number(c_bar, "c_bar", low=0)
    lam = validate.number(lam, "lam", low=0, high=1)
    values = floats(values, "values")
    if values.ndim < 1:
        raise InputError("values is one number, (..., T) was expected")
    shape = values.shape
    behaviour = floats(behaviour_log_probs, "behaviour_log_probs", shape)
    target = floats(target_log_probs, "target_log_probs", shape)
    rewards = floats(rewards, "rewards", shape)
    discounts = floats(discounts, "discounts", shape)
    last = floats(bootstrap_value, "bootstrap_value", shape[:-1])[..., None]
    with np.errstate(over="ignore"):  # an infinite ratio is cut like any other
        ratio = np.exp(target.astype(np.float64) - behaviour)
    rho, c = np.minimum(rho_bar, ratio), lam * np.minimum(c_bar, ratio)
    delta = rho * (rewards + discounts * np.concatenate([values, last], axis=-1)[..., 1:] - values)
    excess = np.zeros(shape[:-1])
    vs = np.empty(shape)
    for t in reversed(range(shape[-1])):
        excess = delta[..., t] + discounts[..., t] * c[..., t] * excess
        vs[..., t] = values[..., t] + excess
    advantages = rho * (rewards + discounts * np.concatenate([vs, last], axis=-1)[..., 1:] - values)
    return VTrace(vs.astype(values.dtype, copy=False), advantages.astype(values.dtype, copy=False))
