"""Ballet: steps of many environments, and pictures.  ``extra_info`` has ``items``: steps, or pictures, in a round."""

import numpy as np
import pytest

from neuromem.environments import Ballet

N_ENVS, N_STEPS = 4096, 100


@pytest.mark.parametrize("level", ["8_delay16", "8_delay48"])
@pytest.mark.parametrize("copy", [False, True], ids=["views", "copies"])
def test_steps(benchmark, one_thread, level, copy):
    ballet = Ballet(N_ENVS, level, copy=copy, random_state=0)
    actions = np.random.default_rng(0).integers(0, 8, (N_STEPS, N_ENVS)).astype(np.int32)
    ballet.reset()
    benchmark.group = f"one step of a Ballet environment, {level}, {N_ENVS} at once, one thread"
    benchmark.extra_info["items"] = N_ENVS * N_STEPS

    def play():
        for chosen in actions:
            ballet.step(chosen)

    benchmark.pedantic(play, rounds=10, warmup_rounds=1)


def test_pictures(benchmark, one_thread):
    ballet = Ballet(256, "8_delay16", random_state=0)
    ballet.reset()
    benchmark.group = "one picture of a Ballet environment, one thread"
    benchmark.extra_info["items"] = 256
    benchmark.pedantic(ballet.render, rounds=10, warmup_rounds=1)
