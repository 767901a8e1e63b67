"""Memories whose forgetting is known: closed forms, naive loops, batches of any size, files that lie."""

import math

import numpy as np
import pytest

from neuromem import CapacityError, ExactStore, FormatError, InputError, ItemSpec, NotFittedError, capabilities, load
from neuromem.retention import (
    ActivationMemory,
    ContextualDelta,
    FIFOBuffer,
    Gaussian,
    LinearAssociator,
    RandomSigns,
    ReservoirBuffer,
    TwoStore,
    retention_curve,
)
from neuromem.retention.checkpoints import window_of

WIDTH = 12
MAKERS = {
    "linear": lambda: LinearAssociator(WIDTH, decay=0.03),
    "linear, keys": lambda: LinearAssociator(WIDTH, n_key=5, decay=0.03),
    "delta": lambda: ContextualDelta(WIDTH, n_context=7, random_state=3),
    "activation": lambda: ActivationMemory(WIDTH, random_state=3),
    "activation, 50 exposures": lambda: ActivationMemory(WIDTH, 50, "oldest", random_state=3),
    "two stores": lambda: TwoStore(WIDTH, random_state=3),
    "two stores, 20 items": lambda: TwoStore(WIDTH, 20, "oldest", random_state=3),
    "fifo": lambda: FIFOBuffer(WIDTH, 20),
    "reservoir": lambda: ReservoirBuffer(WIDTH, 20, random_state=3),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def items_of(n, seed=0, repeats=True):
    """Signs; with repeats, every other item is one of a few."""
    rng = np.random.default_rng(seed)
    items = rng.choice([-1.0, 1.0], (n, WIDTH))
    if repeats:
        again = rng.random(n) < 0.5
        items[again] = rng.choice([-1.0, 1.0], (9, WIDTH))[rng.integers(0, 9, again.sum())]
    return items


def same(a, b):
    a, b = a.get_state(), b.get_state()
    assert a["scalars"] == b["scalars"] and set(a["arrays"]) == set(b["arrays"])
    for name in a["arrays"]:
        assert np.array_equal(a["arrays"][name], b["arrays"][name]), name


@pytest.mark.parametrize("size", [1, 3, 64, 100])
def test_batches_make_no_difference_with_items_that_come_again(make, size):
    items = items_of(230)
    whole, parts = make(), make()
    ids = whole.write(items)
    found = np.concatenate([parts.write(items[start : start + size]) for start in range(0, len(items), size)])
    assert np.array_equal(ids, found)
    same(whole, parts)
    for verb in ("familiarity", "read"):
        a, b = getattr(whole, verb)(items[:40]), getattr(parts, verb)(items[:40])
        assert np.array_equal(a, b) if verb == "familiarity" else np.array_equal(a.values, b.values)


def test_idle_time_in_parts_is_the_same_as_at_once(make):
    if not hasattr(make(), "idle"):
        return
    once, parts = make(), make()
    for memory in (once, parts):
        memory.idle(5)  # before anything came there is no time to pass
        memory.write(items_of(10))
    once.idle(130)
    for n in (1, 60, 0, 69):
        parts.idle(n)
    same(once, parts)
    once.write(items_of(3, 1))
    assert np.isfinite(once.familiarity(items_of(10))).all()


@pytest.mark.parametrize("cls", [LinearAssociator, ContextualDelta, ActivationMemory, TwoStore, FIFOBuffer, ReservoirBuffer])
def test_budgets_are_kept(cls):
    spec = ItemSpec(WIDTH, "real")
    for n_bytes in (80_000, 400_000):
        memory = cls.for_budget(n_bytes, spec, random_state=0)
        memory.write(np.random.default_rng(0).standard_normal((6000, WIDTH)))
        assert 0 < memory.nbytes <= n_bytes
        if not isinstance(memory, (LinearAssociator, ContextualDelta)):
            assert memory.nbytes > 0.6 * min(n_bytes, 6000 * (4 * WIDTH + 8))
    with pytest.raises(CapacityError, match="n_bytes=10"):
        cls.for_budget(10, spec)


def test_estimates_bound_what_is_taken(make):
    memory = make()
    memory.write(items_of(63, repeats=False))
    estimate = memory.estimate_nbytes(63, WIDTH) if isinstance(memory, ExactStore) else memory.estimate_nbytes()
    assert memory.nbytes <= estimate


# ---------------------------------------------------------------- linear associator


@pytest.mark.jit_off
def test_linear_associator_is_the_naive_sum():
    rng = np.random.default_rng(0)
    items = rng.standard_normal((150, 9))
    memory = LinearAssociator(n_key=4, decay=0.02)
    memory.write(items)
    weights = np.zeros((4, 5))
    for item in items:
        x, y = item[:4] / np.linalg.norm(item[:4]), item[4:] / np.linalg.norm(item[4:])
        weights = 0.98 * weights + np.outer(x, y)
    probes = rng.standard_normal((20, 9))
    wanted = []
    for item in probes:
        wanted.append(item[:4] / np.linalg.norm(item[:4]) @ weights @ item[4:] / np.linalg.norm(item[4:]))
    assert memory.familiarity(probes) == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    answers = memory.complete(probes, np.arange(9) < 4)
    direction = (probes[:, :4] @ weights) / np.linalg.norm(probes[:, :4] @ weights, axis=1)[:, None]
    power = np.sqrt((probes[:, :4] ** 2).mean(axis=1) * 5)[:, None]
    assert np.allclose(answers[:, 4:], direction * power, rtol=1e-4, atol=1e-5)


def test_linear_associator_forgets_as_the_closed_form_says():
    d, decay = 64, 1e-3
    memory = LinearAssociator(2 * d, n_key=d, decay=decay)
    ages = [0, 100, 300, 1000, 2000, 4000]
    result = retention_curve(
        memory,
        Gaussian(2 * d),
        mode="cross_sectional",
        n_target=60_000,
        n_probe=400,
        checkpoints=ages,
        probes="recognition",
        foils="novel",
        seeds=range(4),
    )
    curve = result.where(condition="studied", measure="accuracy").curve()
    variance = 1 / (d * d * (1 - (1 - decay) ** 2))
    expected = []
    for age in ages:  # items of about that age are probed: their mean, whatever its window
        lags = 59_999 - window_of(age, 60_000, 400)
        signal = (1 - decay) ** lags / math.sqrt(2 * variance)
        expected.append(np.mean([0.5 * (1 + math.erf(s / math.sqrt(2))) for s in signal]))
    expected = np.array(expected)
    z = (curve["value"] - expected) / np.sqrt(expected * (1 - expected) / curve["n"])
    assert np.abs(z).max() < 5 and (z**2).sum() < 22.5  # 99.9 % point of 6 degrees of freedom
    assert curve["value"][0] > 0.97 and curve["value"][-1] < 0.6


def test_linear_associator_with_classes():
    memory = LinearAssociator(6, n_classes=3, decay=0.1)
    assert "predict" in capabilities(memory) and "complete" not in capabilities(memory)
    memory.write(np.eye(6), [0, 1, 2, 0, 1, 2])
    assert memory.predict(np.eye(6)).tolist() == [0, 1, 2, 0, 1, 2]
    assert memory.read(np.eye(6)[:2], k=2).values.shape == (2, 2, 3)
    assert memory.familiarity(np.eye(6)[5:]) == pytest.approx([1.0])
    for targets in (None, [0], [0, 1, 2, 0, 1, 3], [-1] * 6, [0.5] * 6):
        with pytest.raises(InputError):
            memory.write(np.eye(6), targets)
    assert len(memory) == 6
    with pytest.raises(InputError, match="complete needs"):
        memory.complete(np.eye(6), np.ones(6, bool))
    plain = LinearAssociator(6)
    plain.write(np.eye(6))
    with pytest.raises(InputError, match="predict needs n_classes"):
        plain.predict(np.eye(6))
    with pytest.raises(InputError, match="items are their own targets"):
        plain.write(np.eye(6), np.zeros(6, int))


# ---------------------------------------------------------------- delta rule in a drifting context


@pytest.mark.jit_off
@pytest.mark.parametrize("n_classes", [None, 4])
def test_contextual_delta_is_the_naive_rule(n_classes):
    rng = np.random.default_rng(1)
    items, labels = rng.standard_normal((150, 6)), rng.integers(0, 4, 150)
    memory = ContextualDelta(6, n_classes, n_context=5, learning_rate=0.7, drift=0.9, context_share=0.4, random_state=5)
    memory.write(items[:0], None if n_classes is None else labels[:0])
    context = memory._normals(np.zeros(1, np.int64), 1)[0]
    weights = np.zeros((11, n_classes or 6))

    def key_at(item, step, context):
        noise = memory._normals(np.array([step]), 0)[0]
        context = 0.9 * context + math.sqrt(1 - 0.81) * noise
        parts = math.sqrt(0.6) * item / np.linalg.norm(item), math.sqrt(0.4) * context / np.linalg.norm(context)
        return np.concatenate(parts), context

    for step, item in enumerate(items):
        key, context = key_at(item, step, context)
        target = item / np.linalg.norm(item) if n_classes is None else np.eye(4)[labels[step]]
        weights += 0.7 * np.outer(key, target - key @ weights)
    memory.write(items, None if n_classes is None else labels)
    keys = np.stack([key_at(item, 150, context)[0] for item in items[:30]])
    if n_classes:
        assert np.array_equal(memory.predict(items[:30]), (keys @ weights).argmax(axis=1))
        assert memory.familiarity(items[:30]) == pytest.approx((keys @ weights).max(axis=1), rel=1e-5)
    else:
        values = items[:30] / np.linalg.norm(items[:30], axis=1)[:, None]
        assert memory.familiarity(items[:30]) == pytest.approx(((keys @ weights) * values).sum(axis=1), rel=1e-5, abs=1e-6)


def test_context_drifts_as_its_correlation_says():
    memory = ContextualDelta(4, n_context=200, drift=0.95, random_state=0)
    memory.write(np.ones((1, 4)))
    contexts, _ = memory._contexts(0, 2000)
    assert contexts.mean() == pytest.approx(0, abs=0.05) and contexts.std() == pytest.approx(1, abs=0.02)
    for lag in (1, 10, 30):
        assert (contexts[lag:] * contexts[:-lag]).mean() == pytest.approx(0.95**lag, abs=0.03)
    other = ContextualDelta(4, n_context=200, drift=0.95, random_state=1)
    other.write(np.ones((1, 4)))
    assert abs((contexts * other._contexts(0, 2000)[0]).mean()) < 0.03


# ---------------------------------------------------------------- buffers


def test_fifo_is_a_step_exactly_at_its_capacity():
    source = RandomSigns(64)
    targets, n = source.ids("target", 6000), 6000
    memory = FIFOBuffer(64, 1000)
    for start in range(0, n, 77):
        memory.write(source.get(targets[start : start + 77]))
    scores = memory.familiarity(source.get(targets))
    foils = memory.familiarity(source.get(source.novel_ids(targets)))
    right = np.where(scores == foils, 0.5, scores > foils)[::-1]  # by lag
    assert (right[:1000] == 1).all() and np.array_equal(np.flatnonzero(scores == 0), np.arange(5000, 6000))
    assert abs(right[1000:].mean() - 0.5) < 4 * 0.5 / 5000**0.5


def test_reservoir_keeps_a_fair_sample():
    n, capacity, runs = 400, 20, 400
    items = np.arange(float(n))[:, None]
    kept = np.zeros(n)
    for seed in range(runs):
        memory = ReservoirBuffer(1, capacity, random_state=seed)
        memory.write(items)
        assert len(memory) == capacity == len(set(memory.ids_.tolist()))
        assert np.array_equal(memory.items_[:, 0], memory.ids_.astype(float))
        kept[memory.ids_] += 1
    share = capacity / n
    by_age = kept.reshape(20, 20).sum(axis=1)
    expected, spread = runs * 20 * share, math.sqrt(runs * 20 * share * (1 - share))
    assert np.abs(by_age - expected).max() < 5 * spread and (((by_age - expected) / spread) ** 2).sum() < 45.3


def test_reservoir_against_algorithm_r_item_by_item():
    memory = ReservoirBuffer(1, 5, random_state=9)
    memory.write(np.arange(60.0)[:, None], np.arange(60) % 7)
    from neuromem.random import philox4x32, uniform53

    places = list(range(5))
    for t in range(5, 60):
        words = philox4x32([[t, 0, 0, 0]], memory.key_)[0]
        place = int(uniform53(words[0], words[1]) * (t + 1))
        if place < 5:
            places[place] = t
    assert memory.ids_.tolist() == places and memory.targets_.tolist() == [t % 7 for t in places]
    assert memory.predict([[float(places[0])]]).tolist() == [places[0] % 7]
    with pytest.raises(InputError, match="fair sample"):
        memory.forget([0])
    assert "forget" not in capabilities(memory)


def test_buffers_do_not_share_what_was_passed_in():
    for memory in (FIFOBuffer(2, 5), ReservoirBuffer(2, 5, random_state=0), ExactStore(2), TwoStore(2), ActivationMemory(2)):
        items = np.ones((3, 2), np.float32)
        memory.write(items)
        items[:] = 7
        assert (memory.items_ == 1).all(), type(memory).__name__
        many = np.full((50, 2), 2.0, np.float32)
        memory.write(many)
        assert (many == 2).all() and (items == 7).all()


# ---------------------------------------------------------------- activation


@pytest.mark.jit_off
def test_activation_of_the_published_form():
    memory = ActivationMemory(1)
    for wait in (9, 9, 99):
        memory.write([[1.0]])
        memory.idle(wait)
    assert memory.activation([[1.0]]) == pytest.approx([-0.220757], abs=1e-6)
    assert memory.exposure_decays_ == pytest.approx([0.177, 0.321364, 0.408233], abs=1e-6)
    assert memory.recall_probability([[1.0], [2.0]]) == pytest.approx([0.869332, 0.0], abs=1e-6)


@pytest.mark.jit_off
def test_activation_against_a_naive_history():
    items = items_of(120)
    memory = ActivationMemory(random_state=0)
    memory.write(items)
    history = {}
    for step, item in enumerate(items):
        past = history.setdefault(item.tobytes(), [])
        decay = 0.177
        if past:
            decay += 0.217 * sum((step - then) ** -d for then, d in past)
        past.append((step, decay))
    wanted = [math.log(sum((120 - then) ** -d for then, d in history[item.tobytes()])) for item in items]
    assert memory.activation(items) == pytest.approx(wanted, rel=1e-10)
    assert len(memory) == len(history)


@pytest.mark.jit_off
def test_a_full_activation_memory_drops_the_oldest_exposures():
    items = items_of(90, 4)
    memory = ActivationMemory(WIDTH, 25, "oldest", random_state=0)
    history, order = {}, []
    for step, item in enumerate(items):
        if len(order) == 25:
            key = order.pop(0)
            history[key].pop(0)
        past = history.setdefault(item.tobytes(), [])
        past.append((step, 0.177 + (0.217 * sum((step - then) ** -d for then, d in past) if past else 0)))
        order.append(item.tobytes())
    memory.write(items)
    assert len(memory) == sum(bool(past) for past in history.values()) and len(memory.exposure_ids_) == 25
    for item in items:
        past = history[item.tobytes()]
        wanted = math.log(sum((90 - then) ** -d for then, d in past)) if past else -math.inf
        assert memory.activation(item[None])[0] == pytest.approx(wanted, rel=1e-10)
    full = ActivationMemory(WIDTH, 25)
    full.write(items[:25])
    before = full.copy()
    with pytest.raises(CapacityError, match="1 more than fit"):
        full.write(items[25:26])
    same(full, before)


@pytest.mark.parametrize("cls", [ActivationMemory, TwoStore])
def test_items_are_recalled_as_often_as_their_chance_says(cls):
    rng = np.random.default_rng(0)
    memory = cls(16, random_state=0)
    items = rng.standard_normal((4000, 16))
    memory.write(items)
    memory.idle(30)
    chances = memory.recall_probability(items)
    recalled = memory.familiarity(items) > 0
    assert 0.05 < chances.mean() < 0.98
    for group in np.array_split(np.argsort(chances), 8):
        spread = math.sqrt((chances[group] * (1 - chances[group])).sum())
        assert abs(recalled[group].sum() - chances[group].sum()) < max(4.5 * spread, 5.0)
    assert np.array_equal(recalled, memory.familiarity(items) > 0)  # until something comes
    values = memory.complete(items, np.arange(16) < 8)
    assert np.array_equal((values[:, 8:] != 0).any(axis=1), recalled)
    found = memory.read(items)
    assert np.array_equal(found.ids[:, 0] >= 0, recalled) and np.array_equal(found.ids[recalled, 0], np.flatnonzero(recalled))
    memory.idle(1)
    assert not np.array_equal(recalled, memory.familiarity(items) > 0)
    assert (memory.familiarity(rng.standard_normal((9, 16))) == 0).all()


@pytest.mark.parametrize("cls", [ActivationMemory, TwoStore])
def test_targets_and_forgetting_of_single_items(cls):
    memory = cls(2, random_state=0)
    memory.write([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0], [-0.0, 1.0]], [5, 6, 7, 8])
    assert memory.ids_.tolist() == [0, 1] and memory.targets_.tolist() == [8, 6]
    assert memory.predict([[0.0, 1.0], [2.0, 3.0]]).tolist() in ([8, 6], [-1, 6], [8, -1], [-1, -1])
    with pytest.raises(InputError, match="for all items or for none"):
        memory.write([[4.0, 4.0]])
    assert memory.forget([0, 17]) == 1 and len(memory) == 1
    assert memory.recall_probability([[0.0, 1.0]]).tolist() == [0.0]
    assert memory.write([[0.0, 1.0]], [1]).tolist() == [2]
    memory.reset()
    assert len(memory) == 0
    with pytest.raises(NotFittedError):
        memory.complete([[0.0, 0.0]], [True, False])


