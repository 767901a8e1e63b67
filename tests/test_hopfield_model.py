"""The multitasking network as a model: what it learns, its energy and losses, its verbs, and what it refuses."""

import itertools
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neuromem
from neuromem import CapacityError, ConvergenceWarning, FormatError, InputError, InputTypeError, NeuromemWarning, NotFittedError
from neuromem.hopfield import MultitaskingHebbian, RowLaw, sample_examples, sample_patterns

MODES = ("store", "supervised", "unsupervised")


def spins(n, n_units, seed=0):
    return (2 * np.random.default_rng(seed).integers(0, 2, (n, n_units)) - 1).astype(np.int8)


def data(K=3, M=4, n_units=60, d=0.3, r=0.7, seed=0):
    """Patterns, examples as one table, and their labels."""
    patterns = sample_patterns(K, n_units, d, random_state=seed)
    examples = sample_examples(patterns, M, r, random_state=seed + 1).reshape(K * M, n_units)
    return patterns, examples, np.repeat(np.arange(K), M)


def learned(mode, norm="entropy", quality=0.7, **sizes):
    patterns, examples, labels = data(**sizes)
    model = MultitaskingHebbian(None, len(patterns), mode, quality, norm, random_state=0)
    return model.fit(patterns if mode == "store" else examples, labels)


def plain_couplings(mode, norm="entropy", r=0.7, **sizes):
    """J from its formula, by loops over patterns and examples."""
    patterns, examples, labels = data(r=r, **sizes)
    K, M, N = len(patterns), len(labels) // len(patterns), patterns.shape[1]
    J = np.zeros((N, N))
    seen = patterns if mode == "store" else examples
    rho = 0.0 if mode == "store" else (1 - r * r) / (M * r * r)
    c = {"none": 1.0, "entropy": 1 / (1 + rho), "unit": 1 / (1 + rho) / (seen != 0).mean()}[norm]
    for k in range(K):
        mine = examples[labels == k].astype(float)
        if mode == "store":
            J += c / N * np.outer(patterns[k], patterns[k])
        elif mode == "supervised":
            mean = mine.sum(axis=0) / (M * r)
            J += c / N * np.outer(mean, mean)
        else:
            for example in mine:
                J += c / (N * M * r * r) * np.outer(example, example)
    np.fill_diagonal(J, 0)
    return J


def same_state(a, b):
    a, b = a.get_state(), b.get_state()
    assert a["scalars"] == b["scalars"] and a["params"] == b["params"] and set(a["arrays"]) == set(b["arrays"])
    for name in a["arrays"]:
        assert np.array_equal(a["arrays"][name], b["arrays"][name]), name


# ---------------------------------------------------------------- patterns and examples


def test_samples_have_their_law():
    patterns = sample_patterns(2, 40_000, 0.3, random_state=0)
    assert patterns.dtype == np.int8 and set(np.unique(patterns)) == {-1, 0, 1}
    for value, share in ((0, 0.3), (1, 0.35), (-1, 0.35)):
        assert abs((patterns == value).mean() - share) < 5 * (share * (1 - share) / patterns.size) ** 0.5
    examples = sample_examples(patterns, 3, [0.2, 1.0], random_state=1)
    assert examples.shape == (2, 3, 40_000) and examples.dtype == np.int8
    assert np.array_equal(examples != 0, np.broadcast_to(patterns[:, None] != 0, examples.shape))
    agree = (examples[0] * patterns[0])[:, patterns[0] != 0]
    assert abs(agree.mean() - 0.2) < 5 / agree.size**0.5
    assert np.array_equal(examples[1], np.broadcast_to(patterns[1], (3, 40_000)))
    assert np.array_equal(patterns, sample_patterns(2, 40_000, 0.3, random_state=0))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: sample_patterns(0, 5), InputError, "n_patterns is 0"),
        (lambda: sample_patterns(2, 0), InputError, "n_units is 0"),
        (lambda: sample_patterns(2, 5, 1.0), InputError, "dilution is 1.0"),
        (lambda: sample_patterns(2, 5, -0.1), InputError, "dilution is -0.1"),
        (lambda: sample_patterns(2, 5, np.nan), InputError, "dilution is nan"),
        (lambda: sample_patterns(2.5, 5), InputTypeError, "n_patterns is 2.5"),
        (lambda: sample_examples(np.ones((1, 5)), 0, 0.5), InputError, "n_examples is 0"),
        (lambda: sample_examples(np.ones((1, 5)), 2, 0.0), InputError, "quality is 0"),
        (lambda: sample_examples(np.ones((1, 5)), 2, 1.5), InputError, "quality is 1.5"),
        (lambda: sample_examples(np.ones((1, 5)), 2, [0.5, 0.5]), InputError, r"quality has shape \(2,\)"),
        (lambda: sample_examples(2 * np.ones((1, 5)), 2, 0.5), InputError, r"patterns\[0, 0\] is 2"),
    ],
)
def test_samples_out_of_range_are_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


