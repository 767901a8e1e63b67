"""Suites of probes, items with a structure, figures and summaries."""

import math

import numpy as np
import pytest

from neuromem import ExactStore, HopfieldNetwork, InputError, InputTypeError, ItemSpec
from neuromem.errors import ConvergenceWarning
from neuromem.retention import (
    PARTS,
    SIZES,
    Exemplars,
    Gaussian,
    ProbeResult,
    RandomBits,
    RandomSigns,
    Shuffled,
    SparseBits,
    curves_of,
    half_life,
    headlines,
    pooled,
    retention_curve,
    run_part,
    run_suite,
    source_for,
    wilson_interval,
)
from neuromem.retention.adapters import state_digest
from neuromem.retention.dashboard import plot_dashboard, plot_with_people, reference_memory
from neuromem.retention.plots import plot_levels, plot_matrix, plot_recognition, plot_retention, plot_spacing
from neuromem.retention.suite_parts import variant_levels

SOURCES = [RandomBits(64), SparseBits(64, 6), RandomSigns(64), RandomSigns(64, 20), Gaussian(64)]


@pytest.fixture(scope="module")
def found():
    return run_suite({"store": ExactStore(64, 60, "oldest"), "network": HopfieldNetwork(64)}, RandomSigns(64), size="tiny")


# ---------------------------------------------------------------- items


@pytest.mark.parametrize("source", SOURCES, ids=repr)
def test_exemplars_are_made_again_keep_their_kind_and_lie_by_their_prototype(source):
    items = Exemplars(source, n_classes=4)
    ids = items.ids("target", 40)
    made = items.get(ids)
    assert (items.get(ids[::-1])[::-1] == made).all() and made.dtype == source.get([0]).dtype
    if source.density is not None:
        assert ((made != 0).sum(axis=1) == round(source.density * 64)).all()
    distance = (made[:, None] != made).sum(axis=2)
    same = items.classes(ids)[:, None] == items.classes(ids)
    others = ~np.eye(40, dtype=bool)
    assert distance[same & others].max() < distance[~same].mean() and distance[same & others].min() > 0
    foils = items.class_ids(ids)
    assert (items.classes(foils) == items.classes(ids)).all() and not set(foils) & set(ids)
    assert (items.reseeded(1).get(ids) != made).any(axis=1).all()
    assert items.get(items.novel_ids(foils[:0])).shape == (0, 64)


@pytest.mark.parametrize("source", SOURCES, ids=repr)
def test_shuffled_items_have_the_same_parts_and_their_foils_the_order(source):
    items = Shuffled(Exemplars(source, 4)).reseeded(3)
    ids = items.ids("target", 20)
    ordered = Exemplars(source, 4).reseeded(3).get(ids)
    made, foils = items.get(ids), items.get(items.novel_ids(ids, 2))
    assert (foils == ordered).all()
    assert (np.sort(made, axis=1) == np.sort(ordered, axis=1)).all() and (made != ordered).any(axis=1).all()


@pytest.mark.parametrize("source", SOURCES, ids=repr)
def test_every_level_of_variants_can_be_made(source):
    levels = variant_levels(source.item_spec)
    assert levels and levels == sorted(levels, reverse=True)
    for level in levels:
        made = source.variants(np.arange(5), level)
        assert ((made != source.get(np.arange(5))).sum(axis=1) == round(64 * level)).all()


# ---------------------------------------------------------------- suites


def test_every_part_is_taken_or_named(found):
    parts = {(part["system"], part["part"]) for part in found.result.config["parts"]}
    for system in ("store", "network"):
        assert {part for name, part in parts if name == system} | set(found.left_out[system]) == set(PARTS)
    assert set(found.result.table["system"]) == {"store", "network"} == set(found.sizes)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_leaves_the_memory_alone_and_says_the_same_again(part):
    memory = ExactStore(64, 60, "oldest")
    memory.write(Gaussian(64, 9).get(np.arange(30)))
    before = state_digest(memory)
    source = source_for(ItemSpec(64, "real"))
    first, again = (run_part(memory, part, "tiny", source, [0]) for _ in range(2))
    assert isinstance(first, ProbeResult) and first == again and len(first)
    assert state_digest(memory) == before


def test_order_of_parts_does_not_matter():
    source = Gaussian(32)
    forward = run_suite(ExactStore(32), source, size="tiny", parts=["recall", "spacing", "fan"])
    backward = run_suite(ExactStore(32), source, size="tiny", parts=["fan", "spacing", "recall"])
    rows = [sorted(map(repr, ({**row, "seconds": 0} for row in found.result.rows()))) for found in (forward, backward)]
    assert rows[0] == rows[1]


def test_a_size_with_a_name_and_an_unknown_one():
    with pytest.raises(InputError, match="size"):
        run_suite(ExactStore(8), Gaussian(8), size="huge")
    with pytest.raises(InputError, match="part"):
        run_part(ExactStore(8), "telepathy", SIZES["tiny"], Gaussian(8), [0])
    with pytest.raises(InputTypeError, match="no item_spec"):
        run_suite({"x": object()}, size="tiny")


def test_warnings_of_memories_are_kept_with_the_settings():
    class Warns(ExactStore):
        def familiarity(self, items):
            import warnings

            warnings.warn("not settled", ConvergenceWarning, stacklevel=2)
            warnings.warn("someone else's", DeprecationWarning, stacklevel=2)
            return super().familiarity(items)

    with pytest.warns(DeprecationWarning, match="someone else's"):
        found = run_part(Warns(32), "recognition", "tiny", Gaussian(32), [0])
    assert found.config["warnings"] == ["ConvergenceWarning: not settled"]


