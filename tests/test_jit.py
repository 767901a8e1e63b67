"""The jit wrapper, its cache, and the elementary functions that decide discrete outcomes."""

import logging
import os
import subprocess
import sys
from decimal import Decimal, localcontext
from pathlib import Path

import numba
import numpy as np
import pytest

from neuromem import jit, random

ROOT = Path(__file__).parent.parent
DISABLED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
needs_jit = pytest.mark.skipif(DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")


@jit.jit
def elementary(x, out):
    for n in range(x.shape[0]):
        out[0, n] = jit.exp64(x[n])
        out[1, n] = jit.log64(abs(x[n]))
        out[2, n] = jit.power64(abs(x[n]), 0.37)


def in_fresh_python(code, **environment):
    settings = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


@needs_jit
def test_hundred_thousand_values_have_the_same_bits_in_numpy_and_compiled():
    rng = np.random.default_rng(10)
    x = np.concatenate([rng.uniform(-708, 709, 60_000), rng.normal(0, 1, 30_000), 10.0 ** rng.uniform(-300, 2, 10_000)])
    out = np.empty((3, len(x)))
    elementary(x, out)
    assert np.array_equal(out[0].view(np.int64), random.exp64(x).view(np.int64))
    assert np.array_equal(out[1].view(np.int64), random.log64(np.abs(x)).view(np.int64))
    assert np.array_equal(out[2].view(np.int64), random.power64(np.abs(x), 0.37).view(np.int64))


def ulps_from(value, exact):
    return abs(Decimal(float(value)) - exact) / Decimal(float(np.spacing(abs(float(exact)))))


@pytest.mark.jit_off
def test_exp_and_log_are_within_four_units_in_the_last_place():
    rng = np.random.default_rng(11)
    x = np.concatenate([rng.uniform(-700, 700, 150), rng.normal(0, 1, 100), rng.normal(0, 1e-6, 50)])
    with localcontext() as context:
        context.prec = 50
        worst_exp = max(ulps_from(jit.exp64(v), Decimal(float(v)).exp()) for v in x)
        near_one = 1.0 + np.concatenate([rng.uniform(-0.3, 0.4, 100), rng.normal(0, 1e-8, 50)])
        positive = np.concatenate([np.exp(x), near_one])
        worst_log = max(ulps_from(jit.log64(v), Decimal(float(v)).ln()) for v in positive if v != 1.0)
    assert worst_exp < 4
    assert worst_log < 4


@pytest.mark.jit_off
def test_exact_points_and_ends_of_the_range():
    assert jit.exp64(0.0) == 1.0 == jit.exp64(-0.0)
    assert jit.log64(1.0) == 0.0
    assert jit.power64(0.0, 3.0) == 0.0 and jit.power64(1.0, 3.0) == 1.0
    assert jit.exp64(710.0) == np.inf and jit.exp64(-710.0) == 0.0
    assert 0.0 < jit.exp64(-708.0) < jit.exp64(709.0) < np.inf
    assert jit.log64(5e-324) == pytest.approx(np.log(5e-324), rel=1e-15)


@needs_jit
def test_a_compiled_kernel_keeps_its_plain_form_and_settings():
    assert jit.philox4x32.py_func(0, 0, 0, 0, 0, 0) == jit.philox4x32(0, 0, 0, 0, 0, 0)
    options = jit.philox4x32.targetoptions
    assert options["nogil"] and options["error_model"] == "numpy" and not options.get("fastmath")


def test_options_are_passed_on(monkeypatch):
    seen = {}
    monkeypatch.setattr(numba, "njit", lambda **options: seen.update(options) or (lambda function: function))

    @jit.jit(parallel=True, boundscheck=True)
    def kernel(x):
        return x

    assert kernel(1) == 1
    assert seen["parallel"] and seen["boundscheck"] and seen["nogil"]


def test_a_folder_that_cannot_be_written_gives_one_warning_and_no_error(monkeypatch, caplog):
    def njit(*, cache, **options):
        if cache:
            raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)
    monkeypatch.setattr(jit, "no_cache_warned", False)
    monkeypatch.setattr(jit, "CACHE_WANTED", True)
    with caplog.at_level(logging.WARNING, logger="neuromem"):
        assert jit.jit(lambda x: x)(3) == 3
        assert jit.jit(lambda x: x)(4) == 4
    assert [record.getMessage().count("NUMBA_CACHE_DIR") for record in caplog.records] == [1]


def test_other_errors_of_the_compiler_come_through(monkeypatch):
    def njit(**options):
        raise RuntimeError("something else")

    monkeypatch.setattr(numba, "njit", njit)
    with pytest.raises(RuntimeError, match="something else"):
        jit.jit(lambda x: x)


COMPILE_ONE = "import numpy as np; from neuromem import jit; print(int(jit.popcount64(np.uint64(7))))"


@needs_jit
def test_cache_can_be_turned_off(tmp_path):
    assert in_fresh_python(COMPILE_ONE, NUMBA_CACHE_DIR=str(tmp_path), NEUROMEM_JIT_CACHE="0").stdout == "3\n"
    assert not list(tmp_path.rglob("*.nb*"))


@needs_jit
def test_clear_cache_removes_our_files_and_no_others(tmp_path):
    other = tmp_path / "other_0123"
    other.mkdir()
    (other / "module.function-1.py311.nbi").write_bytes(b"not ours")
    in_fresh_python(COMPILE_ONE, NUMBA_CACHE_DIR=str(tmp_path), NEUROMEM_JIT_CACHE="1")
    ours = {path for path in tmp_path.rglob("*.nb*") if path.parent != other}
    assert ours
    done = in_fresh_python("from neuromem import jit; print(jit.clear_cache())", NUMBA_CACHE_DIR=str(tmp_path))
    assert int(done.stdout) == len(ours)
    assert {path.parent for path in tmp_path.rglob("*.nb*")} == {other}


def test_tests_compile_outside_the_checkout_under_a_digest():
    folder = Path(os.environ["NUMBA_CACHE_DIR"]).resolve()
    assert ROOT.resolve() not in folder.parents
    assert numba.config.CACHE_DIR == os.environ["NUMBA_CACHE_DIR"]


def test_only_jit_modules_import_numba_when_loaded():
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "neuromem").rglob("*.py")
        if any(line.startswith(("import numba", "from numba")) for line in path.read_text().splitlines())
    }
    assert found == {"neuromem/jit.py", "neuromem/jit_vectors.py"}
