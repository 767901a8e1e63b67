"""Cases with a known answer."""

import numpy as np
import pytest

from neuromem import InputError, SaturationWarning, SparseyLayer, SparseyMac
from neuromem.experiments.capacity import N_ACTIVE, N_INPUTS, law, random_items, store
from neuromem.experiments.sisc import overlap_of_codes
from neuromem.sparsey.decay import decay_tables
from neuromem.sparsey.reference import permanence_trajectory, sisc_probability

SISC = (0.982, 0.971, 0.948, 0.898, 0.783, 0.554, 0.292, 0.161, 0.130, 0.125, 0.125, 0.125, 0.125)


def items_of(seed, n=40, width=144, density=0.08):
    return (np.random.default_rng(seed).random((n, width)) < density).astype(np.uint8)


def test_closed_form_of_similarity_preservation():
    overlap = np.arange(12, -1, -1) / 12
    assert np.allclose(sisc_probability(overlap, 8, u_exponent=1.0), SISC, atol=5e-4)
    sharp = sisc_probability(overlap, 8, u_exponent=8.0)
    assert np.allclose(sharp[:3], (0.982, 0.289, 0.125), atol=1e-3)


@pytest.mark.parametrize("shared", range(0, 13, 2))
def test_codes_overlap_as_the_closed_form_says(shared):
    measured = overlap_of_codes(1.0, shared, seed=5)
    assert abs(measured - sisc_probability([shared / 12], 8, u_exponent=1.0)[0]) < 0.03


def test_expansivity_at_its_ends():
    mac = SparseyMac(20, 6, 8, random_state=0)
    item = np.zeros((1, 20), np.uint8)
    item[0, :5] = 1
    assert mac.trace(item).expansivity[0, 0] == 1.0
    mac.write(item)
    trace = mac.trace(item)
    assert trace.familiarity[0, 0] == 1.0 and trace.expansivity[0, 0] == 801.0


def test_novel_items_get_uniform_winners():
    X = np.eye(4000, dtype=np.uint8)[:2000]
    written = SparseyMac(4000, 2, 8, random_state=1).present(X, True, written=True).written_codes
    counts = np.bincount(written.ravel(), minlength=8)
    assert ((counts - 500.0) ** 2 / 500).sum() < 24.3  # 99.9 % point of chi-square with 7 degrees of freedom


def test_a_repeated_item_keeps_its_code():
    X = items_of(0, 1)
    shares = []
    for seed in range(200):
        mac = SparseyMac(144, 24, 8, u_exponent=1.0, random_state=seed)
        written = mac.present(np.repeat(X, 2, axis=0), True, written=True).written_codes
        shares.append((written[0] == written[1]).mean())
    assert np.mean(shares) >= 0.95


@pytest.mark.parametrize("n_modules", [9, 24, 50])
def test_fill_follows_its_law_and_items_are_recalled_below_capacity(n_modules):
    units = 16
    n_items = int(0.8 * 0.92 * units * N_INPUTS / N_ACTIVE)
    items = random_items(n_items, np.random.default_rng(n_modules))
    mac = SparseyMac(N_INPUTS, n_modules, units, freeze=None, random_state=0)
    written = store(mac, items)
    assert abs(mac.saturation()["fill"][0] - law(n_items, units)) < 0.02
    assert (mac.present(items, False).codes == written).mean() >= 0.99


def test_twice_the_units_hold_twice_the_items():
    shares = {}
    for units, n_items in ((16, 235), (16, 470), (32, 470)):
        items = random_items(n_items, np.random.default_rng(0))
        mac = SparseyMac(N_INPUTS, 24, units, freeze=None, random_state=0)
        written = store(mac, items)
        shares[units, n_items] = (mac.present(items, False).codes == written).mean()
    assert shares[16, 235] > 0.99 and shares[32, 470] > 0.99 and shares[16, 470] < 0.9


def test_overfull_memory_warns_once():
    mac = SparseyMac(144, 4, 2, freeze=None, random_state=0)
    with pytest.warns(SaturationWarning, match="units_per_module"):
        mac.write(items_of(1, 200))
    mac.write(items_of(2, 10))