# ---------------------------------------------------------------- two stores


@pytest.mark.jit_off
def test_two_stores_against_small_steps():
    memory = TwoStore(1, gain=0.6, fast_decay=0.04, transfer=0.03, slow_decay=0.002)
    fast = slow = 0.0
    n_parts = 4000
    for wait in (5, 0, 40, 12):
        memory.write([[1.0]])
        fast += 0.6 * (1 - fast)
        memory.idle(wait)
        for _ in range(n_parts):
            dt = (wait + 1) / n_parts
            fast, slow = fast - dt * 0.07 * fast, slow + dt * (0.03 * fast - 0.002 * slow)
    assert memory.recall_probability([[1.0]])[0] == pytest.approx(1 - math.exp(-3 * (fast + slow)), rel=2e-4)


def test_two_stores_drop_what_came_first():
    memory = TwoStore(1, 3, "oldest", random_state=0)
    memory.write([[0.0], [1.0], [2.0], [0.0], [3.0], [1.0], [0.0]])
    # 3 pushes out 0, which comes again as a new item and pushes out 1 ... or had 1 come again first
    assert memory.items_[:, 0].tolist() == [2.0, 3.0, 0.0]
    assert memory.ids_.tolist() == [2, 3, 4]
    full = TwoStore(1, 2)
    full.write([[0.0], [1.0], [0.0], [1.0]])
    with pytest.raises(CapacityError, match="1 more than fit"):
        full.write([[0.0], [2.0]])


