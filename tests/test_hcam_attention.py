"""Attention over chunks: closed forms, what must not change a result, a plain form, and bad input."""

import numpy as np
import pytest
from hcam_oracle import INNER, B, C, D, E, F, H, K, M, Q, data, layer, plain_attention

import neuromem
from neuromem import InputError
from neuromem.hcam import kernels
from neuromem.hcam.attention import HCAMAttention
from neuromem.hcam.position_code import position_code
from neuromem.hcam.sequence import causal_chunk_mask, sequence_chunks

# ---------------------------------------------------------------- the plain form


@pytest.mark.jit_off
@pytest.mark.parametrize("weight_norm", ["topk", "all"])
@pytest.mark.parametrize(
    "params", [{}, {"position_code": False, "dim_memory": 7}, {"summary_bias": True}, {"attention_bias": False}]
)
def test_plain_form_gives_the_same(params, weight_norm):
    attention = layer(weight_norm=weight_norm, **params)
    q, summaries, contents = data(width=attention.dim_memory)
    rng = np.random.default_rng(5)
    lengths = rng.integers(0, C + 1, (B, M))
    mask = rng.random((B, Q, M)) < 0.6
    mask[0, 1] = False
    y, info = attention.forward(q, (summaries, contents), mask, lengths, return_info=True)
    wanted, kept = plain_attention(
        attention.weights,
        q,
        summaries,
        contents,
        n_heads=H,
        top_k=K,
        code=attention.position_code,
        mask=mask,
        lengths=lengths,
        weight_norm=weight_norm,
    )
    assert np.allclose(y, wanted, rtol=0, atol=1e-12)
    for b, i in np.ndindex(B, Q):
        chosen = kept.get((b, i), [])
        assert info.topk_idx[b, i].tolist() == chosen + [-1] * (K - len(chosen))
        assert np.array_equal(info.first_step[b, i], np.where(info.topk_idx[b, i] >= 0, C * info.topk_idx[b, i], -1))
    sums = info.topk_weight.sum(axis=2)
    assert not y[0, 1].any() and sums[0, 1] == 0
    if weight_norm == "topk":
        assert np.isin(np.round(sums, 12), (0, 1)).all()
    else:
        assert (sums < 1 + 1e-12).all()
    assert np.allclose(info.step_weight.sum(axis=(2, 4)), sums[..., None])


def test_softmax_over_all_gives_less_than_one_to_those_kept():
    attention = layer(weight_norm="all", top_k=2)
    q, *memory = data()
    _, info = attention.forward(q, tuple(memory), return_info=True)
    assert (info.topk_weight.sum(axis=2) < 0.999).all()


# ---------------------------------------------------------------- closed forms


@pytest.mark.jit_off
def test_equal_summaries_give_the_mean_of_all_chunks():
    attention = layer(top_k=M)
    q, summaries, contents = data()
    summaries[:] = summaries[:, :1]
    y = attention.forward(q, (summaries, contents))
    one_by_one = [attention.forward(q, (summaries[:, :1], contents[:, m : m + 1])) for m in range(M)]
    assert np.allclose(y, np.mean(one_by_one, axis=0), atol=1e-12)


@pytest.mark.jit_off
def test_one_step_chunks_do_not_ask_inside():
    attention = layer(position_code=False)
    q, summaries, contents = data(shape=(B, Q, M, 1))
    y, info = attention.forward(q, (summaries, contents), return_info=True)
    w = attention.weights
    values = contents[:, :, 0] @ w[f"{INNER}value.w"] + w[f"{INNER}value.b"]
    wanted = np.zeros_like(y)
    for b, i in np.ndindex(B, Q):
        mean = info.topk_weight[b, i] @ values[b, info.topk_idx[b, i]]
        wanted[b, i] = mean @ w[f"{INNER}linear.w"] + w[f"{INNER}linear.b"]
    assert np.allclose(y, wanted, atol=1e-12)
    w[f"{INNER}query.w"][:] = 17.0
    assert np.allclose(attention.forward(q, (summaries, contents)), y, atol=1e-12)


@pytest.mark.jit_off
def test_a_query_of_nothing_weighs_steps_alike():
    attention = layer()
    attention.weights[f"{INNER}query.w"][:] = 0
    attention.weights[f"{INNER}query.b"][:] = 0
    q, *memory = data()
    lengths = np.full((B, M), 3)
    _, info = attention.forward(q, tuple(memory), lengths=lengths, return_info=True)
    wanted = np.where(np.arange(C) < 3, info.topk_weight[..., None, None] / 3, 0)
    assert np.allclose(info.step_weight, np.broadcast_to(wanted, info.step_weight.shape), atol=1e-15)


