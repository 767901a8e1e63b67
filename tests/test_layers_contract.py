"""Layers: weights by name, order of calls, bad input, files, copies."""

import pickle

import numpy as np
import pytest
from layer_cases import LAYERS, run, sample

import neuromem
from neuromem import CallOrderError, FormatError, InputError, InputTypeError, NeuromemError
from neuromem.errors import BackendError
from neuromem.io import CLASSES
from neuromem.layers import LSTM, MLP, CausalConvolution, Composite, Dense, Embedding, Layer, LayerNorm, MultiHeadAttention
from neuromem.optim import Adam

pytestmark = pytest.mark.jit_off


class Block(Composite):
    """Attention with a residual, then a network: what users write."""

    def __init__(self, width=4, dtype="float64", random_state=0):
        self.width = width
        super().__init__(dtype, random_state)
        seeds = self._child_seeds(2)
        self.children = {
            "norm": LayerNorm(width, dtype=dtype),
            "attention": MultiHeadAttention(width, width, width, 2, window=3, dtype=dtype, random_state=seeds[0]),
            "net": MLP([width, 5, 2], dtype=dtype, random_state=seeds[1]),
        }

    def forward(self, x):
        attended = self.children["attention"].forward(self.children["norm"].forward(x))
        y = self.children["net"].forward(x + attended)
        self._keep(y)
        return y

    def backward(self, d_y):
        (d_y,) = self._kept(d_y)
        d, of_net = self.children["net"].backward(d_y)
        d_attended, of_attention = self.children["attention"].backward(d)
        d_x, of_norm = self.children["norm"].backward(d_attended)
        found = {"norm": of_norm, "attention": of_attention, "net": of_net}
        return d + d_x, {f"{part}.{name}": array for part, arrays in found.items() for name, array in arrays.items()}


def state_of(layer):
    return {name: array.copy() for name, array in layer.weights.items()}


def same(weights, others):
    return list(weights) == list(others) and all(np.array_equal(weights[name], others[name]) for name in weights)


# ---------------------------------------------------------------- weights


def test_a_composite_shares_the_arrays_of_its_children_all_the_way_down():
    block = Block()
    assert list(block.weights)[:4] == ["norm.scale", "norm.offset", "attention.query.w", "attention.query.b"]
    assert block.weights["attention.query.w"] is block.children["attention"].children["query"].weights["w"]
    assert block.n_weights == sum(array.size for array in block.weights.values()) and block.nbytes == 8 * block.n_weights
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 4))
    before = block.forward(x)
    Adam(block.weights, 0.01).step(block.backward(np.ones((2, 5, 2)))[1])
    assert not np.allclose(block.forward(x), before)


def test_a_composite_has_the_derivative_of_the_whole():
    from layer_cases import check_gradient

    rng = np.random.default_rng(1)
    block, x, weigh = Block(), rng.standard_normal((2, 5, 4)), rng.standard_normal((2, 5, 2))
    block.forward(x)
    d_x, gradients = block.backward(weigh)
    assert list(gradients) == list(block.weights)
    check_gradient(lambda: float((block.forward(x) * weigh).sum()), x, d_x, rng, step=1e-5)
    for name, array in block.weights.items():
        check_gradient(lambda: float((block.forward(x) * weigh).sum()), array, gradients[name], rng, step=1e-5)


def test_children_start_differently_and_the_same_seed_gives_the_same():
    block = Block(random_state=3)
    attention = block.children["attention"].weights
    assert not np.array_equal(attention["query.w"], attention["key.w"])
    assert same(block.weights, Block(random_state=3).weights)
    assert not np.array_equal(Block(random_state=4).weights["net.dense_0.w"], block.weights["net.dense_0.w"])
    generator = np.random.default_rng(0)
    first, second = Dense(3, 3, random_state=generator), Dense(3, 3, random_state=generator)
    assert not np.array_equal(second.weights["w"], first.weights["w"])
    again = np.random.default_rng(0)
    assert same(Dense(3, 3, random_state=again).weights, first.weights)


