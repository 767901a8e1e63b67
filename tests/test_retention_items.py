"""Items from ids, foils and cues: the same wherever they are asked for, never the same where they must differ."""

import importlib

import numpy as np
import pytest

import neuromem
from neuromem import InputError, InputTypeError, ItemSpec
from neuromem.retention import (
    ArrayItems,
    Foil,
    Gaussian,
    HierarchicalItems,
    RandomBits,
    RandomSigns,
    SparseBits,
    Templates,
    cue_mask,
    source_for,
)
from neuromem.retention.cues import make_cues
from neuromem.retention.foils import foil_of, foils_of
from neuromem.retention.items import ROLES

WIDTH = 70
RANDOM = {
    "bits": lambda seed=0: RandomBits(WIDTH, seed),
    "sparse": lambda seed=0: SparseBits(WIDTH, 21, seed),
    "signs": lambda seed=0: RandomSigns(WIDTH, seed=seed),
    "ternary": lambda seed=0: RandomSigns(WIDTH, 30, seed),
    "gaussian": lambda seed=0: Gaussian(WIDTH, seed),
    "templates": lambda seed=0: Templates(WIDTH, 5, 0.1, seed),
    "hierarchy": lambda seed=0: HierarchicalItems(WIDTH, (2, 3), 0.1, seed),
}


def digits(seed=0, n=400):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, n)
    return ArrayItems(labels[:, None] + rng.random((n, WIDTH)), labels, shares=(2, 1, 2, 1), seed=seed)


SOURCES = {**RANDOM, "rows": digits}
every_source = pytest.mark.parametrize("name", SOURCES)
random_source = pytest.mark.parametrize("name", RANDOM)


@pytest.mark.jit_off
@every_source
def test_item_is_the_same_whatever_block_it_is_asked_in(name):
    source, again = SOURCES[name](), SOURCES[name]()
    ids = np.concatenate([source.ids("target", 40), source.ids("foil", 20)])
    whole = source.get(ids)
    order = np.random.default_rng(0).permutation(len(ids))
    assert np.array_equal(again.get(ids[order]), whole[order])
    assert np.array_equal(again.get(ids[[7, 7, 3]]), whole[[7, 7, 3]])
    for i in (0, 13, 59):
        assert np.array_equal(again.get(ids[i : i + 1])[0], whole[i])
    assert source.get(ids[:0]).shape == (0, WIDTH)


@every_source
def test_threads_make_no_difference(name):
    source = SOURCES[name]()
    first, stop = source.range_of("target")
    ids = source.ids("target", min(stop - first, 30_000))
    found = []
    for n in (1, 2):
        with neuromem.threads(n):
            found.append(source.get(ids))
    assert np.array_equal(*found)


@every_source
def test_roles_never_share_an_item(name):
    source = SOURCES[name]()
    ranges = [source.range_of(role) for role in ROLES]
    assert all(before[1] <= after[0] for before, after in zip(ranges, ranges[1:], strict=False))
    targets = source.ids("target", 60)
    for alternative in (0, 3):
        novel = source.novel_ids(targets, alternative)
        assert len(set(novel.tolist())) == 60
        first, stop = source.range_of("foil")
        assert ((novel >= first) & (novel < stop)).all()
        if source.n_classes:
            of_class = source.class_ids(targets, alternative)
            assert ((of_class >= first) & (of_class < stop)).all()
            assert np.array_equal(source.classes(of_class), source.classes(targets))


@random_source
def test_foils_of_other_roles_and_alternatives_are_other_items(name):
    source = RANDOM[name]()
    asked = [
        source.novel_ids(source.ids(role, 500, start), alternative)
        for role in ("target", "filler", "control")
        for start in (0, 10_000)
        for alternative in (0, 1, 31)
    ]
    together = np.concatenate(asked)
    assert len(np.unique(together)) == len(together)


def test_class_foils_are_all_different():
    source = Templates(WIDTH, 7, 0.1)
    assert len(np.unique(source.class_ids(source.ids("target", 5000)))) == 5000


@random_source
def test_seeds_and_reseeding_give_other_items(name):
    source = RANDOM[name]()
    ids = source.ids("target", 30)
    others = [RANDOM[name](1), source.reseeded(0), source.reseeded(1), source.reseeded(1).reseeded(0)]
    found = [source.get(ids), *(other.get(ids) for other in others)]
    for i, a in enumerate(found):
        for b in found[:i]:
            assert not np.array_equal(a, b)
    assert np.array_equal(source.reseeded(3).get(ids), RANDOM[name]().reseeded(3).get(ids))