# ---------------------------------------------------------------- parameters and files

BAD = [
    (LinearAssociator, {"decay": 1.0}),
    (LinearAssociator, {"n_key": 0}),
    (LinearAssociator, {"n_features": 4, "n_key": 4}),
    (LinearAssociator, {"n_key": 2, "n_classes": 3}),
    (LinearAssociator, {"n_classes": 1}),
    (ContextualDelta, {"learning_rate": 2.0}),
    (ContextualDelta, {"drift": 1.1}),
    (ContextualDelta, {"context_share": 1.0}),
    (ContextualDelta, {"n_context": 0}),
    (ActivationMemory, {"noise": 0.0}),
    (ActivationMemory, {"decay_scale": -1.0}),
    (ActivationMemory, {"capacity": 0}),
    (ActivationMemory, {"on_full": "newest"}),
    (TwoStore, {"gain": 0.0}),
    (TwoStore, {"gain": 1.5}),
    (TwoStore, {"slow_decay": 1.0}),
    (TwoStore, {"steepness": 0.0}),
    (FIFOBuffer, {"capacity": 0}),
    (FIFOBuffer, {"n_features": 0}),
    (ReservoirBuffer, {"capacity": 0}),
]


@pytest.mark.parametrize(("cls", "params"), BAD)
def test_bad_parameters_are_refused_at_the_first_write(cls, params):
    memory = cls(**params)
    with pytest.raises(InputError):
        memory.write(np.zeros((1, 4)))
    assert len(memory) == 0