def test_load_weights_keeps_the_arrays():
    block, other = Block(random_state=1), Block(random_state=2)
    arrays = dict(block.weights)
    block.load_weights(other.weights)
    assert same(block.weights, other.weights)
    assert all(block.weights[name] is arrays[name] for name in arrays)
    assert all(block.weights[name] is not other.weights[name] for name in arrays)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w.pop("net.dense_1.b"), InputError, r"weights lacks \['net.dense_1.b'\]; Block has"),
        (lambda w: w.update(extra=np.zeros(3)), InputError, r"weights has \['extra'\], which Block has not"),
        (lambda w: w.update({"net.dense_1.b": np.zeros(3)}), InputError, r"weights\['net.dense_1.b'\] has shape \(3,\), \(2,\)"),
        (lambda w: w.update({"net.dense_1.b": [0.0, np.nan]}), InputError, "NaN or infinity"),
        (lambda w: w.update({"net.dense_1.b": ["a", "b"]}), InputTypeError, "real numbers were expected"),
        (lambda w: w.update({"net.dense_1.b": np.zeros(2, complex)}), InputTypeError, "complex128, real numbers"),
        (lambda w: w.update({"net.dense_1.b": [[1.0], [2.0, 3.0]]}), InputError, "is no array"),
    ],
)
def test_bad_weights_are_refused_and_change_nothing(change, error, message):
    block = Block()
    before = state_of(block)
    weights = {name: array + 1 for name, array in before.items()}
    change(weights)
    with pytest.raises(error, match=message):
        block.load_weights(weights)
    assert same(block.weights, before)


def test_weights_must_be_a_mapping():
    with pytest.raises(InputTypeError, match="weights is a list, a mapping"):
        Dense(2, 2).load_weights([np.zeros((2, 2))])


# ---------------------------------------------------------------- order of calls


@pytest.mark.parametrize("name", LAYERS)
def test_backward_needs_a_forward_of_its_own(name):
    layer = LAYERS[name]("float32")
    x = sample(name, (2, 3, 3), np.random.default_rng(0))
    with pytest.raises(CallOrderError, match=f"{type(layer).__name__}.backward was called without a forward before it"):
        layer.backward(np.zeros((2, 3, 3)))
    y = run(layer, x)
    with pytest.raises(InputError, match=r"d_\w+ has shape \(2, 3, 99\), "):
        layer.backward(np.zeros((2, 3, 99)))
    with pytest.raises(InputTypeError, match="real numbers were expected"):
        layer.backward(np.full(y.shape, "a"))
    layer.backward(y)  # a bad gradient did not use it up
    with pytest.raises(CallOrderError):
        layer.backward(y)
    assert issubclass(CallOrderError, RuntimeError) and issubclass(CallOrderError, NeuromemError)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "embedding"])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 5, 4)), InputError, r"x has shape \(2, 5, 4\), \(\.\.\., .*3\) was expected by "),
        (np.float32(1), InputError, r"x has shape \(\), "),
        (np.zeros((2, 3), complex), InputTypeError, "x is complex128, real numbers were expected"),
        ([["a", "b", "c"]], InputTypeError, "real numbers were expected"),
        ([[1, 2], [3]], InputError, "x is no array"),
        (None, InputTypeError, "x is object"),
    ],
)
def test_bad_input_is_refused(name, x, error, message):
    with pytest.raises(error, match=message):
        LAYERS[name]("float32").forward(x)


@pytest.mark.parametrize("name", ["attention", "lstm", "convolution"])
def test_layers_over_time_need_an_axis_of_time(name):
    with pytest.raises(InputError, match=r"x has shape \(3,\), \(\.\.\., n, 3\) was expected"):
        LAYERS[name]("float32").forward(np.zeros(3))


def test_arrays_on_a_gpu_are_refused():
    elsewhere = type("ndarray", (), {"__module__": "cupy", "device": type("Device", (), {"id": 0})})()
    with pytest.raises(BackendError, match="Dense works on the CPU only, but x lives on GPU 0"):
        Dense(2, 2).forward(elsewhere)
    with pytest.raises(BackendError):
        Embedding(2, 2).forward(elsewhere)