def test_stored_codes_that_are_alike_are_named_in_order():
    right = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        probe = rng.permutation(144)[:12]
        rest = np.setdiff1d(np.arange(144), probe)
        items = np.zeros((6, 144), np.uint8)
        for row, shared in zip(items, (12, 8, 6, 4, 2, 0), strict=True):
            row[rng.permutation(probe)[:shared]] = 1
            row[rng.permutation(rest)[: 12 - shared]] = 1
        cue = np.zeros((1, 144), np.uint8)
        cue[0, probe] = 1
        mac = SparseyMac(144, 200, 16, u_exponent=1.0, keep_codes=True, random_state=seed)
        mac.write(items)
        shares = mac.likelihood(cue)[0]
        right += bool((np.diff(shares[:4]) <= 0.0).all() and shares[0] == shares.max())
        assert mac.nearest_stored(mac.present(items, False).codes).tolist()[0] == 0
    assert right >= 38


def test_probe_halfway_between_two_items_activates_both():
    gaps = []
    for seed in range(30):
        items = np.zeros((2, 48), np.uint8)
        items[0, :12], items[1, 12:24] = 1, 1
        probe = np.zeros((1, 48), np.uint8)
        probe[0, 6:18] = 1
        mac = SparseyMac(48, 200, 16, u_exponent=1.0, keep_codes=True, random_state=seed)
        mac.write(items)
        shares = mac.likelihood(probe)[0]
        gaps.append(shares[0] - shares[1])
        assert shares.min() > 0.2
    assert abs(np.mean(gaps)) < 0.15


def test_completion_from_half_of_an_item():
    X = items_of(3)
    known = np.arange(144) < 72
    completed = SparseyMac(random_state=0).fit(X).complete(X, known)
    assert np.array_equal(completed[:, :72], X[:, :72])
    assert ((completed > 0.5) == X).mean() > 0.98


def test_permanence_table():
    value_at, raise_before = decay_tables("permanence")
    once = permanence_trajectory([0], [1, 1999, 2000, 2999, 3000, 3999, 4000], value_at, raise_before)
    assert once == [127, 127, 120, 120, 50, 50, 0]
    twice = permanence_trajectory([0, 1000], [4999, 5000, 7000, 8999, 9000], value_at, raise_before)
    assert twice == [127, 120, 50, 50, 0]
    thrice = permanence_trajectory([0, 1000, 2000], [10_000, 10**6], value_at, raise_before)
    assert thrice == [127, 127]
    late = permanence_trajectory([0, 2500], [4499, 4500], value_at, raise_before)  # revived, not stiffened
    assert late == [127, 120]
    virgin = permanence_trajectory([0, 4000, 5000], [8999, 9000], value_at, raise_before)  # faded to 0 first
    assert virgin == [127, 120]


def test_aging_weights_follow_the_trajectory():
    item = np.zeros((1, 12), np.uint8)
    item[0, :4] = 1
    other = 1 - item
    value_at, raise_before = decay_tables("permanence")
    mac = SparseyMac(12, 1, 1, decay="permanence", u_exponent=1.0, freeze=None, random_state=0)
    events = [0, 700, 5200]
    stream = np.repeat(other, 5300, axis=0)
    stream[events] = item
    mac.write(stream)
    expected = permanence_trajectory(events, [5300], value_at, raise_before)[0]
    age = 5300 - mac.last_step_[0, :4, 0]
    assert set(value_at[mac.stiffness_[0, :4, 0], age]) == {expected}
    fading = SparseyMac(12, 3, 4, decay="permanence", u_exponent=1.0, random_state=0)
    fading.write(item)
    fading.write(np.repeat(np.zeros_like(item), 4000, axis=0))
    assert fading.familiarity(item)[0] == 0.0


def test_aging_macs_without_any_age_equal_binary_macs():
    X = items_of(4, 25, 40, 0.2)
    binary = SparseyMac(40, 6, 8, freeze=None, random_state=3)
    aging = SparseyMac(40, 6, 8, freeze=None, decay="permanence", random_state=3)
    a, b = binary.present(X, True, written=True), aging.present(X, True, written=True)
    assert np.array_equal(a.codes, b.codes) and np.array_equal(a.written_codes, b.written_codes)
    assert np.array_equal(a.familiarity, b.familiarity)
    assert np.allclose(binary.reconstruct(a.codes), aging.reconstruct(a.codes))