def test_rows_of_an_array_are_all_handed_out_once():
    source = digits()
    ids = np.concatenate([np.arange(*source.range_of(role)) for role in ROLES])
    assert np.array_equal(np.sort(ids), np.arange(400))
    given, wanted = source.get(ids), source.X
    assert np.array_equal(given[np.lexsort(given.T)], wanted[np.lexsort(wanted.T)])
    assert np.array_equal(source.classes(ids), np.floor(source.get(ids).min(axis=1)))
    assert not np.array_equal(source.reseeded(1).get(ids), given)


@random_source
def test_items_are_what_they_are_said_to_be(name):
    source = RANDOM[name]()
    items = source.get(source.ids("target", 4000)).astype(float)
    kinds = {"binary": {0, 1}, "sign": {-1, 1}, "ternary": {-1, 0, 1}}
    spec = source.item_spec
    assert spec.n_features == WIDTH
    if spec.kind == "real":
        assert np.isfinite(items).all()
        assert abs(items.mean()) < 5 / items.size**0.5 and abs(items.std() - 1) < 5 / items.size**0.5
    else:
        assert set(np.unique(items)) == kinds[spec.kind]
    if name in ("sparse", "ternary"):
        assert ((items != 0).sum(axis=1) == source.n_active).all() and spec.density == source.n_active / WIDTH
    if name in ("bits", "sparse", "signs", "ternary"):
        # every component alike: chi-square over components, each of variance known
        share = (items > 0).mean(axis=0)
        p = {"bits": 0.5, "sparse": 0.3, "signs": 0.5, "ternary": 30 / 140}[name]
        z = (share - p) / (p * (1 - p) / 4000) ** 0.5
        assert np.abs(z).max() < 5 and (z**2).sum() < 125
    if name in ("bits", "signs"):
        # no two components go together
        centred = items - items.mean(axis=0)
        r = (centred.T @ centred / 4000 / centred.std(axis=0) / centred.std(axis=0)[:, None])[np.triu_indices(WIDTH, 1)]
        assert np.abs(r).max() < 5.5 / 4000**0.5


def test_normal_numbers_are_the_quantiles_of_their_words():
    from scipy.special import ndtri

    source = Gaussian(500)
    ids = source.ids("target", 400)
    words = source.words(ids, 0).astype(float)
    np.testing.assert_allclose(source.get(ids), ndtri((words + 0.5) / 2**32), rtol=2e-6, atol=2e-7)


def test_normal_quantile_in_the_far_tails():
    from scipy.special import ndtri

    quantile = importlib.import_module("neuromem.retention.kernels.items").normal_quantile
    for p in (0.5 / 2**32, 1e-6, 0.074, 0.0751, 0.5, 0.9, 1 - 1e-6, 1 - 0.5 / 2**32):
        assert quantile(p) == pytest.approx(float(ndtri(p)), rel=1e-6, abs=1e-9)


def test_classes_share_what_their_templates_share():
    source = Templates(2000, 3, 0.1)
    items = source.get(source.ids("target", 60)).astype(int)
    classes = source.classes(source.ids("target", 60))
    differing = np.abs(items[:, None] - items[None]).mean(axis=2)
    same = (classes[:, None] == classes) & ~np.eye(60, dtype=bool)
    assert differing[same].mean() == pytest.approx(2 * 0.1 * 0.9, abs=0.01)
    assert differing[classes[:, None] != classes].mean() == pytest.approx(0.5, abs=0.03)


def test_hierarchy_makes_near_classes_alike():
    source = HierarchicalItems(20_000, (2, 2), 0.1)
    templates = source.templates().astype(int)
    differing = np.abs(templates[:, None] - templates[None]).mean(axis=2)
    siblings, cousins = 2 * 0.1 * 0.9, 0.5 - (1 - 0.2) ** 4 / 2
    assert differing[0, 1] == pytest.approx(siblings, abs=0.015) and differing[2, 3] == pytest.approx(siblings, abs=0.015)
    assert differing[0, 2] == pytest.approx(cousins, abs=0.015) and differing[1, 3] == pytest.approx(cousins, abs=0.015)


# ---------------------------------------------------------------- foils


@pytest.mark.jit_off
@random_source
@pytest.mark.parametrize("level", [1 / 64, 1 / 8, 0.4])
def test_variant_changes_exactly_its_share_of_components(name, level):
    source = RANDOM[name]()
    ids = source.ids("target", 50)
    items, variants = source.get(ids), source.variants(ids, level)
    assert ((variants != items).sum(axis=1) == round(level * WIDTH)).all()
    assert variants.dtype == items.dtype
    assert not np.array_equal(variants, source.variants(ids, level, 1)), "alternatives are the same"
    assert np.array_equal(variants[[4, 2]], source.variants(ids[[4, 2]], level)), "a variant depends on its neighbours"
    if source.density is not None:  # as many non-zeros as before, but for one where the number is odd
        assert (np.abs((variants != 0).sum(axis=1) - (items != 0).sum(axis=1)) <= 1).all()