# ---------------------------------------------------------------- summaries


def test_half_life_of_a_buffer_lies_at_its_size():
    memory = ExactStore(32, 100, "oldest")
    result = retention_curve(memory, Gaussian(32), n_target=10, checkpoints=[80, 100, 1000], seeds=2, probes="recognition")
    life = half_life(result, "ExactStore")
    assert life.reached and 80 < life.items <= 100 and str(life) == f"{life.items:,.0f}"
    forever = retention_curve(ExactStore(32), Gaussian(32), n_target=10, checkpoints=[80], seeds=1, probes="recognition")
    assert str(half_life(forever, "ExactStore")) == "> 80" and not half_life(forever, "ExactStore").reached
    assert math.isnan(half_life(forever, "another").items) and str(half_life(forever, "another")) == "none"
    assert curves_of(forever) == {} and set(curves_of(result)) == {"ExactStore"}


def test_pooling_adds_counts_and_averages_values():
    rows = [{"probe": "p", "seed": s, "n": 10, "k": k, "value": k / 10, "chance": 0.5} for s, k in ((0, 9), (1, 6))]
    (both,) = pooled(ProbeResult(rows))
    assert (both["n"], both["value"], both["seeds"], both["chance"]) == (20, 0.75, 2, 0.5)
    assert (both["ci_lo"], both["ci_hi"]) == tuple(float(end) for end in wilson_interval(15, 20))
    (mean,) = pooled(ProbeResult([{"probe": "p", "seed": s, "n": 10, "value": v} for s, v in ((0, 1.0), (1, 2.0))]))
    assert mean["value"] == 1.5 and mean["ci_lo"] == pytest.approx(1.5 - 1.959964 * 0.5, abs=1e-5)
    (one,) = pooled(ProbeResult([{"probe": "p", "seed": 0, "n": 10, "k": 5, "value": 0.5, "ci_lo": 0.2, "ci_hi": 0.8}]))
    assert (one["ci_lo"], one["ci_hi"]) == (0.2, 0.8)


def test_headlines_are_rows_of_the_table(found):
    line = headlines(found.result, "store")
    assert line["recognition"]["value"] == 1 and line["recall, exact"]["value"] == 1
    rows = found.result.where(system="store", measure="spacing_gain").rows()
    assert line["gain by spacing, longest delay"]["value"] == max(rows, key=lambda row: row["lag_items"])["value"]


# ---------------------------------------------------------------- figures


def test_retention_is_drawn_as_it_was_measured(found):
    ax = plot_retention(found.result)
    wanted = found.result.where(system="network", condition="studied", measure="accuracy", foil="novel", probe="recognition")
    wanted = ProbeResult(wanted.table[wanted.table["lag_items"] >= 0]).curve()
    (line,) = (line for line in ax.get_lines() if line.get_label() == "network")
    assert np.array_equal(line.get_xdata(), wanted["x"]) and np.array_equal(line.get_ydata(), wanted["value"])
    assert ax.get_xlim()[0] < 0 < ax.get_xlim()[1]


def test_foils_are_ordered_from_the_easiest(found):
    labels = [label.get_text() for label in plot_recognition(found.result).get_xticklabels()]
    assert labels[:3] == ["structured", "unrelated", "same class"] and labels[-1] == "recombined"


def test_spacing_surface_has_its_ridge(found):
    ax = plot_spacing(found.result, "store")
    assert ax.images[0].get_array().shape == (1, 2)
    with pytest.raises(InputError, match="say which"):
        plot_spacing(found.result)


def test_matrix_shows_what_was_evaluated():
    ax = plot_matrix(np.array([[[0.9, np.nan], [0.7, 1.0]]] * 3), tasks=["a", "b"])
    assert sorted(text.get_text() for text in ax.texts) == ["0.70", "0.90", "1.00"]
    for bad in (np.zeros((2, 3)), np.zeros(3), np.zeros((0, 0))):
        with pytest.raises(InputError, match="R has shape"):
            plot_matrix(bad)
    with pytest.raises(InputError, match="tasks"):
        plot_matrix(np.eye(2), tasks=["a"])


def test_people_are_drawn_with_their_factor():
    memory = ExactStore(32, 100, "oldest")
    result = retention_curve(memory, Gaussian(32), n_target=10, checkpoints=[80, 100, 1000], seeds=2, probes="recognition")
    ax = plot_with_people(result)
    assert reference_memory(result) == "ExactStore"
    people = [line for line in ax.get_lines() if line.get_label() == "Ebbinghaus 1885"]
    factor = people[0].get_xdata()[0] / 20  # minutes
    assert f"1 minute = {factor:.3g} items" in ax.get_xlabel() and "ExactStore" in ax.get_xlabel()
    assert np.interp(half_life(result, "ExactStore").items, people[0].get_xdata(), people[0].get_ydata()) == pytest.approx(
        0.291, abs=0.01
    )


def test_what_is_not_there_is_refused_alone_and_told_on_the_page(found):
    with pytest.raises(InputError, match="no rows"):
        plot_levels(found.result, "telepathy", "accuracy", label="x", title="y")
    only = run_suite(ExactStore(32), Gaussian(32), size="tiny", parts=["recall"])
    axes = plot_dashboard(only)
    texts = [text.get_text() for ax in axes.flat for text in ax.texts]
    assert axes.shape == (3, 4) and sum("nothing to draw" in text for text in texts) == 11