@pytest.mark.jit_off
def test_sharp_summary_scores_attend_to_the_best_chunk_alone():
    attention = layer()
    q, summaries, contents = data()
    attention.weights["query.w"] *= 1e6
    y, info = attention.forward(q, (summaries, contents), return_info=True)
    best = layer(top_k=1)
    best.load_weights(attention.weights)
    assert np.allclose(info.topk_weight[..., 0], 1)
    assert np.allclose(y, best.forward(q, (summaries, contents)), atol=1e-9)


@pytest.mark.jit_off
def test_equal_steps_give_the_same_for_any_chunk_size():
    attention = layer(position_code=False)
    q, summaries, _ = data()
    results = [
        attention.forward(q, (summaries, np.ascontiguousarray(np.repeat(summaries[:, :, None], n, axis=2)))) for n in (1, 4, 9)
    ]
    assert np.allclose(results[0], results[1], atol=1e-12) and np.allclose(results[0], results[2], atol=1e-12)


@pytest.mark.jit_off
def test_a_short_chunk_is_attention_over_its_steps_with_their_own_code():
    """Length 3 of 8, junk behind: as a plain attention over three steps that carry the code of their places of 8."""
    attention, bare = layer(top_k=1), layer(top_k=1, position_code=False)
    q, _, contents = data(shape=(B, Q, 1, 8))
    summaries = contents[:, :, :3].mean(axis=2)
    contents[:, :, 3:] = np.nan
    y = attention.forward(q, (summaries, contents), lengths=np.full((B, 1), 3))
    coded = contents[:, :, :3] + position_code(8, D, "float64")[:3]
    assert np.allclose(y, bare.forward(q, (summaries, np.ascontiguousarray(coded))), atol=1e-12)


@pytest.mark.jit_off
def test_position_code_counts_down_with_sines_first():
    code = position_code(5, 6, "float64")
    for j in range(5):
        for n in range(3):
            angle = (4 - j) * 10000 ** (-2 * n / 6)
            assert np.allclose(code[j, [n, n + 3]], [np.sin(angle), np.cos(angle)], atol=1e-15)
    assert code is position_code(5, 6, "float64") and not code.flags.writeable
    with pytest.raises(InputError, match="width is 5, an even number"):
        position_code(4, 5)


# ---------------------------------------------------------------- what must not change a result


def test_order_of_chunks_changes_their_numbers_only():
    attention = layer()
    q, summaries, contents = data()
    order = np.random.default_rng(3).permutation(M)
    y, info = attention.forward(q, (summaries, contents), return_info=True)
    z, moved = attention.forward(q, (summaries[:, order], contents[:, order]), return_info=True)
    assert np.allclose(y, z, atol=1e-13) and np.array_equal(order[moved.topk_idx], info.topk_idx)


def test_order_of_steps_counts_with_the_code_only():
    q, summaries, contents = data()
    turned = np.ascontiguousarray(contents[:, :, ::-1])
    bare, coded = layer(position_code=False), layer()
    assert np.allclose(bare.forward(q, (summaries, contents)), bare.forward(q, (summaries, turned)), atol=1e-13)
    assert abs(coded.forward(q, (summaries, contents)) - coded.forward(q, (summaries, turned))).max() > 1e-3
    assert abs(coded.forward(q, (summaries, contents)) - bare.forward(q, (summaries, contents))).max() > 1e-3


def test_key_biases_change_nothing():
    attention = layer(summary_bias=True)
    q, *memory = data()
    y = attention.forward(q, tuple(memory))
    attention.weights[f"{INNER}key.b"] += 3.0
    attention.weights["key.b"] += 3.0
    assert np.array_equal(y, attention.forward(q, tuple(memory)))


def test_scale_of_what_is_stored_can_be_taken_up_by_the_projections():
    attention = layer(position_code=False)
    q, summaries, contents = data()
    y = attention.forward(q, (summaries, contents))
    for name in ("key.w", "value.w"):
        attention.weights[INNER + name] /= 4
    assert np.allclose(y, attention.forward(q, (summaries, 4 * contents)), atol=1e-12)


