"""A mac with given context: equal to networks whose contexts it is given, equal to its oracle, cases with a known answer."""

import numpy as np
import pytest
from sequence_cases import levels_of, one_level
from test_hostile import equal, load_or_refuse, rewrite

import neuromem
from neuromem import FormatError, InputError, NotFittedError, SaturationWarning
from neuromem.experiments.sparsey_sequences import N_INPUTS, random_sequence
from neuromem.sparsey import ActiveRows, SparseyContextMac
from neuromem.sparsey.network_memory import VERSIONS
from neuromem.sparsey.reference_network import run_given as plain_run_given

SILENT = 255


def items_with_context(seed, n, q=4, k=5, parents=2, above=(3, 70), width=24):
    """Items of which many return, each with its own context or sometimes another; some of it silent."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 8, n)
    items = (rng.random((8, width)) < 0.3)[which].astype(np.uint8)
    swapped = np.where(rng.random(n) < 0.2, rng.integers(0, 8, n), which)
    own, top = rng.integers(0, k, (8, q))[which], rng.integers(0, above[1], (8, parents, above[0]))[swapped]
    own[rng.random(n) < 0.2] = -1
    top[rng.random((n, parents)) < 0.3] = -1
    return items, own, top


def small(config=0, **settings):
    rng = np.random.default_rng(config)
    low = int(rng.integers(1, 4))
    drawn = dict(
        u_exponent=float(rng.choice([1.0, 4.0, 8.0])),
        h_exponent=float(rng.choice([0.5, 1.0, 2.0])),
        d_exponent=float(rng.choice([0.5, 1.0, 2.0])),
        activation_bounds=(low, None if rng.random() < 0.5 else low + 6),
        saturation_limit=float(rng.choice([0.4, 1.0])),
        critical_period=None if rng.random() < 0.7 else 25,
        backoff=str(rng.choice(["none", "relative", "absolute"])),
        transfer=str(rng.choice(["psi", "logistic"])),
    )
    memory = SparseyContextMac(24, 4, 5, n_parents=2, parent_modules=3, parent_units=70, random_state=config, **drawn | settings)
    memory._allocate(24)
    memory.saturation_warned_ = True
    return memory


# ---------------------------------------------------------------- against networks, and against the oracle


def given_its_own_past(network, mac, sequences):
    """Let a network learn, and tell the mac at each step what the network held at the step before."""
    n_levels = network.n_levels_
    for frames in sequences:
        network.begin_episode()
        own = np.full((1, mac.n_modules), SILENT)
        above = np.full((1, 1, mac.parent_modules), SILENT)
        for frame in frames:
            wanted = network.present(frame[None], True)
            found = mac.present(frame[None], True, horizontal=own, top_down=above if n_levels > 1 else None)
            for name in ("codes", "recalled", "ages", "familiarity", "versions"):
                np.testing.assert_array_equal(getattr(found, name)[0], getattr(wanted, name)[0], err_msg=name)
            own = wanted.codes[0][:, 0]
            above = wanted.codes[1] if n_levels > 1 else above


def test_given_its_own_codes_it_is_a_sequence_memory():
    rng = np.random.default_rng(0)
    sequences = [random_sequence(rng, 8) for _ in range(4)]
    network, mac = one_level(3), SparseyContextMac(N_INPUTS, 24, 32, random_state=3)
    given_its_own_past(network, mac, sequences)
    assert np.array_equal(mac.weights_, network.weights_) and np.array_equal(mac.n_weights_, network.n_weights_)
    assert mac.saturation()[0]["across"] == network.saturation()[0]["across"] and mac.step_ == network.step_


def test_given_a_hierarchy_s_codes_it_is_the_first_level():
    rng = np.random.default_rng(1)
    sequences = [random_sequence(rng, 9) for _ in range(3)]
    network = levels_of(5, 1, 2)
    mac = SparseyContextMac(N_INPUTS, 16, 24, n_parents=1, random_state=5)
    given_its_own_past(network, mac, sequences)
    assert np.array_equal(mac.weights_, network.weights_[: len(mac.weights_)])
    assert np.array_equal(mac.frozen_, network.frozen_[: len(mac.frozen_)])
    shown = [network.trace(frames) for frames in sequences]  # and reads, with back-off
    for frames, trace in zip(sequences, shown, strict=True):
        own = np.concatenate([np.full((1, 16), SILENT), trace.codes[0][:-1, 0]])
        above = np.concatenate([np.full((1, 1, 16), SILENT), trace.codes[1][:-1]])
        found = mac.copy().set_params(backoff_ratio=0.8).trace(frames, horizontal=own, top_down=above)
        assert np.array_equal(found.codes[0], trace.codes[0]) and np.array_equal(found.versions[0], trace.versions[0], True)


def compare_with_the_oracle(config, n, monkeypatch):
    items, own, top = items_with_context(config, n)
    kernel, oracle = small(config), small(config)
    traces = []
    for memory in (kernel, oracle):
        with monkeypatch.context() as patch:
            if memory is oracle:
                patch.setattr("neuromem.sparsey.kernels.run_given", plain_run_given)
            learned = memory.present(items, True, horizontal=own, top_down=top)
            read = memory.trace(items, horizontal=own[::-1], top_down=top)
            free = memory.trace(None, horizontal=own, top_down=top)
            traces.append((learned, read, free, memory.trace(items)))
    for a, b in zip(*traces, strict=True):
        for name in ("codes", "recalled", "ages", "familiarity", "versions"):
            np.testing.assert_array_equal(getattr(a, name)[0], getattr(b, name)[0], err_msg=name)
    assert equal(kernel, oracle)


@pytest.mark.jit_off
@pytest.mark.parametrize("config", range(3))
def test_items_equal_the_oracle(config, monkeypatch):
    compare_with_the_oracle(config, 30, monkeypatch)


def test_many_items_equal_the_oracle_in_many_macs(monkeypatch):
    for config in range(3, 15):
        compare_with_the_oracle(config, 80, monkeypatch)


# ---------------------------------------------------------------- cases with a known answer


def test_the_same_item_in_other_contexts_gets_other_codes():
    rng = np.random.default_rng(0)
    item = np.repeat(random_sequence(rng, 1), 6, axis=0)
    contexts = rng.integers(0, 32, (6, 24))
    memory = SparseyContextMac(random_state=0)
    codes = memory.present(item, True, horizontal=contexts).codes[0][:, 0]
    equal_winners = (codes[:, None] == codes[None]).mean(axis=2)
    assert equal_winners[~np.eye(6, dtype=bool)].max() < 0.4
    trace = memory.trace(item, horizontal=contexts)
    assert np.array_equal(trace.codes[0][:, 0], codes) and (trace.familiarity[0] == 1.0).all()
    uh, u, d = (VERSIONS.index(v) for v in ("UH", "U", "D"))
    unknown = memory.trace(item, horizontal=rng.integers(0, 32, (6, 24))).versions[0][:, 0]
    assert (unknown[:, u] == 1.0).all() and (unknown[:, uh] < 0.6).all() and np.isnan(unknown[:, d]).all()


def test_items_follow_from_their_context_alone():
    rng = np.random.default_rng(1)
    items = random_sequence(rng, 10)
    above = rng.integers(0, 24, (10, 2, 16))
    memory = SparseyContextMac(horizontal=False, n_parents=2, random_state=0)
    memory.write(items, top_down=above)
    found = memory.read(None, top_down=above)
    assert np.array_equal(found.values[:, 0] > 0.5, items.astype(bool)) and (found.scores == 1.0).all()
    one_parent = above.copy()
    one_parent[:, 1] = -1  # normalised by what is there: the other parent alone is enough
    assert np.array_equal(memory.read(None, top_down=one_parent).values[:, 0] > 0.5, items.astype(bool))
    known = np.arange(N_INPUTS) < 72
    completed = memory.complete(items, known, top_down=above) > 0.5
    assert np.array_equal(completed, items.astype(bool))
    nothing = memory.trace(None, top_down=np.full((3, 2, 16), -1))
    assert (nothing.codes[0] == SILENT).all() and not nothing.familiarity[0].any()


def test_nothing_given_is_nothing_heard():
    items, own, top = items_with_context(0, 20)
    absent, silent, named = small(), small(), small()
    absent.write(items)
    silent.write(items, horizontal=own * 0 - 1, top_down=top * 0 - 1)
    named.write(items, horizontal=np.full(own.shape, SILENT), top_down=np.full(top.shape, SILENT))
    assert equal(absent, silent) and equal(absent, named)
    assert absent.saturation()[0]["across"][0] == absent.saturation()[0]["down"][0] == 0.0
    absent.write(items, horizontal=own, top_down=top)
    fills = absent.saturation()[0]
    assert fills["across"][0] > 0.0 and fills["down"][0] > 0.0


def test_each_item_is_read_by_itself():
    items, own, top = items_with_context(1, 200)
    memory = small()
    memory.write(items[:100], horizontal=own[:100], top_down=top[:100])
    whole = memory.read(items, horizontal=own, top_down=top)
    order = np.random.default_rng(0).permutation(200)
    other = memory.read(ActiveRows.from_dense(items[order]), horizontal=own[order], top_down=top[order])
    assert np.array_equal(whole.info["codes"][order], other.info["codes"]) and np.array_equal(whole.values[order], other.values)
    with neuromem.threads(1):
        alone = memory.read(items, horizontal=own, top_down=top)
    assert np.array_equal(alone.values, whole.values) and np.array_equal(alone.scores, whole.scores)


@pytest.mark.parametrize("size", [1, 7])
def test_chunks_with_context_make_no_difference(size):
    items, own, top = items_with_context(2, 40)
    whole, parts = small(), small()
    whole.write(items, horizontal=own, top_down=top)
    for start in range(0, 40, size):
        some = slice(start, start + size)
        ids = parts.write(items[some], horizontal=own[some], top_down=top[some])
        assert ids[0] == start
    assert equal(whole, parts)


# ---------------------------------------------------------------- bad input, files

BAD = {
    "another number of items": lambda m, x, h, d: m.write(x, horizontal=h[1:]),
    "another number of modules": lambda m, x, h, d: m.write(x, horizontal=h[:, 1:]),
    "another number of parents": lambda m, x, h, d: m.write(x, top_down=d[:, :1]),
    "numbers that are not whole": lambda m, x, h, d: m.read(x, horizontal=h * 1.0),
    "winners that do not exist": lambda m, x, h, d: m.read(x, horizontal=np.full_like(h, 5)),
    "negative winners": lambda m, x, h, d: m.read(x, top_down=np.full_like(d, -2)),
    "half a code": lambda m, x, h, d: m.write(x, horizontal=np.where(np.arange(4) == 2, -1, 0) + h * 0),
    "neither items nor context": lambda m, x, h, d: m.read(None),
    "a context that is no table": lambda m, x, h, d: m.read(None, horizontal=3),
    "targets": lambda m, x, h, d: m.write(x, [1] * len(x)),
    "no parents": lambda m, x, h, d: SparseyContextMac(24, 4, 5).write(x, top_down=d),
    "no weights of its own": lambda m, x, h, d: SparseyContextMac(24, 4, 5, horizontal=False).write(x, horizontal=h),
    "one module": lambda m, x, h, d: SparseyContextMac(24, 1, 5).write(x),
    "too many parents": lambda m, x, h, d: SparseyContextMac(24, 4, 5, n_parents=2**30).write(x),
    "no units above": lambda m, x, h, d: SparseyContextMac(24, 4, 5, n_parents=1, parent_units=0).write(x),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls(name):
    items, own, top = items_with_context(3, 12)
    memory = small()
    memory.write(items, horizontal=own, top_down=top)
    before = memory.copy()
    with pytest.raises(InputError):
        BAD[name](memory, items, own * 0, top)
    assert equal(memory, before)


def test_what_needs_a_memory_says_so():
    with pytest.raises(NotFittedError):
        SparseyContextMac().read(None, horizontal=np.zeros((2, 24), int))
    memory = SparseyContextMac(20, 2, 2, random_state=0)
    with pytest.warns(SaturationWarning):
        memory.write(np.ones((30, 20), np.uint8))
    assert memory.nbytes == memory.estimate_nbytes()


def test_budgets_are_kept():
    spec = neuromem.ItemSpec(64, "binary", 0.1)
    for n_bytes in (60_000, 600_000):
        memory = SparseyContextMac.for_budget(n_bytes, spec, n_parents=1, parent_units=8, random_state=0)
        memory.write(np.eye(64, dtype=np.uint8)[:5])
        assert 0.3 * n_bytes < memory.nbytes <= n_bytes
    with pytest.raises(neuromem.CapacityError):
        SparseyContextMac.for_budget(10, spec)


FORGERIES = {
    "many parents": lambda header, members: header["params"].update(n_parents=2**26),
    "more parents than weights": lambda header, members: header["params"].update(n_parents=2**20),
    "another number of parents": lambda header, members: header["params"].update(n_parents=1),
    "deaf": lambda header, members: header["params"].update(horizontal=False),
    "huge parents": lambda header, members: header["params"].update(parent_units=65535),
    "text": lambda header, members: header["params"].update(n_parents="2"),
    "huge width": lambda header, members: (
        header["scalars"].update(n_features_in_=2**30),
        header["params"].update(n_inputs=None),
    ),
    "context": lambda header, members: header["arrays"].update(codes_=header["arrays"]["n_weights_"]),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_files(name, tmp_path):
    items, own, top = items_with_context(4, 12)
    memory = small()
    memory.write(items, horizontal=own, top_down=top)
    memory.save(tmp_path / "m.nmem")
    assert equal(neuromem.load(tmp_path / "m.nmem"), memory)
    rewrite(tmp_path / "m.nmem", tmp_path / "forged.nmem", FORGERIES[name])
    assert not load_or_refuse(tmp_path / "forged.nmem", memory)


def test_states_that_nothing_could_have_left():
    items, own, top = items_with_context(5, 12)
    memory = small()
    memory.write(items, horizontal=own, top_down=top)
    before = memory.copy()
    for name in ("weights_", "n_weights_", "frozen_"):
        state = memory.get_state()
        state["arrays"][name] = ~state["arrays"][name]
        with pytest.raises(FormatError):
            memory.set_state(state)
    assert equal(memory, before)
