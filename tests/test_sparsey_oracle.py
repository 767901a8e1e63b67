"""The kernels against the plain form of the algorithm, to the bit, over random settings."""

import numpy as np
import pytest

from neuromem import SparseyLayer, SparseyMac
from neuromem.random import key_for
from neuromem.sparsey.kernels.present import TABLED
from neuromem.sparsey.kernels.routing import ITEMS_PER_ROUTE, ROUTED_FROM
from neuromem.sparsey.packing import pack_cells, padded_units, unpack_cells
from neuromem.sparsey.reference import ReferenceMac

UNITS = (1, 2, 3, 5, 8, 16, 20, 33, 64, 65, 100, 130, 200, 300)


def random_settings(rng):
    low = int(rng.integers(1, 4))
    return dict(
        n_modules=int(rng.integers(1, 10)),
        units_per_module=int(rng.choice(UNITS)),
        u_exponent=float(rng.choice([1.0, 2.0, 3.7, 8.0])),
        familiarity_floor=float(rng.choice([0.0, 0.1, 0.4])),
        expansivity_exponent=float(rng.choice([1.0, 2.0])),
        transfer=str(rng.choice(["psi", "logistic"])),
        activation_bounds=(low, None if rng.random() < 0.5 else low + int(rng.integers(0, 60))),
        normalization=str(rng.choice(["input", "fixed"])),
        freeze=[None, "cell", "mac"][rng.integers(3)],
        saturation_limit=float(rng.uniform(0.1, 0.9)),
    )


def reference_of(mac):
    n = mac.n_features_in_
    limit = mac.saturation_limit * n * (mac.n_modules * mac.units_per_module if mac.freeze == "mac" else 1)
    low, high = mac.activation_bounds
    return ReferenceMac(
        n,
        mac.cell_order_[0],
        key_for(np.random.SeedSequence(mac.entropy_), "sparsey.winner"),
        u_exponent=mac.u_exponent,
        familiarity_floor=mac.familiarity_floor,
        expansivity_exponent=mac.expansivity_exponent,
        transfer=mac.transfer,
        bounds=(low, n if high is None else high),
        normaliser=low if mac.normalization == "fixed" else 0,
        freeze=mac.freeze,
        freeze_limit=int(np.ceil(limit)),
    )


def compare(config):
    rng = np.random.default_rng(config)
    settings = random_settings(rng)
    n_items, n_inputs = int(rng.integers(1, 30)), int(rng.integers(3, 130))
    X = (rng.random((n_items, n_inputs)) < rng.uniform(0.05, 0.6)).astype(np.uint8)
    X[rng.integers(0, n_items, n_items // 3)] = X[rng.integers(0, n_items)]
    mac = SparseyMac(n_inputs, random_state=config, **settings)
    mac._allocate(n_inputs)
    mac.saturation_warned_ = True
    reference = reference_of(mac)
    shown = mac.present(X, True, written=True)
    for i, x in enumerate(X):
        code, written, familiarity = reference.present(x, True)
        if code is None:
            assert (shown.codes[i] == mac.silent_).all() and (shown.written_codes[i] == mac.silent_).all()
        else:
            assert np.array_equal(shown.codes[i, 0], code)
            assert np.array_equal(shown.written_codes[i, 0], written)
        assert shown.familiarity[i, 0] == familiarity
    cells = unpack_cells(mac.weights_[0], mac.n_modules, mac.units_per_module)
    assert np.array_equal(cells[:-1], reference.weights) and not cells[-1].any()
    assert np.array_equal(mac.frozen_[0].reshape(reference.frozen.shape), reference.frozen)
    assert np.array_equal(mac.n_weights_[0].reshape(reference.frozen.shape), reference.weights.sum(axis=0))
    recalled = mac.present(X, False)
    for i, x in enumerate(X):
        code, _, familiarity = reference.present(x, False)
        assert code is None or np.array_equal(recalled.codes[i, 0], code)
        assert recalled.familiarity[i, 0] == familiarity


@pytest.mark.jit_off
@pytest.mark.parametrize("config", range(12))
def test_kernels_equal_the_reference(config):
    compare(config)


@pytest.mark.parametrize("block", range(4))
def test_kernels_equal_the_reference_in_many_settings(block):
    for config in range(100 + 47 * block, 147 + 47 * block):
        compare(config)


@pytest.mark.jit_off
@pytest.mark.parametrize("units", UNITS)
def test_packing_round_trip(units):
    cells = np.random.default_rng(units).random((4, 3, units)) < 0.5
    words = pack_cells(cells)
    assert words.dtype == np.uint64 and words.shape == (4, -(-3 * padded_units(units) // 64))
    assert np.array_equal(unpack_cells(words, 3, units), cells)


def test_three_hundred_active_inputs_do_not_wrap():
    X = np.ones((2, 300), np.uint8)
    mac = SparseyMac(300, 4, 8, random_state=0)
    mac.write(X[:1])
    assert mac.familiarity(X).tolist() == [1.0, 1.0]
    wide = SparseyMac(70_000, 2, 3, freeze=None, random_state=0)
    wide.saturation_warned_ = False
    items = np.ones((1, 70_000), np.uint8)
    wide.write(items)
    assert wide.familiarity(items)[0] == 1.0


def test_counts_beyond_sixteen_bits_choose_as_the_reference_does():
    X = np.ones((4, 70_000), np.uint8)
    X[1:, :2000] = 0  # 68,000 in common, of which 16 bits would leave 2,464
    mac = SparseyMac(70_000, 3, 4, u_exponent=1.0, freeze=None, random_state=0)
    mac._allocate(70_000)
    mac.saturation_warned_ = True
    reference = reference_of(mac)
    shown = mac.present(X, True, written=True)
    for i, x in enumerate(X):
        _, written, familiarity = reference.present(x, True)
        assert np.array_equal(shown.written_codes[i, 0], written) and shown.familiarity[i, 0] == familiarity


@pytest.mark.filterwarnings("ignore::neuromem.errors.SaturationWarning")
def test_long_streams_are_handed_out_and_short_ones_looked_through_to_the_same_end():
    """More items than are handed out at once, over fields that overlap, with counts beyond the tables of V."""
    rng = np.random.default_rng(0)
    X = (rng.random((40, 2 * 24 * 24)) < 0.3).astype(np.uint8)[rng.integers(0, 40, ITEMS_PER_ROUTE + 70)]
    X[::5] = 1
    whole, parts = (
        SparseyLayer((24, 24), 2, (12, 12), (6, 6), 2, 6, u_exponent=3.0, saturation_limit=0.9, random_state=0) for _ in range(2)
    )
    assert X[0].reshape(2, 24, 24)[:, :12, :12].sum() > TABLED
    together = whole.present(X, True, written=True)
    cuts = [parts.present(X[i : i + ROUTED_FROM - 1], True, written=True) for i in range(0, len(X), ROUTED_FROM - 1)]
    for name in ("codes", "written_codes", "familiarity"):
        assert np.array_equal(getattr(together, name), np.concatenate([getattr(cut, name) for cut in cuts])), name
    assert np.array_equal(whole.weights_, parts.weights_) and np.array_equal(whole.frozen_, parts.frozen_)
    read = whole.present(X, False)
    cuts = [whole.present(X[i : i + ROUTED_FROM - 1], False) for i in range(0, len(X), ROUTED_FROM - 1)]
    for name in ("codes", "familiarity"):
        assert np.array_equal(getattr(read, name), np.concatenate([getattr(cut, name) for cut in cuts])), name