@pytest.mark.parametrize(
    ("symbols", "error", "message"),
    [
        ([0, 4], InputError, "x has the value 4, integers from 0 to 3 were expected"),
        ([-1], InputError, "x has the value -1"),
        ([0.0], InputTypeError, "x is float64, integers"),
        ([True], InputTypeError, "x is bool, integers"),
    ],
)
def test_bad_symbols_are_refused(symbols, error, message):
    with pytest.raises(error, match=message):
        Embedding(4, 3).forward(symbols)


X, SEEN = np.zeros((2, 4, 3)), np.ones((4, 4), bool)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MultiHeadAttention(3, 5, 4).forward(X), InputError, "memory is None, items of width 5"),
        (lambda: MultiHeadAttention(3, 3, 4, causal=True).forward(X, X), InputError, "memory was given, none was expected"),
        (lambda: MultiHeadAttention(3, 3, 4, window=2).forward(X, X), InputError, "memory was given"),
        (
            lambda: MultiHeadAttention(3, 3, 4, window=2).forward(X, mask=SEEN),
            InputError,
            "none .* with a window",
        ),
        (
            lambda: MultiHeadAttention(3, 3, 4, window=9).forward(X, mask=SEEN),
            InputError,
            "none .* with a window",
        ),
        (lambda: MultiHeadAttention(3, 3, 4).forward(X, mask=np.ones((4, 4))), InputTypeError, "mask is float64, bool"),
        (lambda: MultiHeadAttention(3, 3, 4).forward(X, mask=np.ones((5, 4), bool)), InputError, r"broadcasts to \(2, 4, 4\)"),
        (lambda: MultiHeadAttention(3, 3, 4).forward(X, X[0]), InputError, r"leading axes of x, \(2,\), were expected"),
        (lambda: LSTM(3, 2).forward(X, np.zeros((2, 2))), InputTypeError, r"state is a ndarray, the pair \(h, c\)"),
        (
            lambda: LSTM(3, 2).forward(X, (np.zeros((1, 2)), np.zeros((2, 2)))),
            InputError,
            r"state\[0\] has shape \(1, 2\)",
        ),
        (lambda: LSTM(3, 2).forward(X, restart=np.zeros((2, 4))), InputTypeError, "restart is float64, bool"),
        (lambda: LSTM(3, 2).forward(X, restart=np.zeros((2, 3), bool)), InputError, r"restart has shape \(2, 3\), \(2, 4\)"),
    ],
)
def test_further_inputs_are_checked(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0, 2), InputError, "n_in is 0, an integer from 1 up"),
        (lambda: Dense(2, 2.0), InputTypeError, "n_out is 2.0"),
        (lambda: Dense(2, 2, dtype="float16"), InputError, "dtype is 'float16', one of 'float32', 'float64'"),
        (lambda: Dense(2, 2, bias=1), InputError, "bias is 1"),
        (lambda: Dense(2, 2, random_state="x"), InputError, "random_state is 'x'"),
        (lambda: Dense(2, 2, init_scale=-1.0), InputError, "init_scale is -1.0"),
        (lambda: LayerNorm(3, 0.0), InputError, "epsilon is 0.0"),
        (lambda: MLP([3]), InputError, r"widths is \[3\], a list of at least two"),
        (lambda: MLP([3, 0]), InputError, r"widths\[1\] is 0"),
        (lambda: MLP([3, 2], "step"), InputError, "activation is 'step', one of 'relu', 'tanh'"),
        (lambda: MultiHeadAttention(3, 3, 4, 3), InputError, "features is 4, a multiple of n_heads=3"),
        (lambda: MultiHeadAttention(3, 4, 4, window=2), InputError, "dim_memory is 4, dim_query=3 was expected"),
        (lambda: MultiHeadAttention(3, 3, 4, window=0), InputError, "window is 0"),
        (lambda: LSTM(3, 0), InputError, "n_hidden is 0"),
        (lambda: CausalConvolution(3, 3, 0), InputError, "window is 0"),
        (lambda: Embedding(0, 3), InputError, "n_symbols is 0"),
    ],
)
def test_bad_parameters_are_refused_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---------------------------------------------------------------- parameters, copies, files