def test_lanes_and_queries_do_not_see_one_another():
    attention = layer()
    q, summaries, contents = data()
    y = attention.forward(q, (summaries, contents))
    for b in range(B):
        for i in range(Q):
            alone = attention.forward(q[b : b + 1, i : i + 1], (summaries[b : b + 1], contents[b : b + 1]))
            assert np.allclose(alone[0, 0], y[b, i], atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chunks_kept_are_the_first_of_a_stable_sort(dtype):
    rng = np.random.default_rng(0)
    attention = HCAMAttention(E, D, F, H, 5, dtype=dtype)
    q, summaries, contents = (a.astype(dtype) for a in data(shape=(B, Q, 20, 2)))
    summaries[:, 7:] = summaries[:, rng.integers(0, 7, 13)]  # many equal scores
    _, info = attention.forward(q, (summaries, contents), return_info=True)
    q_hat = q @ attention.weights["query.w"] @ attention.weights["key.w"].T
    one_by_one = np.array([[[float(a.astype(float) @ s) for s in summaries[b]] for a in q_hat[b]] for b in range(B)])
    assert np.array_equal(info.topk_idx, np.argsort(-one_by_one, axis=2, kind="stable")[:, :, :5])


def test_masking_a_chunk_is_as_good_as_taking_it_away():
    attention = layer()
    q, summaries, contents = data()
    mask = np.ones((B, Q, M), bool)
    mask[:, :, 2] = False
    others = [0, 1, 3, 4, 5]
    y = attention.forward(q, (summaries, contents), mask)
    assert np.array_equal(y, attention.forward(q, (summaries[:, others], contents[:, others])))


@pytest.mark.jit_off
def test_chunks_outside_the_best_leave_the_result_to_the_bit():
    attention = layer(top_k=2)
    q, summaries, contents = data(shape=(1, 1, M, C))
    y, info = attention.forward(q, (summaries, contents), return_info=True)
    rest = [m for m in range(M) if m not in info.topk_idx]
    contents[:, rest] = np.nan
    assert np.array_equal(y, attention.forward(q, (summaries, contents)))
    contents[:, info.topk_idx[0, 0, 0]] += 1e-3
    assert not np.array_equal(y, attention.forward(q, (summaries, contents)))


@pytest.mark.jit_off
def test_what_is_hidden_is_never_read():
    """NaN in hidden summaries, in the contents of hidden chunks and behind a chunk's end goes nowhere, forward or back."""
    attention = layer(detach_memory=False)
    q, summaries, contents = data()
    lengths = np.full((B, M), 2)
    lengths[:, 3] = 0
    mask = np.ones((B, Q, M), bool)
    mask[:, :, [0, 5]] = False
    mask[1, 2] = False
    clean = attention.forward(q, (summaries, contents), mask, lengths)
    wanted = attention.backward(np.ones_like(clean))
    contents[:, :, 2:], contents[:, [0, 3, 5]], summaries[:, [0, 3, 5]] = np.nan, np.nan, np.nan
    y = attention.forward(q, (summaries, contents), mask, lengths)
    assert np.array_equal(y, clean)
    d_q, gradients = attention.backward(np.ones_like(y))
    assert np.array_equal(d_q, wanted[0])
    for name, gradient in gradients.items():
        assert np.array_equal(gradient, wanted[1][name]), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight_norm", ["topk", "all"])
def test_any_number_of_threads_gives_the_same_bits(dtype, weight_norm):
    rng = np.random.default_rng(0)
    lanes, queries, chunks, steps, width = 2, 90, 40, 16, 32
    contents = rng.standard_normal((lanes, chunks, steps, width)).astype(dtype)
    q = rng.standard_normal((lanes, queries, width)).astype(dtype)
    attention = HCAMAttention(width, width, width, 4, 8, detach_memory=False, dtype=dtype, weight_norm=weight_norm)
    results = []
    for n in (1, neuromem.get_num_threads()):
        with neuromem.threads(n):
            y = attention.forward(q, (contents.mean(axis=2), contents))
            d_q, gradients = attention.backward(y)
        results.append({"y": y, "d_q": d_q, **gradients})
    for name, array in results[0].items():
        assert np.array_equal(array, results[1][name]), name


def test_inputs_and_memory_are_left_alone():
    attention = layer(detach_memory=False)
    arrays = data()
    before = [array.copy() for array in arrays]
    y = attention.forward(arrays[0], arrays[1:])
    attention.backward(y)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    assert all(array.flags.writeable for array in arrays)


def test_later_steps_do_not_change_earlier_results():
    """Chunks of a growing sequence: what a step sees when it is the newest is what it sees in the end."""
    attention = layer()
    rng = np.random.default_rng(2)
    x, q = rng.standard_normal((1, 17, D)), rng.standard_normal((1, 17, E))
    whole = attention.forward(q, sequence_chunks(x, 4)[:2], causal_chunk_mask(17, 4), sequence_chunks(x, 4)[2])
    for t in (1, 3, 4, 11, 12, 16):
        summaries, contents, lengths = sequence_chunks(x[:, :t], 4)
        mask = causal_chunk_mask(17, 4)[:, :t, : lengths.shape[1]]
        earlier = attention.forward(q[:, :t], (summaries, contents), mask, lengths)
        assert np.allclose(earlier, whole[:, :t], rtol=0, atol=1e-13)


def test_attend_is_forward_that_keeps_nothing():
    attention = layer()
    q, *memory = data()
    y, info = attention.forward(q, tuple(memory), return_info=True)
    z, again = attention.attend(2 * q, tuple(memory), return_info=True)
    assert not np.array_equal(y, z)
    assert np.array_equal(attention.attend(q, tuple(memory)), y)
    d_q, _ = attention.backward(np.ones_like(y))
    attention.forward(q, tuple(memory))
    assert np.array_equal(attention.backward(np.ones_like(y))[0], d_q)


# ---------------------------------------------------------------- not a number, out of range


def test_numbers_that_are_none_are_given_on():
    attention = layer()
    q, summaries, contents = data()
    y = attention.forward(q, (summaries, contents))
    q[0, 1, 2] = np.nan
    q[1, 2, 0] = np.inf
    with np.errstate(invalid="ignore"):
        z = attention.forward(q, (summaries, contents))
    bad = np.zeros((B, Q), bool)
    bad[0, 1] = bad[1, 2] = True
    assert np.isnan(z[bad]).all() and np.array_equal(z[~bad], y[~bad])


@pytest.mark.jit_off
def test_kernels_keep_the_meaning_of_nan_and_infinity():
    """Sums may be reordered, but what is not finite comes through."""
    rng = np.random.default_rng(0)
    contents = rng.standard_normal((1, 3, 4, 6))
    index, lane = np.array([[0], [1], [2]], np.int32), np.zeros(3, np.int32)
    q_tilde, weight = rng.standard_normal((3, 2, 6)), np.ones((3, 1))
    contents[0, 1, 2, 3] = np.nan
    q_tilde[2, 1, 4] = np.inf
    contents[0, 2, :, 4] = [1, -1, 0, 2]
    p, y = np.zeros((3, 1, 2, 4)), np.zeros((3, 2, 6))
    with np.errstate(invalid="ignore"):
        kernels.gather_attend_fwd(q_tilde, weight, index, lane, np.full((1, 3), 4, np.int32), contents, np.zeros((4, 6)), p, y)
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all() and np.isfinite(y[2, 0]).all() and np.isnan(y[2, 1]).all()
    summaries = np.array([[[1.0, 0], [np.nan, 0], [np.inf, 0], [-np.inf, 0], [2, 0]]])
    found, score = np.zeros((1, 5), np.int32), np.zeros((1, 5))
    visible = np.ones((1, 5), np.uint8)
    kernels.summary_topk(np.array([[1.0, 0.5]]), summaries, np.zeros(1, np.int32), visible, -np.inf, found, score)
    assert found.tolist() == [[2, 4, 0, -1, -1]] and score.tolist() == [[np.inf, 2, 1, -np.inf, -np.inf]]


def test_a_summary_that_is_no_number_is_never_kept():
    q, summaries, contents = data()
    summaries[:, 2] = np.nan
    others = [0, 1, 3, 4, 5]
    for weight_norm in ("topk", "all"):
        attention = layer(weight_norm=weight_norm)
        y = attention.forward(q, (summaries, contents))
        assert np.allclose(y, attention.forward(q, (summaries[:, others], contents[:, others])), atol=1e-13)


@pytest.mark.parametrize("compat", ["strict", "reference"])
@pytest.mark.parametrize("weight_norm", ["topk", "all"])
def test_an_empty_memory_gives_zeros(compat, weight_norm):
    attention = layer(compat=compat, weight_norm=weight_norm, detach_memory=False)
    q, summaries, contents = data()
    for memory, lengths in (((summaries, contents), np.zeros((B, M), int)), ((summaries[:, :0], contents[:, :0]), None)):
        y, info = attention.forward(q, memory, lengths=lengths, return_info=True)
        assert y.shape == (B, Q, F) and not y.any() and not info.topk_weight.any()
        d_q, gradients = attention.backward(np.ones_like(y))
        assert not d_q.any() and not any(gradient.any() for gradient in gradients.values())
        assert gradients["d_contents"].shape == memory[1].shape


def test_more_chunks_wanted_than_there_are():
    q, *memory = data()
    many, all_ = layer(top_k=50), layer(top_k=M)
    y, info = many.forward(q, tuple(memory), return_info=True)
    assert info.topk_idx.shape == (B, Q, M) and np.array_equal(y, all_.forward(q, tuple(memory)))


def test_no_queries_and_no_lanes():
    attention = layer()
    _, summaries, contents = data()
    assert attention.forward(np.zeros((B, 0, E)), (summaries, contents)).shape == (B, 0, F)
    assert attention.backward(np.zeros((B, 0, F)))[0].shape == (B, 0, E)
    assert attention.forward(np.zeros((0, Q, E)), (summaries[:0], contents[:0])).shape == (0, Q, F)
