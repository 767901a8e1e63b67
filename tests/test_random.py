import numpy as np
import pytest

from neuromem import InputError, jit, random

KNOWN_ANSWERS = [  # Random123, philox4x32-10
    ([0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0], "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.jit_off
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter, key, answer):
    assert " ".join(f"{word:08x}" for word in random.philox4x32([counter], key)[0]) == answer
    assert " ".join(f"{int(word):08x}" for word in jit.philox4x32(*counter, *key)) == answer


@jit.jit
def draw_all(counters, key, out):
    for n in range(counters.shape[0]):
        lanes = jit.philox4x32(counters[n, 0], counters[n, 1], counters[n, 2], counters[n, 3], key[0], key[1])
        for i in range(4):
            out[n, i] = lanes[i]


@jit.jit
def apply_all(x, out):
    for n in range(x.shape[0]):
        out[n, 0] = jit.exp64(x[n])
        out[n, 1] = jit.log64(abs(x[n]) + 1e-300)
        out[n, 2] = jit.power64(abs(x[n]), 2.7)


def test_numpy_and_compiled_draws_have_the_same_bits():
    rng = np.random.default_rng(0)
    counters = rng.integers(0, 2**32, (100_000, 4), dtype=np.uint32)
    key = rng.integers(0, 2**32, 2, dtype=np.uint32)
    out = np.empty_like(counters)
    draw_all(counters, key, out)
    assert np.array_equal(out, random.philox4x32(counters, key))


@pytest.mark.jit_off
def test_elementary_functions_agree_to_the_bit_and_with_numpy():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-750, 750, 1000), rng.normal(0, 1, 1000), [0.0, 1.0, -0.0, 709.0, -708.0]])
    out = np.empty((len(x), 3))
    apply_all(x, out)
    positive = np.abs(x) + 1e-300
    assert np.array_equal(out[:, 0], random.exp64(x))
    assert np.array_equal(out[:, 1], random.log64(positive))
    assert np.array_equal(out[:, 2], random.power64(np.abs(x), 2.7))
    inside = np.abs(x) < 700
    assert np.allclose(random.exp64(x[inside]), np.exp(x[inside]), rtol=4 * np.finfo(float).eps, atol=0)
    assert np.allclose(random.log64(positive), np.log(positive), rtol=4 * np.finfo(float).eps, atol=1e-300)


def test_exact_points():
    assert random.exp64(0.0) == 1.0 and random.log64(1.0) == 0.0
    assert jit.exp64(0.0) == 1.0 and jit.log64(1.0) == 0.0
    assert random.power64([0.0, 1.0], 8.0).tolist() == [0.0, 1.0]


def test_uniform_is_in_the_half_open_interval():
    top = np.uint32(0xFFFFFFFF)
    assert random.uniform53(top, top) < 1.0 and random.uniform53(0, 0) == 0.0
    assert jit.uniform53(top, top) == random.uniform53(top, top)


def test_streams_are_apart_and_seeds_are_checked():
    assert len(set(random.STREAMS.values())) == len(random.STREAMS)
    seeds = random.seed_sequence_of(3)
    keys = {tuple(random.key_for(seeds, stream)) for stream in random.STREAMS}
    assert len(keys) == len(random.STREAMS)
    for bad in (-1, 1.5, "x", True):
        with pytest.raises(InputError, match="random_state"):
            random.seed_sequence_of(bad)


@pytest.mark.jit_off
def test_bits():
    rng = np.random.default_rng(2)
    for x in [1, 2**63, 2**64 - 1, *(int(v) for v in rng.integers(1, 2**63, 50))]:
        assert int(jit.popcount64(np.uint64(x))) == x.bit_count()
        assert int(jit.trailing_zeros64(np.uint64(x))) == (x & -x).bit_length() - 1