def test_variants_change_every_component_as_often_as_another():
    source = RandomBits(WIDTH)
    ids = source.ids("target", 5000)
    n_changed = (source.variants(ids, 0.1) != source.get(ids)).sum(axis=0)
    z = (n_changed - 500) / (5000 * 0.1 * 0.9) ** 0.5
    assert np.abs(z).max() < 5 and (z**2).sum() < 120


def test_levels_that_change_nothing_or_too_much_are_refused():
    source = SparseBits(WIDTH, 5)
    with pytest.raises(InputError, match=r"level 0\.001 changes none of 70"):
        source.variants([0], 0.001)
    with pytest.raises(InputError, match="only 5 non-zeros"):
        source.variants([0, 1], 0.5)
    for bad in (0, -0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="level"):
            source.variants([0], bad)


def test_recombined_items_are_halves_of_two_studied_ones():
    source = RandomBits(WIDTH)
    ids = source.ids("target", 20)
    items, foils, others = source.get(ids), source.recombined(ids), source.recombined(ids, 3)
    assert np.array_equal(foils[:, :35], items[:, :35]) and np.array_equal(foils[:, 35:], np.roll(items, -1, axis=0)[:, 35:])
    assert np.array_equal(others[:, 35:], np.roll(items, -4, axis=0)[:, 35:])
    with pytest.raises(InputError, match="too few to recombine"):
        source.recombined(ids[:1])


def test_foils_are_parsed_and_named():
    assert foil_of("variant:1/32") == Foil("variant", 1 / 32) and foil_of("variant:0.03125").label == "variant:1/32"
    assert [foil.paired for foil in foils_of(["novel", "class", "variant:1/8", "recombined"])] == [False, False, True, True]
    other = RandomSigns(WIDTH, 30)
    easier = Foil("easier_foil_source", source=other)
    source = RandomSigns(WIDTH)
    made = easier.make(source.reseeded(2), source.ids("target", 5))
    assert np.array_equal(made, other.reseeded(2).get(other.ids("foil", 5)))
    for bad in ("novel:1/2", "variant", "variant:x", "variant:1/0", "variant:2", "strange", "easier_foil_source"):
        with pytest.raises(InputError):
            foil_of(bad)
    for bad in ([], ["novel", "novel"], ["variant:1/8", "variant:0.125"]):
        with pytest.raises(InputError, match="foils are"):
            foils_of(bad)
    with pytest.raises(InputError, match="foils have 8 features"):
        Foil("easier_foil_source", source=RandomBits(8)).make(source, source.ids("target", 2))


# ---------------------------------------------------------------- cues