# ---------------------------------------------------------------- couplings, energy, losses


@pytest.mark.parametrize("norm", ["none", "entropy", "unit"])
@pytest.mark.parametrize("mode", MODES)
def test_couplings_energy_and_fields_are_those_of_the_formulas(mode, norm):
    model, J = learned(mode, norm), plain_couplings(mode, norm)
    S = spins(5, 60)
    np.testing.assert_allclose(model.couplings(), J, atol=1e-13)
    np.testing.assert_allclose(model.energy(S), -0.5 * ((S @ J) * S).sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(model.local_field(S), S @ J, atol=1e-12)
    for i in (0, 7, 59):  # the field is half of what a flip costs
        turned = S.copy()
        turned[:, i] *= -1
        np.testing.assert_allclose(model.energy(turned) - model.energy(S), 2 * S[:, i] * model.local_field(S)[:, i], atol=1e-9)
    np.testing.assert_allclose(model.familiarity(S), -model.energy(S) / 60, rtol=1e-6)


def test_per_pattern_quality_and_number_of_examples():
    patterns, examples, labels = data(K=2, M=6)
    kept = np.r_[0:6, 6:9]
    model = MultitaskingHebbian(learning="supervised", quality=[0.9, 0.4]).fit(examples[kept], labels[kept])
    assert model.examples_per_pattern_.tolist() == [6, 3] and model.quality_.tolist() == [0.9, 0.4]
    J = np.zeros((60, 60))
    for k, (r, M) in enumerate(((0.9, 6), (0.4, 3))):
        rho = (1 - r * r) / (M * r * r)
        mean = examples[kept][labels[kept] == k].sum(axis=0) / (M * r)
        J += np.outer(mean, mean) / 60 / (1 + rho)
    np.fill_diagonal(J, 0)
    np.testing.assert_allclose(model.couplings(), J, atol=1e-13)
    S = spins(3, 60)
    np.testing.assert_allclose(model.energy(S), -0.5 * ((S @ J) * S).sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(model.overlaps(S)[:, 1], S @ examples[6:9].sum(axis=0) / (60 * 3 * 0.4), atol=1e-12)
    trace = model.simulate(S, n_replicas=3, beta=np.inf, n_sweeps=3, order="sequential", record=("states", "energy"))
    dense = model.simulate(S, n_replicas=3, beta=np.inf, n_sweeps=3, order="sequential", record="states", engine="dense")
    assert np.array_equal(trace.states, dense.states)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(MODES), st.integers(0, 10**6), st.integers(2, 40))
def test_energy_is_the_product_of_the_losses(mode, seed, n_units):
    patterns, examples, labels = data(K=2, M=3, n_units=n_units, seed=seed % 1000)
    if not (patterns.any(axis=1).all() and examples.any(axis=1).all()):
        return
    model = MultitaskingHebbian(None, 2, mode, 0.7, "none", mode == "unsupervised" or None).fit(
        patterns if mode == "store" else examples, labels
    )
    S = spins(4, n_units, seed)
    low, high = model.squared_error_loss(S)
    if mode == "store":
        e = patterns.astype(float)
    elif mode == "supervised":
        e = examples.reshape(2, 3, -1).sum(axis=1) / (3 * 0.7)
    else:
        e = examples / 0.7
    np.testing.assert_allclose(low, ((S[:, None] - e) ** 2).sum(axis=2) / (2 * n_units), atol=1e-10)
    np.testing.assert_allclose(high, ((S[:, None] + e) ** 2).sum(axis=2) / (2 * n_units), atol=1e-10)
    q = (e**2).sum(axis=1) / n_units
    share = 1 if mode != "unsupervised" else 3
    from_losses = -n_units / 2 * (((1 + q) / 2) ** 2 - low * high).sum(axis=1) / share
    own = (e**2).sum() / (2 * n_units) / share  # J_ii = 0
    np.testing.assert_allclose(model.energy(S), from_losses + own, atol=1e-9)


def test_unsupervised_couplings_are_not_the_supervised_ones():
    sizes = {"K": 2, "M": 8, "n_units": 400, "d": 0.3, "r": 0.7}
    supervised, unsupervised = learned("supervised", **sizes), learned("unsupervised", **sizes)
    patterns, examples, _ = data(**sizes)
    assert np.linalg.matrix_rank(unsupervised._columns().rows.astype(float)) == 16
    assert np.linalg.matrix_rank(supervised._columns().rows.astype(float)) == 2
    J, L = supervised.couplings(), unsupervised.couplings()
    assert abs(J - L).max() > 0.1 * abs(J).max()
    for model in (supervised, unsupervised):
        found = model.read(patterns).values[:, 0]
        assert ((found * patterns).sum(axis=1) / (patterns != 0).sum(axis=1) > 0.9).all()


def test_learning_with_and_without_labels_reaches_the_same_overlaps():
    # a network with K M / N = 5e-4; one configuration fluctuates by sqrt(0.08 / N)
    patterns, examples, labels = data(K=2, M=10, n_units=40_000, d=0.3, r=0.5, seed=4)
    m = []
    for mode in ("supervised", "unsupervised"):
        model = MultitaskingHebbian(None, 2, mode, 0.5, random_state=0).fit(examples, labels)
        start = np.where(patterns[0] != 0, patterns[0], np.where(patterns[1] != 0, patterns[1], 1))
        trace = model.simulate(
            start, beta=1 / 0.21, n_sweeps=120, burn_in=40, dynamics="parallel", probes=patterns, engine="overlaps"
        )
        m.append(trace.m[0])
        assert (trace.m_error < 1e-3).all()
    assert m[0][0] > 0.5 and m[0][1] > 0.15
    assert (abs(m[0] - m[1]) < 5 * (0.08 / 40_000) ** 0.5).all()


def test_quality_is_estimated():
    for K, M, r in ((2, 5, 0.6), (3, 20, 0.3), (1, 2, 0.9)):
        patterns, examples, labels = data(K=K, M=M, n_units=20_000, d=0.4, r=r, seed=8)
        by_label = MultitaskingHebbian(learning="supervised").fit(examples, labels)
        assert abs(by_label.quality_ - r).max() < 0.03
        pooled = MultitaskingHebbian(n_patterns=K, learning="unsupervised").fit(examples)
        assert abs(pooled.quality_ - r).max() < 0.05
        assert abs(by_label.dilution_ - 0.4) < 0.02
    exact = MultitaskingHebbian(learning="supervised").fit(np.ones((3, 10)), [0, 0, 0])
    assert exact.quality_.tolist() == [1.0] and exact.entropies_.tolist() == [0.0]


# ---------------------------------------------------------------- sums that can be cut and put together


@pytest.mark.parametrize("mode", ["store", "supervised", "unsupervised", "products"])
def test_any_cut_and_order_gives_the_same_sums(mode):
    patterns, examples, labels = data(K=3, M=10)
    keep = False if mode == "products" else None
    learning = "unsupervised" if mode == "products" else mode

    def make():
        return MultitaskingHebbian(None, 3, learning, 0.7, keep_examples=keep, random_state=0)

    whole = make().fit(examples, labels)
    parts = make()
    for piece in (slice(0, 1), slice(1, 1), slice(1, 17), slice(17, 30)):
        parts.partial_fit(examples[piece], labels[piece])
    same_state(whole, parts)
    pieces = [make().partial_fit(examples[p], labels[p]) for p in (slice(0, 4), slice(4, 19), slice(19, 30))]
    a, b = make(), make()
    for piece in pieces:
        a.merge(piece)
    for piece in reversed(pieces):
        b.merge(piece)
    same_state(whole, a)
    assert np.array_equal(whole.couplings(), b.couplings())
    if mode in ("supervised", "products"):
        same_state(whole, b)
        nested = make().merge(pieces[0]).merge(make().merge(pieces[1]).merge(pieces[2]))
        same_state(whole, nested)
    S = spins(4, 60)
    assert np.array_equal(whole.read(S).values, b.read(S).values)
    more = whole.copy()
    more.write(examples[::-1][:7], labels[::-1][:7])
    more.unlearn(examples[::-1][:7], labels[::-1][:7])
    assert np.array_equal(more.couplings(), whole.couplings())
    with ThreadPoolExecutor(2) as pool:
        shards = [(examples[p], labels[p]) for p in (slice(0, 11), slice(11, 30))]
        same_state(whole, make().fit_shards(shards, pool))
    same_state(whole, make().fit_shards(shards))


def test_shards_learned_in_other_processes_are_bit_equal():
    patterns, examples, labels = data(K=2, M=6)
    whole = MultitaskingHebbian(learning="supervised", random_state=0).fit(examples, labels)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        shards = MultitaskingHebbian(learning="supervised", random_state=0).fit_shards(
            [(examples[:5], labels[:5]), (examples[5:], labels[5:])], pool
        )
        trace = whole.simulate(beta=4.0, n_sweeps=5, n_replicas=2, executor=pool, record="series")
    same_state(whole, shards)
    assert np.array_equal(trace.series, whole.simulate(beta=4.0, n_sweeps=5, n_replicas=2, record="series").series)


def test_examples_become_products_once_they_outnumber_the_units():
    patterns, examples, _ = data(K=2, M=30, n_units=40)
    auto, kept = (
        MultitaskingHebbian(n_patterns=2, learning="unsupervised", quality=0.7, keep_examples=k, random_state=0)
        for k in (None, True)
    )
    for model in (auto, kept):
        model.write(examples[:30])
    assert hasattr(auto, "examples_") and not hasattr(auto, "gram_")
    for model in (auto, kept):
        model.write(examples[30:])
    assert hasattr(auto, "gram_") and hasattr(kept, "examples_")
    assert auto.nbytes == MultitaskingHebbian.estimate_nbytes(2, 40, "unsupervised") == 4 * 40 * 41 + 16
    np.testing.assert_allclose(auto.couplings(), kept.couplings(), atol=1e-15)
    S = spins(6, 40)
    np.testing.assert_allclose(auto.energy(S), kept.energy(S), atol=1e-9)
    assert np.array_equal(auto.read(S).values, kept.read(S).values)
    with pytest.raises(InputError, match="keep_examples=True"):
        auto.overlaps(S)
    with pytest.raises(InputError, match="'dense' was expected"):
        auto.read(S, engine="overlaps")
    with pytest.raises(InputError, match="not part of its sums"):
        auto.unlearn(np.repeat(examples[:1], 61, axis=0))


def test_merging_what_does_not_fit_changes_nothing():
    patterns, examples, labels = data()
    model = MultitaskingHebbian(learning="supervised", quality=0.7).fit(examples, labels)
    before = model.copy()
    for other, words in (
        (MultitaskingHebbian(learning="supervised", quality=0.6).fit(examples, labels), "quality=0.6"),
        (MultitaskingHebbian(learning="supervised", quality=0.7, norm="unit").fit(examples, labels), "norm='unit'"),
        (MultitaskingHebbian().fit(patterns), "learning='store'"),
        (MultitaskingHebbian(learning="supervised", quality=0.7).fit(examples[:, :50], labels), "50 units"),
    ):
        with pytest.raises(InputError, match=words):
            model.merge(other)
    with pytest.raises(InputTypeError, match="other is a str"):
        model.merge("x")
    same_state(model, before)


# ---------------------------------------------------------------- verbs


def test_a_stored_picture_is_recalled_from_a_damaged_one():
    pictures = sample_patterns(5, 400, 0.0, random_state=1)
    memory = MultitaskingHebbian(random_state=0)
    assert memory.write(pictures).tolist() == [0, 1, 2, 3, 4]
    cues = pictures.copy()
    cues[:, :100] *= -1
    recall = memory.read(cues)
    assert np.array_equal(recall.values[:, 0], pictures) and recall.ids.ravel().tolist() == [0, 1, 2, 3, 4]
    assert recall.values.dtype == np.int8 and recall.scores.dtype == np.float32
    np.testing.assert_allclose(recall.scores[:, 0], -memory.energy(pictures) / 400, rtol=1e-6)
    cues[:, :100] = 0
    assert np.array_equal(memory.read(cues).values[:, 0], pictures)
    assert np.array_equal(memory.complete(np.zeros_like(cues) + pictures, np.arange(400) >= 200), pictures)
    assert (memory.familiarity(pictures) > memory.familiarity(spins(5, 400))).all()


def test_one_state_holds_several_patterns():
    # the overlaps of the hierarchical state: (1 - d) d^(k - 1), up to the chance of a finite sample
    d, N = 0.4, 50_000
    patterns = sample_patterns(4, N, d, random_state=1)
    memory = MultitaskingHebbian(random_state=0).fit(patterns)
    start = np.where(patterns[0] != 0, patterns[0], 1)
    for k in (1, 2, 3):
        start = np.where((patterns[:k] == 0).all(axis=0) & (patterns[k] != 0), patterns[k], start)
    recall = memory.read(start[None])
    wanted = (1 - d) * d ** np.arange(4)
    assert (abs(recall.info["overlaps"][0] - wanted) < 5 / N**0.5).all()
    assert recall.info["sweeps"][0] <= 2
    assert memory.overlaps(start[None], normalized=True)[0, 0] == pytest.approx(1.0, abs=0.01)


def test_above_the_critical_dilution_the_hierarchical_state_is_left():
    # d_c(3) = 0.618; beyond it the graded majority is what is left: (1 - d) (1 - b, d + b, d^2 + b), b = (1 - d)^2 / 2
    d, N = 0.75, 400_000
    memory = MultitaskingHebbian(random_state=0).fit(sample_patterns(3, N, d, random_state=2))
    b = (1 - d) ** 2 / 2
    graded = (1 - d) * np.array([1 - b, d + b, d * d + b])
    trace = memory.simulate("hierarchical", beta=np.inf, n_sweeps=1, burn_in=20, record="m")
    noise = ((1 - d) / N) ** 0.5
    assert (abs(trace.m[0] - graded) < 5 * noise).all()
    assert abs(trace.m[0] - (1 - d) * d ** np.arange(3)).max() > 7 * noise
    random = memory.simulate("random", beta=np.inf, n_sweeps=1, burn_in=20, n_replicas=2, record="series")
    ordered = -np.sort(-abs(random.series[0, :, 0]), axis=1)
    assert (abs(ordered - (1 - d) * d ** np.arange(3)).max(axis=1) > 7 * noise).all()


def test_clamped_units_stay():
    patterns = sample_patterns(3, 300, 0.3, random_state=0)
    memory = MultitaskingHebbian(random_state=0).fit(patterns)
    cues = spins(4, 300)
    clamp = np.random.default_rng(1).random((4, 300)) < 0.4
    for how in ({}, {"dynamics": "parallel"}, {"engine": "dense"}, {"beta": 3.0}, {"beta": 3.0, "dynamics": "parallel"}):
        found = memory.read(cues, clamp=clamp, **how).values[:, 0]
        assert np.array_equal(found[clamp], cues[clamp]) and not np.array_equal(found, cues)
    zeros = np.where(clamp, 0, cues)
    for dynamics in ("serial", "parallel"):
        found = memory.read(zeros, clamp=clamp, dynamics=dynamics).values[:, 0]
        assert (found[clamp] == 0).all() and (found[~clamp] != 0).all()
    with pytest.raises(InputError, match="cannot hold a clamped unit at 0"):
        memory.read(zeros, clamp=clamp, dynamics="parallel", engine="bits")


def test_reads_repeat_and_streams_differ():
    memory = MultitaskingHebbian(random_state=0).fit(sample_patterns(3, 200, 0.3, random_state=0))
    cues = spins(6, 200)
    before = memory.copy()
    a, b, c = (memory.read(cues, beta=2.0, stream=s).values for s in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert np.array_equal(memory.read(cues[3:5], beta=2.0).values, a[3:5])
    same_state(memory, before)


def test_what_does_not_settle_says_so():
    memory = MultitaskingHebbian(random_state=0).fit(sample_patterns(150, 300, 0.0, random_state=0))
    with pytest.warns(ConvergenceWarning, match="have not settled after max_sweeps=1"):
        recall = memory.read(spins(3, 300), max_sweeps=1, engine="overlaps")
    assert not recall.info["converged"].all()


def test_forgetting_and_capacity():
    patterns = sample_patterns(6, 80, 0.2, random_state=0)
    memory = MultitaskingHebbian(random_state=0).fit(patterns)
    assert memory.forget([1, 4, 99]) == 2 and memory.ids_.tolist() == [0, 2, 3, 5]
    np.testing.assert_array_equal(memory.couplings(), MultitaskingHebbian().fit(patterns[[0, 2, 3, 5]]).couplings())
    assert memory.read(patterns[5:]).ids.tolist() == [[5]]
    with pytest.raises(InputError, match=r"items\[1\] is not kept"):
        memory.unlearn(patterns[[0, 1]])
    assert len(memory) == 4
    full = MultitaskingHebbian(capacity=3)
    full.write(patterns[:2])
    with pytest.raises(CapacityError, match="the capacity is 3"):
        full.write(patterns[2:4])
    assert len(full) == 2
    ring = MultitaskingHebbian(capacity=3, on_full="oldest")
    ring.write(patterns)
    assert ring.ids_.tolist() == [3, 4, 5] and np.array_equal(ring.patterns_, patterns[3:])
    sums = MultitaskingHebbian(learning="supervised", quality=0.5).fit(patterns, np.arange(6) % 2)
    assert "forget" not in neuromem.capabilities(sums) and "forget" in neuromem.capabilities(ring)
    with pytest.raises(InputError, match="use unlearn"):
        sums.forget([0])


def test_the_law_of_the_rows_is_that_of_the_network():
    patterns, examples, labels = data(K=2, M=3, n_units=500)
    stored = MultitaskingHebbian(norm="unit").fit(patterns)
    law = stored.row_law()
    assert isinstance(law, RowLaw) and law.weights.sum() == pytest.approx(1)
    second = np.einsum("r,ra,rb->ab", law.weights, law.values, law.values)
    np.testing.assert_allclose(second, patterns @ patterns.T.astype(float) / 500, atol=1e-12)
    np.testing.assert_allclose(law.scale, stored.scales_)
    model = MultitaskingHebbian(learning="supervised", quality=0.7).fit(examples, labels)
    law = model.row_law(patterns)
    means = examples.reshape(2, 3, -1).sum(axis=1) / (3 * 0.7)
    np.testing.assert_allclose(np.einsum("r,ra,rb->ab", law.weights, law.values, law.truth), means @ patterns.T / 500, atol=1e-12)
    with pytest.raises(InputError, match="use 'supervised'"):
        learned("unsupervised").row_law()
    report = stored.capacity_report()
    assert report["n_units"] == 500 and report["n_patterns"] == 2 and report["critical_temperature"] == pytest.approx(1.0)


def test_files_and_pickles_bring_back_the_same_network(tmp_path):
    S = spins(3, 60)
    for mode, keep in itertools.product(MODES, (None, False)):
        patterns, examples, labels = data()
        model = MultitaskingHebbian(None, 3, mode, 0.7, keep_examples=keep, random_state=0)
        model.fit(patterns if mode == "store" else examples, labels)
        model.save(tmp_path / "m.nmem")
        for other in (neuromem.load(tmp_path / "m.nmem"), pickle.loads(pickle.dumps(model)), model.copy()):
            same_state(model, other)
            assert np.array_equal(model.read(S, beta=2.0).values, other.read(S, beta=2.0).values)
            other.write(patterns if mode == "store" else examples, labels if mode != "store" else None)
            assert len(other) == 2 * len(model)


@pytest.mark.parametrize("mode", MODES)
def test_states_that_do_not_fit_together_are_refused(mode):
    model = learned(mode)
    before = model.copy()
    good = model.get_state()

    def with_array(name, change):
        return {**good, "arrays": {**good["arrays"], name: change(good["arrays"][name].copy())}}

    bad = [{**good, "scalars": {**good["scalars"], "n_features_in_": 61}}, {**good, "scalars": {}}]
    bad.append({**good, "scalars": {**good["scalars"], "entropy_": [1]}})
    for name in good["arrays"]:
        bad.append({**good, "arrays": {k: v for k, v in good["arrays"].items() if k != name}})
        bad.append(with_array(name, lambda a: a[:-1]))
        bad.append(with_array(name, lambda a: np.full_like(a, 100 if a.ndim == 2 else -1)))
    for state in bad:
        with pytest.raises(FormatError):
            model.set_state(state)
    same_state(model, before)


def test_budgets():
    spec = neuromem.ItemSpec(64, "ternary", 0.5)
    memory = MultitaskingHebbian.for_budget(7200, spec, random_state=0)
    memory.write(sample_patterns(300, 64, 0.5, random_state=0))
    assert memory.nbytes == 7200 and len(memory) == 100
    with pytest.raises(CapacityError, match="n_bytes=10"):
        MultitaskingHebbian.for_budget(10, spec)


# ---------------------------------------------------------------- what is refused

ONES = np.ones((2, 4))
WRONG_ITEMS = [
    ([[1, 2, 0, 1]], InputError, r"\[0, 1\] is 2"),
    ([[1, 0.5, 0, 1]], InputError, r"\[0, 1\] is 0.5"),
    ([[1, np.nan, 0, 1]], InputError, "NaN"),
    ([[0, 0, 0, 0]], InputError, r"\[0\] has zeros only"),
    (np.ones((2, 4), bool), InputTypeError, r"2 \* x"),
    (np.eye(4, dtype=np.uint8), InputTypeError, r"2 \* x"),
    (np.ones(4), InputError, "Expected 2D array"),
    (np.ones((4, 3)), InputError, "was the transpose meant"),
    (np.ones((1, 5)), InputError, "5 features"),
    (ONES.astype(complex), InputError, "Complex"),
    ([["a", "b", "c", "d"]], InputError, "not numeric"),
]


@pytest.mark.parametrize(("items", "kind", "words"), WRONG_ITEMS)
def test_wrong_items_are_named_and_change_nothing(items, kind, words):
    model = MultitaskingHebbian(4, random_state=0)
    model.write(ONES)
    before = model.copy()
    for call in (model.write, model.partial_fit, model.fit):
        with pytest.raises(kind, match=words):
            call(items)
    same_state(model, before)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda m: m.energy([[1, 0, 1, 1]]), InputError, r"S\[0, 1\] is 0, a spin"),
        (lambda m: m.overlaps([[1, -1, 1, 3]]), InputError, r"S\[0, 3\] is 3"),
        (lambda m: m.local_field(np.ones((1, 3))), InputError, "3 features"),
        (lambda m: m.squared_error_loss([[0.5] * 4]), InputError, r"S\[0, 0\] is 0.5"),
        (lambda m: m.simulate(np.zeros(4), beta=1.0, n_sweeps=1), InputError, r"start\[0, 0\] is 0"),
        (lambda m: m.simulate(spins(3, 4), beta=1.0, n_sweeps=1), InputError, "start has 3 states"),
        (lambda m: m.simulate("sideways", beta=1.0, n_sweeps=1), InputError, "start is 'sideways'"),
        (lambda m: m.simulate(beta=-1.0, n_sweeps=1), InputError, "beta is -1.0"),
        (lambda m: m.simulate(beta=[1.0, np.nan], n_sweeps=1), InputError, "beta is"),
        (lambda m: m.simulate(beta="warm", n_sweeps=1), InputError, "beta is 'warm'"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=0), InputError, "n_sweeps is 0"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, burn_in=-1), InputError, "burn_in is -1"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=3, thin=4), InputError, "n_sweeps is 3"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, n_replicas=0), InputError, "n_replicas is 0"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, record=("m", "x")), InputError, "record is 'x'"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, dynamics="quantum"), InputError, "dynamics is 'quantum'"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, order="backwards"), InputError, "order is 'backwards'"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, order=[0, 4]), InputError, "unit numbers below 4"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, order="sequential", engine="classes"), InputError, "at random"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, rule="heat"), InputError, "rule is 'heat'"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, engine="steam"), InputError, "engine is 'steam'"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, engine="bits"), InputError, "parallel dynamics"),
        (lambda m: m.simulate(beta=1.0, n_sweeps=1, probes=np.ones((1, 3))), InputError, "probes has"),
        (lambda m: m.read(ONES, beta=-0.5), InputError, "beta is -0.5"),
        (lambda m: m.read(ONES, beta=[1.0, 2.0]), InputError, "beta has 2 values"),
        (lambda m: m.read(ONES, k=0), InputError, "k is 0"),
        (lambda m: m.read(ONES, max_sweeps=0), InputError, "max_sweeps is 0"),
        (lambda m: m.read(ONES, stream=-1), InputError, "stream is -1"),
        (lambda m: m.read(ONES, clamp=np.ones(3, bool)), InputError, "clamp has shape"),
        (lambda m: m.read(ONES, clamp=np.ones(4)), InputTypeError, "clamp is float64"),
        (lambda m: m.read(ONES, engine="classes", dynamics="parallel"), InputError, "'classes'"),
        (lambda m: m.complete(ONES, np.ones(3, bool)), InputError, "known has shape"),
        (lambda m: m.write(ONES, tags=[1, 2]), InputError, "tags are given"),
        (lambda m: m.row_law(np.ones((2, 3))), InputError, "truth has"),
        (lambda m: m.fit_shards([]), InputError, "shards is empty"),
    ],
)
def test_wrong_arguments_are_named_and_change_nothing(call, kind, words):
    model = MultitaskingHebbian(4, random_state=0)
    model.write([[1, 1, -1, 0], [1, -1, 0, 1]])
    before = model.copy()
    with pytest.raises(kind, match=words):
        call(model)
    same_state(model, before)


