"""Sparsey's public classes on a GPU: to the bit what they are on the CPU, and no array comes back to the host on the way.

Every test runs on a stand-in for CuPy whose kernels run on the CPU, and on a real GPU where there is one.
"""

import pickle
import sys

import numpy as np
import pytest
from fake_cupy import FUNCTIONS, METHODS, fake_gpu, same

import neuromem
from cuda_cpu.runner import missing
from neuromem import (
    BackendError,
    ExactStore,
    InputError,
    MultiScaleSparseyClassifier,
    SparseyClassifier,
    SparseyLayer,
    SparseyMac,
)
from neuromem.backend import Backend, backend_of
from neuromem.sparsey import ActiveRows, LabelField, encode
from neuromem.sparsey.encode import IdentityEncoder, OrientedEdgeEncoder, SkeletonEncoder, ThermometerEncoder

SCALARS = 2  # a transfer of more items than this is one of an array


@pytest.fixture
def fake(monkeypatch):
    """The stand-in: two GPUs."""
    if reason := missing():
        pytest.skip(reason)
    with fake_gpu(monkeypatch) as module:
        yield module


@pytest.fixture(params=["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)])
def cupy(request):
    """The stand-in, and the real one."""
    if request.param == "stand-in":
        return request.getfixturevalue("fake")
    return pytest.importorskip("cupy")


def pictures(n=60, side=10, seed=0):
    """Strokes of three kinds in random places, and their kinds."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    made = np.zeros((n, side, side), np.uint8)
    for picture, label in zip(made, labels, strict=True):
        at = rng.integers(2, side - 2)
        picture[at if label != 1 else slice(None), at if label == 1 else slice(None)] = 200
        if label == 2:
            np.fill_diagonal(picture, 255)
        picture += rng.integers(0, 30, picture.shape).astype(np.uint8)
    return made, labels


def items(n=30, width=40, seed=1):
    return (np.random.default_rng(seed).random((n, width)) < 0.2).astype(np.uint8)


def layer(**params):
    return SparseyLayer((10, 10), 8, (5, 5), (5, 5), 4, 20, **{"saturation_limit": 0.3, "random_state": 3} | params)


def classifier(readout="counts", **params):
    settings = {"encoder": OrientedEdgeEncoder(threshold=40.0), "critical_period": 20, "random_state": 0}
    return SparseyClassifier(layer(), readout=readout, **settings | params)


def assert_same_state(found, wanted):
    """Everything learned, the parts included."""
    assert found["scalars"] == wanted["scalars"] and set(found["arrays"]) == set(wanted["arrays"])
    for name, array in wanted["arrays"].items():
        assert same(found["arrays"][name], array), name
    for name, child in wanted["children"].items():
        pairs = (
            zip(found["children"][name], child, strict=True) if isinstance(child, list) else [(found["children"][name], child)]
        )
        for mine, theirs in pairs:
            assert_same_state(mine, theirs)


@pytest.mark.gpu
def test_the_stand_in_offers_nothing_that_cupy_has_not():
    import cupy

    assert all(hasattr(cupy, name) for name in FUNCTIONS)
    assert all(hasattr(cupy.ndarray, name) for name in METHODS)


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("readout", ["counts", "binary", "delta"])
@pytest.mark.parametrize("options", [{}, {"label_code": "sampled", "critical_period": None}, {"label_presentations": 2}])
def test_a_classifier_is_the_same_to_the_bit(cupy, readout, options):
    X, y = pictures()
    here = classifier(readout, **options).fit(X[:40], y[:40]).partial_fit(X[40:], y[40:])
    there = (
        classifier(readout, **options).fit(cupy.asarray(X[:40]), cupy.asarray(y[:40])).partial_fit(cupy.asarray(X[40:]), y[40:])
    )
    assert same(there.predict(cupy.asarray(X)), here.predict(X))
    assert same(there.transform(cupy.asarray(X)), here.transform(X))
    assert same(there.decision_scores(cupy.asarray(X)), here.decision_scores(X))
    assert isinstance(there.classes_, np.ndarray) and there.score(cupy.asarray(X), y) == here.score(X, y) > 0.5
    assert isinstance(there.layer_.weights_, cupy.ndarray) and isinstance(there.label_field_.nbytes, int)
    assert there.nbytes == here.nbytes
    assert_same_state(there.get_state(), here.get_state())


def test_text_labels_are_predicted_on_the_host(cupy):
    X, y = pictures()
    names = np.array(["bar", "post", "slash"])[y]
    found = classifier().fit(cupy.asarray(X), names).predict(cupy.asarray(X))
    assert isinstance(found, np.ndarray) and np.array_equal(found, classifier().fit(X, names).predict(X))


def test_probabilities_are_those_of_the_host_up_to_rounding(cupy):
    X, y = pictures()
    here = classifier().fit(X, y).predict_proba(X)
    there = classifier().fit(cupy.asarray(X), y).predict_proba(cupy.asarray(X))
    np.testing.assert_allclose(there.get(), here, rtol=1e-12)  # sums of exponentials: exp is each device's own


def test_networks_vote_on_the_device(cupy):
    X, y = pictures()
    encoders = [OrientedEdgeEncoder(12, 30.0), OrientedEdgeEncoder(8, 30.0, deskew=True)]
    layers = [SparseyLayer((10, 10), encoder.n_bins, (6, 6), (4, 4), 3, 70) for encoder in encoders]
    networks = [
        SparseyClassifier(a, encoder=e, readout="delta", critical_period=10) for a, e in zip(layers, encoders, strict=True)
    ]
    here = MultiScaleSparseyClassifier(networks, random_state=1).fit(X, y)
    there = MultiScaleSparseyClassifier(networks, random_state=1).fit(cupy.asarray(X), y)
    assert_same_state(there.get_state(), here.get_state())
    np.testing.assert_allclose(there.decision_scores(cupy.asarray(X)).get(), here.decision_scores(X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"units_per_module": 100, "n_modules": 3, "transfer": "logistic"},
        {"units_per_module": 300, "n_modules": 2, "freeze": "mac", "saturation_limit": 0.05},
        {"winners": "uniform", "normalization": "fixed", "activation_bounds": (4, 9)},
        {"winners": "random_patches"},
        {"critical_period": 5, "freeze": None, "u_exponent": 1.0},
    ],
)
def test_every_verb_of_a_memory_is_the_same(cupy, params):
    X, settings = items(), {"keep_codes": True, "random_state": 2} | params
    here, there = SparseyMac(**settings), SparseyMac(**settings)
    assert same(there.write(cupy.asarray(X[:20])), here.write(X[:20]))
    cues = cupy.asarray(X)
    assert same(there.transform(cues), here.transform(X))
    assert same(there.trace(cues).familiarity, here.trace(X).familiarity)
    assert same(there.trace(cues).expansivity, here.trace(X).expansivity)
    assert same(there.likelihood(cues), here.likelihood(X))
    codes = here.present(X, False).codes
    assert same(there.nearest_stored(cupy.asarray(codes)), here.nearest_stored(codes))
    assert same(there.reconstruct(cupy.asarray(codes)), here.reconstruct(codes))
    known = np.arange(40) < 25
    assert same(there.complete(cues, known), here.complete(X, known))
    assert same(there.complete(cues, cupy.asarray(known)), here.complete(X, known))
    found, wanted = there.read(cues, k=2), here.read(X, k=2)
    assert same(found.values, wanted.values) and same(found.ids, wanted.ids)
    np.testing.assert_allclose(found.scores.get(), wanted.scores, rtol=1e-6)
    np.testing.assert_allclose(there.familiarity(cues).get(), here.familiarity(X), rtol=1e-6)
    for name, value in here.saturation().items():
        np.testing.assert_allclose(there.saturation()[name].get(), value, rtol=1e-12)
    assert_same_state(there.get_state(), here.get_state())


def test_a_memory_that_learned_nothing_reads_where_the_cues_live(cupy):
    X = items(5)
    assert same(SparseyMac(random_state=0).familiarity(cupy.asarray(X)), SparseyMac(random_state=0).familiarity(X))
    assert same(SparseyMac(random_state=0).read(cupy.asarray(X)).values, SparseyMac(random_state=0).read(X).values)


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_items(cupy, n):
    X, y = pictures(30)
    there, here = classifier().fit(cupy.asarray(X), y), classifier().fit(X, y)
    assert same(there.predict(cupy.asarray(X[:n])), here.predict(X[:n]))
    assert same(there.layer_.write(cupy.asarray(items(n, 800))), here.layer_.write(items(n, 800)))


@pytest.mark.parametrize(
    "encoder",
    [
        OrientedEdgeEncoder(),
        OrientedEdgeEncoder(5, 20.0),
        OrientedEdgeEncoder(deskew=True),
        ThermometerEncoder(3),
        IdentityEncoder(),
    ],
    ids=repr,
)
def test_encoders_are_the_same(cupy, encoder, monkeypatch):
    monkeypatch.setattr(encode, "IMAGES_PER_BLOCK", 7)
    X = pictures(20)[0]
    if isinstance(encoder, ThermometerEncoder):
        X = X.reshape(20, -1).astype(np.float64)
    if isinstance(encoder, IdentityEncoder):
        X = items(20)
    here, there = encoder.copy().fit(X), encoder.copy().fit(cupy.asarray(X))
    found, wanted = there.active(cupy.asarray(X)), here.active(X)
    assert same(found.indices, wanted.indices) and same(found.indptr, wanted.indptr)
    assert same(there.transform(cupy.asarray(X)), here.transform(X))
    assert_same_state(there.get_state(), here.get_state())


def test_encoding_functions_take_arrays_of_the_device(cupy):
    X = pictures(6)[0]
    for function in (encode.binarize, encode.deskew, encode.oriented_edges):
        assert same(function(cupy.asarray(X)), function(X))


# ---------------------------------------------------------------- no round trip


def learn_and_predict(cupy, readout, n):
    X, y = pictures(n)
    X, y = cupy.asarray(X), cupy.asarray(y)
    cupy.traffic.down.clear()
    found = classifier(readout).fit(X, y).predict(X)
    return found, list(cupy.traffic.down)


@pytest.mark.parametrize("readout", ["counts", "delta"])
def test_nothing_but_a_few_numbers_comes_back_while_learning_and_predicting(fake, readout):
    found, few = learn_and_predict(fake, readout, 40)
    assert isinstance(found, fake.ndarray)
    # the different labels are kept on the host; all else are answers of checks, sizes of results, counts of silent macs
    assert sum(size > SCALARS for size in few) == 1 and max(few) == 3
    _, many = learn_and_predict(fake, readout, 120)
    assert len(many) == len(few) <= 60


def test_a_stream_of_items_leaves_a_few_numbers_per_write(fake):
    memory, X = SparseyMac(random_state=0), fake.asarray(items(50))
    memory.write(X)
    fake.traffic.down.clear()
    fake.traffic.up.clear()
    memory.write(X)
    memory.familiarity(X)
    assert len(fake.traffic.down) <= 8 and max(fake.traffic.down) <= SCALARS
    assert not fake.traffic.up


# ---------------------------------------------------------------- moving


def test_to_the_gpu_and_back_goes_on_as_if_nothing_had_happened(cupy):
    X, y = pictures()
    here = classifier("delta").fit(X[:30], y[:30])
    there = here.to("gpu")
    assert isinstance(there.layer_.weights_, cupy.ndarray) and isinstance(here.layer_.weights_, np.ndarray)
    assert same(there.predict(cupy.asarray(X)), here.predict(X))
    here.partial_fit(X[30:], y[30:])
    there.partial_fit(cupy.asarray(X[30:]), y[30:])
    back = there.to("cpu")
    assert isinstance(back.layer_.fields_, np.ndarray)
    assert_same_state(back.get_state(), here.get_state())
    assert same(back.predict(X), here.predict(X))
    there.partial_fit(cupy.asarray(X), y)
    assert_same_state(back.get_state(), here.get_state())  # nothing is shared


def test_an_unfitted_memory_moves_without_arrays(cupy):
    memory = SparseyMac(random_state=0).to("gpu")
    assert not memory._is_fitted() and memory.get_params() == SparseyMac(random_state=0).get_params()


def test_a_device_memory_is_saved_copied_and_pickled(cupy, tmp_path):
    X = items()
    memory = SparseyMac(keep_codes=True, random_state=0).fit(cupy.asarray(X))
    memory.save(tmp_path / "memory.nmem")
    loaded, pickled = neuromem.load(tmp_path / "memory.nmem"), pickle.loads(pickle.dumps(memory))
    for found in (loaded, pickled):
        assert isinstance(found.weights_, np.ndarray)
        assert_same_state(found.get_state(), memory.get_state())
    double = memory.copy()
    assert isinstance(double.weights_, cupy.ndarray)
    double.write(cupy.asarray(items(5, seed=9)))
    assert same(memory.transform(cupy.asarray(X)), loaded.transform(X))


@pytest.mark.parametrize("device", ["tpu", "gpu:", "gpu:-1", "gpu:x", "cuda", "", None, 1])
def test_unknown_devices_are_named(device):
    with pytest.raises(BackendError, match="device is .* was expected"):
        SparseyMac().to(device)


def test_a_gpu_that_is_not_there(fake):
    with pytest.raises(BackendError, match="device is 2, there are 2"):
        SparseyMac().to("gpu:2")


def test_without_cupy_the_remedy_is_told(monkeypatch):
    from neuromem import gpu

    monkeypatch.setitem(sys.modules, "cupy", None)
    gpu.availability.cache_clear()
    with pytest.raises(BackendError, match="gpu-cuda12"):
        SparseyMac().to("gpu")
    gpu.availability.cache_clear()


def test_work_on_another_gpu_needs_it_to_be_the_current_one(fake):
    X = items()
    memory = SparseyMac(random_state=0).fit(X).to("gpu:1")
    assert backend_of(memory.weights_) == Backend("cupy", 1)
    with fake.cuda.Device(1):
        there = fake.asarray(X)
        assert same(memory.transform(there), SparseyMac(random_state=0).fit(X).transform(X))
        assert same(memory.to("gpu:0").to("gpu:1").transform(there), SparseyMac(random_state=0).fit(X).transform(X))
    fresh = SparseyMac(random_state=0)
    with pytest.raises(BackendError, match=r"live on GPU 1, but CuPy is using GPU 0; work inside 'with cupy.cuda.Device\(1\):'"):
        fresh.present(ActiveRows._trusted(there, there, 40), True)
    assert not fresh._is_fitted()


# ---------------------------------------------------------------- mixing


def test_mixed_families_are_refused_and_nothing_is_learned(cupy):
    X, y = pictures()
    here, there = classifier().fit(X, y), classifier().fit(cupy.asarray(X), y)
    before = [model.get_state() for model in (here, there)]
    for model, wrong in ((here, cupy.asarray(X)), (there, X)):
        for use in (model.predict, model.transform, lambda X, model=model: model.partial_fit(X, y)):
            with pytest.raises(BackendError, match="X on (the CPU|GPU 0), memory on (the CPU|GPU 0)"):
                use(wrong)
    for model, state in zip((here, there), before, strict=True):
        assert_same_state(model.get_state(), state)


def test_mixed_arguments_say_which_lives_where(cupy):
    X = items()
    memory = SparseyMac(random_state=0).fit(cupy.asarray(X))
    codes = memory.present(cupy.asarray(X), False).codes
    with pytest.raises(BackendError, match="a on GPU 0, b on the CPU"):
        memory.intersect(codes, codes.get())
    with pytest.raises(BackendError, match="codes on the CPU, memory on GPU 0"):
        memory.reconstruct(codes.get())
    with pytest.raises(BackendError, match="cues on the CPU, known on the CPU, memory on GPU 0"):
        memory.complete(X, np.ones(40, bool))
    with pytest.raises(BackendError, match="cues on the CPU, known on GPU 0"):
        SparseyMac(random_state=0).fit(X).complete(X, cupy.ones(40, bool))
    rows = ActiveRows.from_dense(cupy.asarray(X))
    with pytest.raises(BackendError, match="indices on GPU 0, indptr on the CPU"):
        ActiveRows(rows.indices, rows.indptr.get(), 40)
    field = LabelField(24, 32, 2).learn(codes, np.arange(30) % 2)
    with pytest.raises(BackendError, match="codes on the CPU, label_field on GPU 0"):
        field.scores(codes.get())
    encoder = ThermometerEncoder(2).fit(X)
    with pytest.raises(BackendError, match="X on GPU 0, encoder on the CPU"):
        encoder.transform(cupy.asarray(X))


def test_bad_input_on_the_device_is_told_as_on_the_host(cupy):
    X = items().astype(np.float64)
    memory = SparseyMac(random_state=0).fit(cupy.asarray(X))
    for bad, message in ((np.nan, "NaN"), (0.5, "value 0.5: binary input expected")):
        X[3, 4] = bad
        with pytest.raises(InputError, match=message):
            memory.write(cupy.asarray(X))
    with pytest.raises(InputError, match="39 features"):
        memory.write(cupy.asarray(X[:, :39]))
    with pytest.raises(InputError, match="unseen class 7"):
        classifier().fit(cupy.asarray(pictures()[0]), pictures()[1]).partial_fit(cupy.asarray(pictures()[0]), cupy.full(60, 7))
    bad_rows = cupy.asarray(np.array([0, 50], np.int32)), cupy.asarray(np.array([0, 2], np.int64))
    with pytest.raises(InputError, match="outside 0 ... 39"):
        ActiveRows(*bad_rows, 40)


def test_what_runs_on_the_cpu_only_says_so(cupy):
    X = cupy.asarray(pictures(5)[0])
    for use in (SkeletonEncoder().fit, encode.skeletonize_to):
        with pytest.raises(BackendError, match="works on the CPU only, but .* lives on GPU 0"):
            use(X)
    with pytest.raises(BackendError, match="ExactStore works on the CPU only"):
        ExactStore().write(cupy.asarray(items()))
    with pytest.raises(BackendError, match="SparseyMac with decay='permanence' works on the CPU only"):
        SparseyMac(decay="permanence").write(cupy.asarray(items()))
    for made in (SparseyMac(decay="convex").fit(items()), SkeletonEncoder(), ExactStore()):
        with pytest.raises(BackendError, match="works on the CPU only"):
            made.to("gpu")