@pytest.mark.jit_off
@pytest.mark.parametrize("kind", ["prefix", "random_mask", "block"])
@pytest.mark.parametrize("fraction", [1 / 8, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("shape", [None, (7, 10), (10, 7), (70, 1)])
def test_masks_have_the_exact_fraction(kind, fraction, shape):
    source = RandomBits(WIDTH)
    ids = source.ids("target", 50)
    mask = cue_mask(source, ids, fraction, kind, shape)
    assert mask.dtype == bool and (mask.sum(axis=-1) == round(fraction * WIDTH)).all()
    if kind != "prefix":
        assert mask.shape == (50, WIDTH)
        assert np.array_equal(mask[[9, 4]], cue_mask(source, ids[[9, 4]], fraction, kind, shape))


def test_hidden_block_is_one_rectangle_but_for_its_last_row():
    source = RandomBits(120)
    hidden = ~cue_mask(source, source.ids("target", 200), 0.75, "block", (10, 12)).reshape(-1, 10, 12)
    heights, widths = hidden.any(axis=2).sum(axis=1), hidden.any(axis=1).sum(axis=1)
    assert (heights == 5).all() and (widths == 6).all()  # 30 places: the nearest to the picture's proportions
    places = {(int(h.any(axis=1).argmax()), int(h.any(axis=0).argmax())) for h in hidden}
    assert len(places) == 6 * 7  # every place there is
    for block in hidden:
        rows = np.flatnonzero(block.any(axis=1))
        assert np.array_equal(rows, np.arange(rows[0], rows[0] + 5))


def test_cues_hide_what_is_not_given():
    for name in RANDOM:
        source = RANDOM[name]()
        ids = source.ids("target", 200)
        cues = make_cues(source, ids, 0.5, "random_mask")
        assert np.array_equal(cues.cues[cues.known], cues.items[cues.known])
        assert np.array_equal(cues.scored, ~cues.known)
        hidden, true = cues.cues[~cues.known].astype(float), cues.items[~cues.known].astype(float)
        if source.kind == "sign":
            assert set(hidden) == {-1.0, 1.0} and abs((hidden * true).mean()) < 5 / len(hidden) ** 0.5
        else:
            assert not hidden.any()


def test_noise_changes_what_is_not_left_right_and_a_key_is_the_first_part():
    source = RandomSigns(WIDTH)
    ids = source.ids("target", 30)
    noisy = make_cues(source, ids, 0.9, "noise")
    assert ((noisy.cues != noisy.items).sum(axis=1) == 7).all() and noisy.known.all() and noisy.scored.all()
    key = make_cues(source, ids, 0.5, "key", n_key=20)
    assert np.array_equal(key.known, np.arange(WIDTH) < 20) and key.fraction == 20 / WIDTH
    with pytest.raises(InputError, match="needs n_key"):
        make_cues(source, ids, 0.5, "key")
    whole = make_cues(source, ids, 0.5, "prefix", include_cue=True)
    assert whole.scored.all() and whole.known.sum() == 35


@pytest.mark.parametrize("bad", [0, -0.5, 1.1, float("nan"), 0.001])
def test_bad_fractions_are_refused(bad):
    source = RandomBits(WIDTH)
    with pytest.raises(InputError, match="cue_fraction"):
        cue_mask(source, source.ids("target", 2), bad)


def test_a_cue_that_gives_everything_is_refused():
    source = RandomBits(WIDTH)
    with pytest.raises(InputError, match="nothing is left to recall"):
        make_cues(source, source.ids("target", 2), 1.0)
    assert make_cues(source, source.ids("target", 2), 1.0, include_cue=True).scored.all()


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("spec", "kind", "density"),
    [
        (ItemSpec(40, "binary", None), RandomBits, None),
        (ItemSpec(40, "binary", 0.5), RandomBits, None),
        (ItemSpec(40, "binary", 0.1), SparseBits, 0.1),
        (ItemSpec(40, "binary", 0.001), SparseBits, 1 / 40),
        (ItemSpec(40, "sign", None), RandomSigns, None),
        (ItemSpec(40, "ternary", 0.25), RandomSigns, 0.25),
        (ItemSpec(40, "ternary", None), RandomSigns, 0.5),
        (ItemSpec(40, "real", None), Gaussian, None),
    ],
)
def test_source_fits_what_a_memory_takes(spec, kind, density):
    source = source_for(spec, seed=5)
    assert type(source) is kind and source.kind == spec.kind and source.density == density and source.seeds == (5,)


def test_bad_arguments_are_named():
    source = digits()
    with pytest.raises(InputError, match="67 of them"):
        source.ids("filler", 68)
    with pytest.raises(InputError, match="role is 'foe'"):
        source.ids("foe", 1)
    with pytest.raises(InputError, match="has 400 items"):
        source.get([400])
    with pytest.raises(InputError, match="numbers from 0 up"):
        RandomBits(4).get([-1])
    with pytest.raises(InputError, match="whole numbers"):
        RandomBits(4).get([0.5])
    with pytest.raises(InputError, match="1 axes|2 axes"):
        RandomBits(4).get([[0]])
    with pytest.raises(InputError, match="RandomBits has no classes"):
        RandomBits(4).classes([0])
    with pytest.raises(InputError, match="shares"):
        ArrayItems(np.eye(4), shares=(1, 1))
    with pytest.raises(InputError, match="foils are needed"):
        ArrayItems(np.eye(8), shares=(6, 0, 2, 0)).novel_ids(np.arange(5))
    with pytest.raises(InputError, match="n_active"):
        SparseBits(4, 5)
    for bad in (0, -3):
        with pytest.raises(InputError, match="n_features"):
            RandomBits(bad)
    with pytest.raises(InputTypeError, match="seed"):
        RandomBits(4, seed=1.5)


@pytest.mark.parametrize(
    ("X", "kind"),
    [([[0, 1]], "binary"), ([[True, False]], "binary"), ([[1, -1]], "sign"), ([[0, -1, 1]], "ternary"), ([[0.5, 1]], "real")],
)
def test_kind_of_rows_is_read_from_their_values(X, kind):
    assert ArrayItems(X).kind == kind