@pytest.mark.parametrize(
    ("params", "kind", "words"),
    [
        ({"learning": "guess"}, InputError, "learning is 'guess'"),
        ({"norm": "l2"}, InputError, "norm is 'l2'"),
        ({"quality": 0.0}, InputError, "quality is 0"),
        ({"quality": 1.2}, InputError, "quality is 1.2"),
        ({"quality": np.ones(2)}, InputTypeError, "tolist"),
        ({"quality": [0.5], "n_patterns": 2}, InputError, "quality has 1 numbers"),
        ({"learning": "supervised", "quality": []}, InputError, "quality has 0 numbers"),
        ({"quality": "good"}, InputTypeError, "quality is 'good'"),
        ({"n_units": 0}, InputError, "n_units is 0"),
        ({"n_patterns": 0}, InputError, "n_patterns is 0"),
        ({"capacity": 0}, InputError, "capacity is 0"),
        ({"learning": "unsupervised"}, InputError, "n_patterns is None"),
        ({"learning": "unsupervised", "n_patterns": 2, "quality": [0.5, 0.6]}, InputError, "quality is a list"),
        ({"learning": "supervised", "capacity": 3}, InputError, "capacity is 3"),
        ({"random_state": -1}, InputError, "random_state is -1"),
    ],
)
def test_wrong_parameters_are_named(params, kind, words):
    with pytest.raises(kind, match=words):
        MultitaskingHebbian(**params).fit(ONES, [0, 0])


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (ONES, None, "requires targets"),
        (ONES, [0], "1 labels for 2 items"),
        (ONES, [0, -1], "pattern numbers from 0"),
        (ONES, [0, 0.5], "continuous"),
        (ONES, [0, 2], "below n_patterns=2"),
        (ONES, ["a", "b"], "targets"),
        (ONES, [0, 1], "quality cannot be estimated"),
        ([[1, 1, 1, 1], [-1, -1, -1, -1]], [0, 0], "quality cannot be estimated"),
        (np.ones((0, 4)), [], "0 sample"),
    ],
)
def test_wrong_labels_and_hopeless_examples_are_refused(X, y, words):
    model = MultitaskingHebbian(n_patterns=2, learning="supervised")
    with pytest.raises(InputError, match=words):
        model.fit(X, y)
    assert len(model) == 0 and not model._is_fitted()