def test_parameters_can_be_read_and_changed():
    layer = Dense(3, 4, random_state=5)
    assert repr(layer) == "Dense(n_in=3, n_out=4, random_state=5)"
    assert layer.weights["w"].shape == (3, 4)
    assert layer.set_params(n_out=6) is layer
    assert layer.forward(np.zeros((1, 3))).shape == (1, 6)
    with pytest.raises(InputError, match="invalid parameter 'colour' for Dense"):
        layer.set_params(colour=1)
    with pytest.raises(InputError, match="n_in is -1"):
        layer.set_params(n_out=2, n_in=-1)
    assert layer.weights["w"].shape == (3, 6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("way", ["file", "pickle", "copy", "state"])
def test_a_layer_comes_back_as_it_was(name, way, tmp_path):
    rng = np.random.default_rng(2)
    layer, x = LAYERS[name]("float32"), sample(name, (2, 5, 3), rng)
    for array in layer.weights.values():
        array += rng.standard_normal(array.shape)
    if way == "file":
        layer.save(tmp_path / "layer.nmem")
        other = neuromem.load(tmp_path / "layer.nmem")
    elif way == "pickle":
        other = pickle.loads(pickle.dumps(layer))
    elif way == "copy":
        other = layer.copy()
    else:
        other = LAYERS[name]("float32")
        other.set_state(layer.get_state())
    assert type(other) is type(layer) and repr(other) == repr(layer) and same(other.weights, layer.weights)
    y = run(layer, x)
    assert np.array_equal(run(other, x), y)
    gradients, others = layer.backward(y)[1], other.backward(y)[1]
    assert same(gradients, others)
    other.load_weights({key: array + 1 for key, array in other.weights.items()})
    assert not same(other.weights, layer.weights)
    assert not np.array_equal(run(other, x), y)  # a copy's parts are its own, and in use


def test_every_layer_of_the_package_can_be_saved():
    found = {type(make("float32")).__name__ for make in LAYERS.values()}
    assert {name.partition(".")[2] for name in CLASSES if name.startswith("layers.")} == found
    kinds = [value for value in vars(neuromem.layers).values() if isinstance(value, type) and issubclass(value, Layer)]
    assert {kind.__name__ for kind in kinds} - {"Layer", "Composite"} == found


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    layer = Dense(3, 2)
    before, state = state_of(layer), layer.get_state()
    arrays = state["arrays"]
    for bad, message in (
        ({"w": arrays["w"]}, r"state has the weights \['w'\]"),
        (arrays | {"w": arrays["w"].T}, r"w is float32 \(2, 3\), float32 \(3, 2\) was expected"),
        (arrays | {"w": arrays["w"].astype(np.float64)}, "w is float64"),
        (arrays | {"v": arrays["w"]}, "state has the weights"),
    ):
        with pytest.raises(FormatError, match=message):
            layer.set_state(state | {"arrays": bad})
    with pytest.raises(FormatError, match="n_in is 0"):
        layer.set_state(state | {"params": state["params"] | {"n_in": 0}})
    with pytest.raises(FormatError, match="five parts"):
        layer.set_state({"arrays": arrays})
    # so large a layer is never built: its weights would be 4 EB
    with pytest.raises(FormatError, match="was expected by the parameters"):
        layer.set_state(state | {"params": state["params"] | {"n_in": 10**9, "n_out": 10**9}})
    assert same(layer.weights, before)


def test_making_a_layer_draws_nothing_yet():
    layer = Dense(10**6, 10**6)
    assert layer.n_weights == 10**12 + 10**6


def test_layers_stay_on_the_cpu():
    with pytest.raises(BackendError):
        Dense(2, 2).to("gpu")


def test_a_copy_for_the_cpu_learns_and_shows_the_same_weights():
    from neuromem import HCAMEncoderLayer

    layer = HCAMEncoderLayer(4, n_heads=2)
    other = layer.to("cpu")
    x = np.random.default_rng(0).standard_normal((1, 5, 4)).astype(np.float32)
    before = other.forward(x).copy()
    for array in other.weights.values():
        array += 0.1
    assert not np.array_equal(other.forward(x), before)  # the weights that are shown are those that are used
    assert np.array_equal(layer.to("cpu").forward(x), before)
