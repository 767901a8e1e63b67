"""Kernels run on the CPU: the checker sees planted faults, and the shared device functions give NumPy's and Numba's bits."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from cuda_cpu.runner import ORDERS, CpuLauncher, LaunchError, sanitized
from neuromem import BackendError, jit, random
from neuromem.gpu import launch

PLANTED = Path(__file__).parent / "cuda_cpu"
VALUES = np.random.default_rng(3).integers(1, 50, 128).astype(np.int32)
orders = pytest.mark.parametrize("order", ORDERS)
pytestmark = pytest.mark.usefixtures("gxx")


def planted(kernel, grid, block, arguments, *, shared=0, order="forward", **settings):
    """Run a kernel of planted.cu."""
    runner = CpuLauncher(order, folder=PLANTED, **settings)
    runner.run("planted", f"nm_planted_{kernel}", grid, block, arguments, shared)


def sums(order, barriers, **settings):
    out = np.zeros(2, np.int32)
    planted("sum", (2,), (64,), (VALUES, np.int32(barriers), out), shared=256, order=order, **settings)
    return out.tolist()


# ---------------------------------------------------------------- faults that must be seen


@orders
@pytest.mark.parametrize("watch", [False, True])
def test_sound_kernel_gives_one_answer_in_every_order(order, watch):
    assert sums(order, 3, watch=watch) == VALUES.reshape(2, 64).sum(axis=1).tolist()


@pytest.mark.parametrize("barriers", [1, 2])
def test_missing_barrier_shows_between_orders(barriers):
    found = {tuple(sums(order, barriers)) for order in ORDERS}
    assert len(found) > 1


@orders
@pytest.mark.parametrize("barriers", [1, 2])
def test_missing_barrier_is_a_race(order, barriers):
    with pytest.raises(LaunchError, match=r"nm_planted_sum: race: thread \d+ .*shared memory, which thread \d+"):
        sums(order, barriers, watch=True)


def test_overwriting_shows_between_orders():
    found = set()
    for order in ORDERS:
        out = np.zeros(1, np.int32)
        planted("overwrite", (3,), (8,), (out,), order=order)
        found.add(int(out[0]))
    assert found >= {0, 23}


@orders
@pytest.mark.parametrize("kernel", ["count", "overwrite"])
def test_race_is_reported_whatever_the_order(order, kernel):
    out = np.zeros(1, np.int32)
    arguments = (np.int32(0), out) if kernel == "count" else (out,)
    with pytest.raises(LaunchError, match=rf"nm_planted_{kernel}: race: thread \d+ (reads|writes) item 0 of argument"):
        planted(kernel, (3,), (8,), arguments, order=order, watch=True)


def test_a_vote_orders_no_memory_but_a_warp_barrier_does():
    out = np.zeros(64, np.int32)
    planted("vote", (1,), (64,), (np.int32(1), out), shared=256, watch=True)
    assert np.array_equal(out, np.arange(64) ^ 1)
    with pytest.raises(LaunchError, match="nm_planted_vote: race: thread .* of shared memory"):
        planted("vote", (1,), (64,), (np.int32(0), out), shared=256, watch=True)


def test_atomics_are_no_race():
    out = np.zeros(1, np.int32)
    planted("count", (3,), (8,), (np.int32(1), out), watch=True)
    assert out[0] == 24


@pytest.mark.parametrize(
    ("kernel", "first", "told"),
    [
        ("leave", (np.int32(5),), r"thread 4 waits at the __syncthreads of line \d+, which thread \d+ ended without"),
        ("part", (), r"thread 0 waits at the __syncthreads of line \d+, thread 1 at that of line \d+"),
        ("half_warp", (), "thread 0 waits in __syncwarp for lanes of its warp that never come"),
        ("functions", (np.int32(0),), "waits in __(shfl|ballot)_sync, thread .* of its warp in __(ballot|shfl)_sync"),
        ("functions", (np.int32(1),), "__shfl_sync is called by a lane that its mask leaves out"),
    ],
)
def test_barrier_that_not_all_reach_is_reported(kernel, first, told):
    with pytest.raises(LaunchError, match=told):
        planted(kernel, (1,), (64,), (*first, np.zeros(64, np.int32)))
    assert sums("forward", 3) == VALUES.reshape(2, 64).sum(axis=1).tolist()  # the next launch is sound


@orders
def test_shared_memory_that_nobody_set_is_poison_in_every_block(order):
    poison = np.int32(np.uint32(0xCDCDCDCD).astype(np.int32) + 1)
    for clear, wanted in ((0, poison), (1, 1)):
        found = np.zeros((2, 3), np.int32)
        planted("unset", (3,), (1,), (np.int32(clear), found[0], found[1]), shared=16, order=order)
        assert (found == wanted).all()


def test_write_past_dynamic_shared_memory_is_reported():
    out = np.zeros(1, np.int32)
    planted("shared_write", (1,), (1,), (np.int32(3), out), shared=16)
    with pytest.raises(LaunchError, match="a write past the end of dynamic shared memory"):
        planted("shared_write", (1,), (1,), (np.int32(4), out), shared=16)


@pytest.fixture(scope="module")
def sanitized_run(gxx):
    """Runs one kernel of planted.cu in a process of its own; what it printed comes back with its exit code."""
    CpuLauncher(sanitize=True, folder=PLANTED).build("planted")

    def run(call) -> subprocess.CompletedProcess:
        lines = [
            "import numpy as np",
            "from cuda_cpu.runner import HERE, CpuLauncher",
            "values, out = np.ones(1000), np.zeros(1000)",
            "whole = np.zeros(4, np.int32)",
            "run = CpuLauncher(sanitize=True, folder=HERE).run",
            f"run('planted', {call})",
            "print('sum', out.sum() + whole.sum())",
        ]
        return sanitized("\n".join(lines))

    return run


def test_address_sanitizer_lets_a_sound_kernel_pass(sanitized_run):
    done = sanitized_run("'nm_planted_neighbour', (4,), (256,), (values, np.int64(1000), np.int64(0), out)")
    assert done.returncode == 0 and "sum 1000.0" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("call", "kind", "kernel"),
    [
        ("'nm_planted_neighbour', (4,), (256,), (values, np.int64(1000), np.int64(1), out)", "READ", "neighbour"),
        ("'nm_planted_neighbour', (4,), (256,), (values[:900], np.int64(900), np.int64(1), out)", "READ", "neighbour"),
        ("'nm_planted_neighbour', (4,), (256,), (values, np.int64(1000), np.int64(0), out[:999])", "WRITE", "neighbour"),
        ("'nm_planted_shared_write', (1,), (1,), (np.int32(4), whole[:1]), 16", "WRITE", "shared_write"),
    ],
)
def test_address_sanitizer_names_kernel_and_line(sanitized_run, call, kind, kernel):
    done = sanitized_run(call)
    assert done.returncode != 0 and "AddressSanitizer: heap-buffer-overflow" in done.stderr
    assert f"{kind} of size" in done.stderr
    assert f"planted.cu:{line_in(kernel)} in nm_planted_{kernel}" in done.stderr


def line_in(kernel):
    """The line of planted.cu where a kernel leaves its array."""
    text = {"neighbour": "out[i] = values[i + reach]", "shared_write": "space[place] = 7"}[kernel]
    lines = (PLANTED / "planted.cu").read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if text in line]
    return number


# ---------------------------------------------------------------- launches as a device takes them


@orders
@pytest.mark.parametrize("watch", [False, True])
def test_warp_functions_do_as_documented(order, watch):
    values = np.random.default_rng(4).integers(0, 32, 96).astype(np.int32)
    out = np.zeros((96, 8), np.int32)
    planted("warp", (1,), (96,), (values, out), order=order, watch=watch)
    warps = values.reshape(3, 32)
    lane = np.arange(32)
    bits = ((warps % 2).astype(np.uint32) << lane.astype(np.uint32)).sum(axis=1, dtype=np.uint32).view(np.int32)
    wanted = [
        np.repeat(warps.sum(axis=1), 32),
        warps.cumsum(axis=1).ravel(),
        warps[:, np.where(lane + 3 < 32, lane + 3, lane)].ravel(),
        np.repeat(bits, 32),
        np.repeat((warps == 3).any(axis=1), 32),
        np.repeat((warps < 32).all(axis=1), 32),
        warps[:, lane // 8 * 8 + 2].ravel(),
        np.full(96, (values % 3 == 0).sum()),
    ]
    assert np.array_equal(out, np.stack(wanted, axis=1))


@orders
def test_grids_and_blocks_have_three_dimensions(order):
    out = np.zeros((12, 24), np.int32)
    planted("places", (2, 3, 2), (4, 2, 3), (out,), order=order)
    assert np.array_equal(out, 100 * np.arange(12)[:, None] + np.arange(24))


@pytest.mark.parametrize(
    ("grid", "block", "shared", "told"),
    [
        ((0,), (32,), 0, "grid is"),
        ((1, 70_000), (32,), 0, "grid is"),
        ((1,), (0,), 0, "block is"),
        ((1,), (1025,), 0, "block is"),
        ((1,), (64, 32), 0, "at most 1024 threads"),
        ((1,), (1, 1, 65), 0, "block is"),
        ((1,), (32,), 227 * 1024 + 1, "shared is"),
    ],
)
def test_launch_that_a_device_refuses_is_refused(grid, block, shared, told):
    with pytest.raises(LaunchError, match=told):
        planted("overwrite", grid, block, (np.zeros(1, np.int32),), shared=shared)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((VALUES, np.int32(3)), "2 arguments, the kernel has 3"),
        ((VALUES, np.int64(3), VALUES), "argument 1 has 8 bytes per item, the kernel's has 4"),
        ((VALUES.astype(np.int8), np.int32(3), VALUES), "argument 0 has 1 bytes per item"),
        ((VALUES, VALUES, VALUES), "argument 1 is an array"),
        ((np.int32(3), np.int32(3), VALUES), "argument 0 is a scalar"),
    ],
)
def test_arguments_of_another_size_are_refused(arguments, told):
    with pytest.raises(LaunchError, match=told):
        planted("sum", (1,), (64,), arguments, shared=256)


def test_kernel_that_does_not_compile_shows_file_and_line(tmp_path):
    (tmp_path / "wrong.cu").write_text(
        '#include "common.cuh"\n\nextern "C" __global__ void nm_wrong(int* out) { out[0] = nothing; }\n'
    )
    with pytest.raises(LaunchError, match=r"wrong\.cu:3:.*nothing"):
        CpuLauncher(folder=tmp_path).build("wrong")


def test_run_takes_contiguous_arrays_and_fixed_width_scalars_only():
    runner = CpuLauncher()
    with launch.use(runner):
        assert launch.current() is runner
        for wrong, told in ((np.zeros((4, 4)).T[1:], "not C-contiguous"), (4, "builtins.int"), ([1.0], "builtins.list")):
            with pytest.raises(BackendError, match=f"nm_foundation_exp: argument 0 is.*{told}"):
                launch.run("foundation", "nm_foundation_exp", (1,), (32,), (wrong, np.int64(1), np.zeros(1)))
    assert launch.current() is launch.ON_GPU
    assert not runner.launched


# ---------------------------------------------------------------- device functions give the bits of NumPy and Numba

N = 100_000


def on_the_cpu(order, kernel, *arguments):
    with launch.use(CpuLauncher(order)):
        n_items = max(len(argument) for argument in arguments if isinstance(argument, np.ndarray))
        launch.run("foundation", f"nm_foundation_{kernel}", (-(-n_items // 256),), (256,), arguments)


@jit.jit
def draw_all(counters, key, lanes, uniform):
    for n in range(counters.shape[0]):
        drawn = jit.philox4x32(counters[n, 0], counters[n, 1], counters[n, 2], counters[n, 3], key[0], key[1])
        for i in range(4):
            lanes[n, i] = drawn[i]
        uniform[n, 0] = jit.uniform53(drawn[0], drawn[1])
        uniform[n, 1] = jit.uniform53(drawn[2], drawn[3])


@jit.jit
def apply_all(x, y, out):
    for n in range(x.shape[0]):
        out[0, n] = jit.exp64(x[n])
        out[1, n] = jit.log64(abs(x[n]))
        out[2, n] = jit.power64(abs(x[n]), y)


@orders
def test_draws_have_the_same_bits(order):
    rng = np.random.default_rng(0)
    counters = rng.integers(0, 2**32, (N, 4), dtype=np.uint32)
    counters[:3] = [[0] * 4, [2**32 - 1] * 4, [1, 0, 0, 0]]
    key = rng.integers(0, 2**32, 2, dtype=np.uint32)
    lanes, uniform = np.zeros((N, 4), np.uint32), np.zeros((N, 2))
    on_the_cpu(order, "philox", counters, key, np.int64(N), lanes, uniform)
    wanted = random.philox4x32(counters, key)
    assert np.array_equal(lanes, wanted)
    assert np.array_equal(uniform[:, 0], random.uniform53(wanted[:, 0], wanted[:, 1]))
    compiled = np.zeros_like(lanes), np.zeros_like(uniform)
    draw_all(counters, key, *compiled)
    assert np.array_equal(lanes, compiled[0]) and np.array_equal(uniform, compiled[1])


def test_draws_give_the_known_answers_of_random123():
    counters = np.array([[0] * 4, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], np.uint32)
    for row, key, answer in ((0, [0, 0], 0x6627E8D5), (1, [0xA4093822, 0x299F31D0], 0xD16CFE09)):
        lanes, uniform = np.zeros((1, 4), np.uint32), np.zeros((1, 2))
        on_the_cpu("forward", "philox", counters[row : row + 1], np.array(key, np.uint32), np.int64(1), lanes, uniform)
        assert lanes[0, 0] == answer


def points():
    """Random numbers of every magnitude, and edges: powers of two and their neighbours, bounds, subnormal numbers."""
    rng = np.random.default_rng(1)
    wide = rng.integers(0, 2**64, 50_000, dtype=np.uint64).view(np.float64)
    powers = 2.0 ** np.arange(-1074, 1024)
    edges = np.array([0.0, -0.0, 1.0, 709.0, -708.0, 5e-324, 2.2250738585072014e-308, 0.7071067811865476, 1.7976931348623157e308])
    with np.errstate(over="ignore"):
        near = np.concatenate([np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    parts = [wide[np.isfinite(wide)], rng.uniform(-750, 750, 30_000), rng.normal(0, 1, 20_000), powers, -powers, edges, near]
    finite = np.concatenate(parts)
    return finite[np.isfinite(finite)]


def same_bits(found, wanted):
    return np.array_equal(found.view(np.uint64), wanted.view(np.uint64))


@pytest.mark.parametrize("y", [2.0, 0.5, 2.7, 100.0])
def test_elementary_functions_have_the_same_bits(y):
    x = points()
    positive = np.abs(x)
    compiled = np.empty((3, len(x)))
    apply_all(x, y, compiled)
    found = np.zeros_like(compiled)
    on_the_cpu("forward", "exp", x, np.int64(len(x)), found[0])
    on_the_cpu("forward", "log", positive, np.int64(len(x)), found[1])
    on_the_cpu("forward", "power", positive, np.float64(y), np.int64(len(x)), found[2])
    assert same_bits(found, compiled)
    assert same_bits(found[0], random.exp64(x))
    assert same_bits(found[1], random.log64(positive))
    assert same_bits(found[2], random.power64(positive, y))


def test_infinite_and_missing_numbers_are_those_of_numpy():
    x = np.array([np.inf, -np.inf, np.nan])
    for kernel, function in (("exp", random.exp64), ("log", random.log64)):
        out = np.zeros(3)
        on_the_cpu("forward", kernel, x, np.int64(3), out)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(out, function(x))


def test_bits_are_counted_and_found():
    words = np.random.default_rng(2).integers(0, 2**64, 1000, dtype=np.uint64) << np.arange(1000).astype(np.uint64) % np.uint64(
        64
    )
    words[:2] = [0, 2**63]
    out = np.zeros((1000, 2), np.int32)
    on_the_cpu("forward", "bits", words, np.int64(1000), out)
    texts = [f"{int(word):064b}" for word in words]
    assert out[:, 0].tolist() == [text.count("1") for text in texts]
    assert out[:, 1].tolist() == [63 - text.rindex("1") if "1" in text else -1 for text in texts]