def test_other_refusals():
    with pytest.raises(NotFittedError):
        MultitaskingHebbian().energy(ONES)
    with pytest.raises(CapacityError, match="nothing is stored"):
        model = MultitaskingHebbian(4)
        model.write(ONES[:0])
        model.capacity_report()
    with pytest.warns(NeuromemWarning, match="was the transpose meant"):
        MultitaskingHebbian().fit(np.ones((5, 3)))
    wide = MultitaskingHebbian().fit(sample_patterns(1, 20_001, random_state=0))
    with pytest.raises(InputError, match="force=True"):
        wide.couplings()
    with pytest.raises(InputError, match="would take"):
        wide.read(np.ones((1, 20_001)), engine="dense")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_refusal_leaves_the_network_alone(data):
    """Values, shapes and arguments at random: either it works, or an error of ours and nothing changed."""
    model = MultitaskingHebbian(4, random_state=0)
    model.write([[1, 1, -1, 0], [1, -1, 0, 1]])
    before = model.copy()
    shape = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 5)))
    values = data.draw(st.sampled_from([-1, 0, 1, 2, 0.5, np.nan, np.inf]))
    items = np.full(shape, values)
    options = {
        "beta": data.draw(st.sampled_from([0, 1.0, np.inf, -1, np.nan, "x", None])),
        "dynamics": data.draw(st.sampled_from(["serial", "parallel", "x"])),
        "engine": data.draw(st.sampled_from(["auto", "bits", "dense", "overlaps", "classes", 3])),
    }
    for call in (
        lambda: model.read(items, **options),
        lambda: model.simulate(items if items.any() else "random", n_sweeps=2, **options),
        lambda: model.familiarity(items),
        lambda: model.energy(items),
        lambda: model.complete(items, np.ones(shape[1:], bool)),
    ):
        try:
            call()
        except neuromem.NeuromemError:
            pass
        same_state(model, before)
