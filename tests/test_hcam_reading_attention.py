"""Reading a memory of chunks with learned projections, and what reads say of bad input."""

import types

import numpy as np
import pytest
from reading_oracle import full_view, stream_view

from neuromem import BackendError, InputError, InputTypeError
from neuromem.hcam.attention import HCAMAttention
from neuromem.hcam.chunk_view import ChunkView
from neuromem.hcam.reading import complete_steps, familiarity_of, read_steps

# ---------------------------------------------------------------- with learned projections


@pytest.mark.jit_off
@pytest.mark.parametrize("weight_norm", ["topk", "all"])
def test_attention_s_own_result_and_its_heaviest_steps(weight_norm):
    rng = np.random.default_rng(10)
    view = stream_view(rng, 2, 9, 5, 6)
    attention = HCAMAttention(4, 6, 8, n_heads=2, top_k=3, weight_norm=weight_norm)
    cues = rng.standard_normal((5, 4)).astype(np.float32)
    recall = read_steps(view, cues, k=4, attention=attention, lane=1)
    alone = ChunkView(view.contents[1:], view.summaries[1:], view.lengths[1:], view.first_step[1:], view.visible[1:])
    y, info = attention.attend(cues[None], alone, return_info=True)
    np.testing.assert_array_equal(recall.info["output"], y[0])
    np.testing.assert_array_equal(recall.info["chunks"], info.topk_idx[0])
    np.testing.assert_allclose(recall.info["chunk_weight"], info.topk_weight[0], rtol=1e-6)
    for q in range(5):
        ranked = []
        for i, m in enumerate(info.topk_idx[0, q]):
            for j in range(view.lengths[1, m] if m >= 0 else 0):
                weight = float(np.mean([info.step_weight[0, q, i, h, j] for h in range(2)], dtype=np.float64))
                ranked.append((-weight, int(view.first_step[1, m]) + j, view.contents[1, m, j]))
        ranked.sort(key=lambda r: r[:2])
        assert recall.ids[q].tolist() == [r[1] for r in ranked[:4]]
        np.testing.assert_allclose(recall.scores[q], [-r[0] for r in ranked[:4]], rtol=1e-6)
        np.testing.assert_array_equal(recall.values[q], [r[2] for r in ranked[:4]])
    np.testing.assert_allclose(recall.info["step_weight"], recall.scores, rtol=1e-6)


@pytest.mark.jit_off
def test_more_chunks_than_attention_was_made_for_and_it_stays_as_it_was():
    rng = np.random.default_rng(11)
    view = full_view(rng.standard_normal((9, 3, 6)).astype(np.float32))
    attention = HCAMAttention(4, 6, 8, top_k=2)
    cues = rng.standard_normal((2, 4)).astype(np.float32)
    y = attention.forward(cues[None], view)
    assert read_steps(view, cues, attention=attention).info["chunks"].shape == (2, 2)
    more = read_steps(view, cues, attention=attention, n_chunks=5)
    assert more.info["chunks"].shape == (2, 5) and attention.top_k == 2
    wider = HCAMAttention(4, 6, 8, top_k=5)
    wider.load_weights(attention.weights)
    np.testing.assert_array_equal(more.info["output"], wider.attend(cues[None], view)[0])
    attention.backward(np.ones_like(y))  # what forward kept is still there


# ---------------------------------------------------------------- bad input


@pytest.mark.jit_off
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"cues": np.ones(5)}, InputError, "cues"),
        ({"cues": np.ones((2, 4))}, InputError, "4 features, but ChunkMemory is expecting 5"),
        ({"cues": [[1, 2, 3, 4, np.nan]]}, InputError, "cues contains NaN"),
        ({"cues": [[1, 2, 3, 4, -np.inf]]}, InputError, "infinity"),
        ({"cues": np.full((1, 5), 1e39)}, InputError, "beyond float32"),
        ({"cues": [["a"] * 5]}, InputError, "cues"),
        ({"k": 0}, InputError, "k is 0"),
        ({"k": 1.5}, InputTypeError, "k is 1.5"),
        ({"n_chunks": 0}, InputError, "n_chunks is 0"),
        ({"lane": 1}, InputError, "lane is 1"),
        ({"lane": -1}, InputError, "lane is -1"),
    ],
)
def test_bad_input_of_read(arguments, error, words):
    view = stream_view(np.random.default_rng(12))
    arguments = {"cues": np.ones((1, 5))} | arguments
    with pytest.raises(error, match=words):
        read_steps(view, **arguments)
    if "k" not in arguments:
        with pytest.raises(error, match=words):
            complete_steps(view, known=np.ones(5, bool), **arguments)
        if "n_chunks" in arguments or "lane" in arguments:
            with pytest.raises(error, match=words):
                familiarity_of(view, np.ones((1, 5)), **{n: v for n, v in arguments.items() if n != "cues"})


@pytest.mark.jit_off
def test_bad_masks_items_and_widths_with_attention():
    view = stream_view(np.random.default_rng(13), width=6)
    with pytest.raises(InputTypeError, match="known is float64, bool"):
        complete_steps(view, np.ones((2, 6)), np.ones(6))
    with pytest.raises(InputError, match="known has shape"):
        complete_steps(view, np.ones((2, 6)), np.ones((3, 6), bool))
    with pytest.raises(InputError, match="items contains NaN"):
        familiarity_of(view, np.full((1, 6), np.nan))
    with pytest.raises(InputError, match="6 features, but HCAMAttention is expecting 4"):
        read_steps(view, np.ones((1, 6)), attention=HCAMAttention(4, 6, 8))
    with pytest.raises(InputError, match="cues contains NaN"):
        read_steps(view, np.full((1, 4), np.nan), attention=HCAMAttention(4, 6, 8))


@pytest.mark.jit_off
def test_arrays_on_a_gpu_are_refused_by_name():
    there = type("ndarray", (), {"__module__": "cupy._core.core"})()
    there.device = types.SimpleNamespace(id=0)
    view = stream_view(np.random.default_rng(14))
    for name, call in (
        ("cues", lambda: read_steps(view, there)),
        ("cues", lambda: read_steps(view, there, attention=HCAMAttention(4, 5, 8, position_code=False))),
        ("cues", lambda: complete_steps(view, there, np.ones(5, bool))),
        ("known", lambda: complete_steps(view, np.ones((1, 5)), there)),
        ("items", lambda: familiarity_of(view, there)),
    ):
        with pytest.raises(BackendError, match=f"ChunkMemory works on the CPU only, but {name} lives on GPU 0"):
            call()
