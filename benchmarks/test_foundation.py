"""What every system stands on: random draws, import, files, fresh processes."""

import subprocess
import sys

import numpy as np

import neuromem
from neuromem.jit import jit, philox4x32
from neuromem.random import philox4x32 as plain_philox4x32


@jit
def add_up(n_counters, k0, k1):
    """Sum of four draws at each of ``n_counters`` counters: a kernel that does nothing but draw."""
    total = np.uint64(0)
    for i in range(n_counters):
        a, b, c, d = philox4x32(np.uint32(i), np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(k0), np.uint32(k1))
        total += np.uint64(a) + np.uint64(b) + np.uint64(c) + np.uint64(d)
    return total


def test_draws(benchmark, one_thread):
    benchmark.group = "one 32-bit random draw, one thread"
    benchmark.extra_info["items"] = 4_000_000
    assert add_up(1, 3, 7) == int(plain_philox4x32([[0, 0, 0, 0]], [3, 7]).sum(dtype=np.uint64))
    benchmark(add_up, 1_000_000, 3, 7)


def test_draws_rival(benchmark, one_thread):
    generator = np.random.default_rng(0)
    benchmark.group = "one 32-bit random draw, one thread"
    benchmark.extra_info.update(items=1_000_000, rival="numpy.random.Generator.random, float32")
    benchmark(generator.random, 1_000_000, np.float32)


def start(code):
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import(benchmark):
    benchmark.group = "a fresh process that imports the library"
    benchmark.extra_info["items"] = 1
    benchmark.pedantic(start, args=("import neuromem",), rounds=10, warmup_rounds=1)


def test_import_rival(benchmark):
    benchmark.group = "a fresh process that imports the library"
    benchmark.extra_info.update(items=1, rival="a fresh process that imports NumPy")
    benchmark.pedantic(start, args=("import numpy",), rounds=10, warmup_rounds=1)


def large_memory():
    memory = neuromem.SparseyMac(4096, 64, 256, random_state=0)
    return memory.fit((np.random.default_rng(0).random((50, 4096)) < 0.05).astype(np.uint8))


def test_save_and_load(benchmark, tmp_path):
    memory = large_memory()
    benchmark.group = "save and load a memory, per megabyte"
    benchmark.extra_info["items"] = memory.nbytes / 1e6

    def there_and_back():
        memory.save(tmp_path / "m.nmem")
        return neuromem.load(tmp_path / "m.nmem")

    benchmark.pedantic(there_and_back, rounds=5, warmup_rounds=1)


def test_save_and_load_rival(benchmark, tmp_path):
    memory = large_memory()
    arrays = {name: getattr(memory, name) for name in memory._STATE if getattr(memory, name, None) is not None}
    benchmark.group = "save and load a memory, per megabyte"
    benchmark.extra_info.update(items=memory.nbytes / 1e6, rival="numpy.savez and load: no digests, checks or flush")

    def there_and_back():
        np.savez(tmp_path / "m.npz", **arrays)
        with np.load(tmp_path / "m.npz") as file:
            return {name: file[name] for name in file}

    benchmark.pedantic(there_and_back, rounds=5, warmup_rounds=1)