def test_items_too_narrow_for_the_key():
    memory = LinearAssociator(n_key=4)
    with pytest.raises(InputError, match="n_key=4"):
        memory.write(np.zeros((2, 4)))
    assert len(memory) == 0


def damaged(arrays, scalars):
    """Every array with NaN, cut, or other numbers; every number other."""
    for name, array in arrays.items():
        if array.size:
            yield {**arrays, name: array[:-1]}, scalars
            worst = array.copy()
            worst.ravel()[0] = np.nan if array.dtype.kind == "f" else -7 if array.dtype.kind == "i" else 0
            if array.dtype.kind != "u":
                yield {**arrays, name: worst}, scalars
    for name in scalars:
        for value in (-1, 1.5, None, "x", 10**30):
            yield arrays, {**scalars, name: value}


def test_states_that_lie_are_refused(make):
    memory = make()
    memory.write(items_of(70))
    state = memory.get_state()
    for arrays, scalars in damaged(state["arrays"], state["scalars"]):
        lie = {**state, "arrays": arrays, "scalars": scalars}
        other = make()
        try:
            other.set_state(lie)
        except FormatError:
            continue
        # what cannot be told from a sound state must work
        other.write(items_of(5, 2))
        assert np.isfinite(other.familiarity(items_of(5, 2))).all()


def test_files_of_memories_with_targets(tmp_path):
    memories = [
        LinearAssociator(WIDTH, n_classes=3),
        ContextualDelta(WIDTH, 3, random_state=0),
        ActivationMemory(WIDTH, random_state=0),
        TwoStore(WIDTH, random_state=0),
        FIFOBuffer(WIDTH, 9),
        ReservoirBuffer(WIDTH, 9, random_state=0),
    ]
    for memory in memories:
        memory.write(items_of(30), np.arange(30) % 3)
        memory.save(tmp_path / "memory.nmem")
        found = load(tmp_path / "memory.nmem")
        same(memory, found)
        assert np.array_equal(memory.predict(items_of(5)), found.predict(items_of(5)))