def test_frozen_cells_learn_no_more_and_old_codes_are_recalled():
    X = items_of(5, 30, 60, 0.2)
    mac = SparseyMac(60, 8, 8, saturation_limit=0.3, random_state=0)
    mac.write(X)
    frozen = mac.frozen_[0].copy()
    assert frozen.any()
    before = mac.n_weights_[0, frozen].copy()
    mac.write(items_of(6, 100, 60, 0.2))
    assert np.array_equal(mac.n_weights_[0, frozen], before)


def test_nothing_is_learned_after_the_critical_period():
    X = items_of(7)
    layer = SparseyLayer((12, 12), 1, (5, 5), (2, 2), critical_period=25, random_state=0)
    layer.write(X)
    short = SparseyLayer((12, 12), 1, (5, 5), (2, 2), random_state=0).fit(X[:25])
    assert np.array_equal(layer.weights_, short.weights_) and len(layer) == 25


def test_controls_do_what_they_say():
    X = items_of(8, 50)
    patches = SparseyMac(winners="random_patches", random_state=0).fit(X)
    sizes = X.sum(axis=1)
    assert set(patches.n_weights_[0]) <= set(sizes) and patches.frozen_.all()
    loose = SparseyMac(winners="random_weights", random_state=0).fit(X)
    assert abs(loose.n_weights_.mean() - sizes.mean()) < 1
    repeated = np.repeat(X[:1], 400, axis=0)
    uniform = SparseyMac(144, 4, 8, winners="uniform", freeze=None, random_state=0)
    codes = uniform.present(repeated, True, written=True).written_codes
    assert np.bincount(codes.ravel(), minlength=8).min() > 120


def test_regions_that_no_field_covers_reconstruct_to_zero():
    layer = SparseyLayer((7, 7), 1, (3, 3), (3, 3), random_state=0).fit(np.ones((1, 49), np.uint8))
    scores = layer.read(np.ones((1, 49), np.uint8)).values[0, 0].reshape(7, 7)
    assert (scores[:6, :6] == 1).all() and (scores[6] == 0).all() and (scores[:, 6] == 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(n_modules=0), "n_modules is 0"),
        (dict(units_per_module=65_536), "units_per_module"),
        (dict(familiarity_floor=1.0), "familiarity_floor"),
        (dict(expansivity_exponent=0), "expansivity_exponent"),
        (dict(expansivity_scale=-1), "expansivity_scale"),
        (dict(saturation_limit=0), "saturation_limit"),
        (dict(transfer="step"), "transfer is 'step'"),
        (dict(activation_bounds=(3, 2)), "activation_bounds"),
        (dict(sigmoid=(1, 2, 3)), "sigmoid has 3"),
        (dict(expansivity_scale=1e12), "overflows"),
    ],
)
def test_bad_parameters(settings, message):
    with pytest.raises((InputError, TypeError), match=message.replace("(", r"\(")):
        SparseyMac(10, **settings).write(np.ones((1, 10)))


def test_bad_items_and_layouts():
    mac = SparseyMac(10)
    for bad, message in (
        (np.ones(10), "reshape"),
        (np.ones((1, 9)), "10 features"),
        (np.full((1, 10), 0.5), "use neuromem.sparsey.encode"),
        (np.full((1, 10), np.nan), "NaN"),
    ):
        with pytest.raises(InputError, match=message):
            mac.write(bad)
    assert len(mac) == 0
    with pytest.raises(InputError, match="larger than shape"):
        SparseyLayer((4, 4), 1, (5, 5)).write(np.ones((1, 16)))
    with pytest.raises(InputError, match="stride"):
        SparseyLayer((4, 4), 1, (2, 2), (0, 1)).write(np.ones((1, 16)))
    silent = SparseyMac(10, random_state=0)
    silent.write(np.zeros((3, 10)))
    assert silent.n_silent_ == 3 and silent.familiarity(np.zeros((1, 10))).tolist() == [0.0]
    assert (silent.present(np.zeros((1, 10)), False).codes == silent.silent_).all()
