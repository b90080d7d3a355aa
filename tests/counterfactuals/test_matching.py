import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from conceptome.core import Activations, DictionaryMismatchError, Embeddings, InputError
from conceptome.counterfactuals import match
from conceptome.counterfactuals.inputs import _log_library, embedded_values

N_CELLS, N_CONCEPTS = 400, 9


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N_CELLS, 5)).astype(np.float32)
    pre = values @ rng.normal(size=(5, N_CONCEPTS))
    dense = np.where(pre >= np.sort(pre, axis=1)[:, [-3]], np.maximum(pre, 0), 0)
    dense[:, 7] = 0
    dense[:5, 7] = 1.5  # rare
    dense[:, 8] = 1.0  # everywhere
    ids = pd.Index([f"cell{i}" for i in rng.permutation(N_CELLS)])
    obs = pd.DataFrame(
        {"donor": rng.choice(["a", "b", "c"], N_CELLS), "type": rng.choice(["x", "y", None], N_CELLS)},
        index=ids,
    )
    activations = Activations(sp.csr_array(dense), ids, "d1", scale=1.7)
    return activations, Embeddings(values, ids, "e1"), obs, rng.lognormal(8, 0.4, N_CELLS)


def test_counterfactuals_are_the_nearest_admissible_cells(cells):
    activations, embeddings, obs, library = cells
    pairs = match(
        activations,
        embeddings,
        obs=obs,
        library_size=library,
        match_on=["donor"],
        caliper=0.3,
        pairing="nearest",
    )
    dense, donor = activations.values.toarray(), obs["donor"].to_numpy()
    distance = cdist(embeddings.values.astype(float), embeddings.values.astype(float))
    assert len(pairs) > 100
    for row in range(len(pairs)):
        x, other, concept = pairs.factual[row], pairs.counterfactual[row], pairs.concept[row]
        admissible = (dense[:, concept] == 0) & (donor == donor[x])
        admissible &= np.abs(np.log(library / library[x])) <= 0.3
        assert other == np.where(admissible, distance[x], np.inf).argmin()
        assert dense[x, concept] == pairs.activation[row] > 0
        assert pairs.distance[row] == pytest.approx(1.7 * distance[x, other])
        assert pairs.library_ratio[row] == pytest.approx(library[x] / library[other])


def test_matched_names_the_columns_on_which_both_cells_agree(cells):
    activations, embeddings, obs, _ = cells
    pairs = match(activations, embeddings, obs=obs, match_on=["donor"], describe=["type"])
    one, other = obs["type"].to_numpy()[pairs.factual], obs["type"].to_numpy()[pairs.counterfactual]
    agree = (one == other) & pd.notna(one)
    np.testing.assert_array_equal(pairs.matched, np.where(agree, "donor,type", "donor"))
    assert 0 < agree.sum() < len(agree)
    assert np.isnan(pairs.library_ratio).all()


def test_concepts_without_enough_pairs_say_why(cells):
    activations, embeddings, obs, library = cells
    pairs = match(activations, embeddings)
    assert dict(pairs.not_attributable) == {7: "active in 5 cells, needs 8", 8: "active in every cell"}
    assert set(pairs.concept) == set(range(7))
    strict = match(activations, embeddings, obs=obs, library_size=library, match_on=["donor"], caliper=1e-5)
    assert strict.not_attributable[0].startswith("no admissible counterfactual for ")
    assert strict.not_attributable[0].endswith(
        " of 64 factuals (pairing=distinct, match_on=donor, caliper=1e-05)"
    )
    assert len(strict) == 0
    assert strict.n_dropped[0] > 56


def test_factuals_without_counterfactual_are_dropped_and_counted(cells):
    activations, embeddings, _, library = cells
    pairs = match(activations, embeddings, library_size=library, caliper=0.005)
    kept = pd.Series(pairs.concept).value_counts()
    assert pairs.n_dropped
    for concept, n_dropped in pairs.n_dropped.items():
        if concept not in pairs.not_attributable:
            assert kept[concept] == min(64, (activations.of(concept) > 0).sum()) - n_dropped


def test_pairs_are_numbered_by_factual(cells):
    activations, embeddings, _, _ = cells
    pairs = match(activations, embeddings, n_pairs=20, n_counterfactuals=3).to_frame()
    for _, group in pairs.groupby("concept"):
        assert sorted(group["pair"].unique()) == list(range(20))
        assert (group.groupby("pair").size() == 3).all()
        assert (group.groupby("pair")["factual"].nunique() == 1).all()
        assert group.groupby("pair")["distance"].apply(lambda d: d.is_monotonic_increasing).all()


def test_sampling_top_takes_the_strongest(cells):
    activations, embeddings, _, _ = cells
    pairs = match(activations, embeddings, n_pairs=10, sampling="top")
    for concept in range(7):
        strongest = np.sort(activations.of(concept))[::-1][:10]
        np.testing.assert_array_equal(pairs.activation[pairs.concept == concept], strongest)


def test_distance_percentile_is_the_share_of_random_pairs_below(cells):
    activations, embeddings, _, _ = cells
    pairs = match(activations, embeddings)
    everything = 1.7 * cdist(embeddings.values, embeddings.values)[np.triu_indices(N_CELLS, 1)]
    exact = np.array([(everything < distance).mean() * 100 for distance in pairs.distance])
    assert np.abs(pairs.distance_percentile - exact).max() < 2.5


def test_null_pairs_are_active_distinct_and_as_far_apart(cells):
    activations, embeddings, _, library = cells
    pairs = match(activations, embeddings, library_size=library, n_pairs=30)
    null, dense = pairs.null, activations.values.toarray()
    assert (dense[null.factual, null.concept] > 0).all()
    assert (dense[null.counterfactual, null.concept] > 0).all()
    for concept in range(7):
        mine = null.concept == concept
        np.testing.assert_array_equal(null.pair[mine], np.arange(60))
        unordered = {frozenset(p) for p in zip(null.factual[mine], null.counterfactual[mine], strict=True)}
        assert len(unordered) == 60
        ratio = null.distance[mine] / np.repeat(pairs.distance[pairs.concept == concept], 2)
        assert 0.9 < np.median(ratio) < 1.1


def test_concepts_are_independent_of_each_other(cells):
    activations, embeddings, _, library = cells
    together = match(activations, embeddings, library_size=library)
    alone = match(activations, embeddings, library_size=library, concepts=[3])
    for one, other in ((together, alone), (together.null, alone.null)):
        expected = one.to_frame().query("concept == 3").reset_index(drop=True)
        pd.testing.assert_frame_equal(other.to_frame(), expected)


def test_order_of_cells_does_not_matter(cells):
    activations, embeddings, obs, library = cells
    order = np.random.default_rng(3).permutation(N_CELLS)
    ids = activations.cell_ids[order]
    other = match(
        Activations(activations.values[order], ids, "d1", scale=1.7),
        Embeddings(embeddings.values[order], ids, "e1"),
        obs=obs.iloc[order],
        library_size=library[order],
        match_on=["donor"],
    )
    one = match(activations, embeddings, obs=obs, library_size=library, match_on=["donor"])
    pd.testing.assert_frame_equal(other.to_frame(), one.to_frame())
    pd.testing.assert_frame_equal(other.null.to_frame(), one.null.to_frame())


def test_arrays_are_accepted_and_seeds_matter(cells):
    activations, embeddings, _, _ = cells
    one, other = match(activations, embeddings), match(activations, embeddings.values)
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
    third = match(activations, embeddings, seed=1)
    assert not one.to_frame().equals(third.to_frame())


def test_library_size_may_be_a_series_of_counts(cells):
    activations, embeddings, obs, library = cells
    counts = pd.Series(library.round().astype(np.int64), index=obs.index)
    one = match(activations, embeddings, library_size=counts, caliper=0.3)
    other = match(activations, embeddings, library_size=counts.to_numpy(dtype=float), caliper=0.3)
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
    with pytest.raises(
        InputError, match="library_size describes 400 cells, the activations 400, and the ids"
    ):
        match(activations, embeddings, library_size=counts.iloc[::-1])
    with pytest.raises(InputError, match=r"library_size has 399 values, 0 of them not above 0; expected the"):
        _log_library(library[1:], N_CELLS, caliper=None)


def test_embeddings_may_lie_on_disk(cells, tmp_path):
    activations, embeddings, _, _ = cells
    np.save(tmp_path / "embeddings.npy", embeddings.values)
    on_disk = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    assert np.shares_memory(embedded_values(activations, on_disk, None), on_disk)
    one, other = match(activations, embeddings), match(activations, on_disk)
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
    pd.testing.assert_frame_equal(one.null.to_frame(), other.null.to_frame())


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_embeddings_that_are_not_finite(cells, broken):
    activations, embeddings, _, _ = cells
    values = embeddings.values.copy()
    values[5:7, 2] = broken
    for given in (values, Embeddings(values, embeddings.cell_ids, "e1")):
        with pytest.raises(InputError, match=r"^The embedding has NaN or infinite values in 2 of 400 cells"):
            match(activations, given)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_pairs": 0}, "n_pairs is 0, expected at least 1."),
        ({"seed": -1}, "seed is -1, expected at least 0."),
        ({"match_on": "donor"}, "match_on is a text, expected a list of column names: ['donor']."),
        ({"describe": "type"}, "describe is a text, expected a list of column names: ['type']."),
        (
            {"n_pairs": 5},
            "min_pairs=8 with n_pairs=5: no concept could have enough pairs. "
            "Lower min_pairs or raise n_pairs.",
        ),
        (
            {"match_on": ["donor"]},
            "match_on and describe name ['donor'], but obs was not given. Pass obs=adata.obs.",
        ),
        (
            {"caliper": 0.5},
            "caliper limits the library sizes of a pair, but library_size was not given. Pass both.",
        ),
    ],
)
def test_options_that_do_not_fit(cells, options, text):
    with pytest.raises(InputError) as caught:
        match(cells[0], cells[1], **options)
    assert str(caught.value) == text


def test_columns_that_do_not_fit(cells):
    activations, embeddings, obs, library = cells
    with pytest.raises(InputError, match=r"obs has no column 'batch'; it has donor, type\."):
        match(activations, embeddings, obs=obs, match_on=["batch"])
    with pytest.raises(
        InputError, match=r"obs\['type'\] is missing for \d+ cells\. Fill it in or drop these"
    ):
        match(activations, embeddings, obs=obs, match_on=["type"])
    with pytest.raises(
        InputError, match="obs describes 400 cells, the activations 400, and the ids or their"
    ):
        match(activations, embeddings, obs=obs.iloc[::-1], match_on=["donor"])
    with pytest.raises(InputError, match="embeddings has 10 rows, the activations 400 cells"):
        match(activations, embeddings.values[:10])
    library = library.copy()
    library[3] = 0
    with pytest.raises(InputError, match="library_size has 400 values, 1 of them not above 0"):
        match(activations, embeddings, library_size=library)
    with pytest.raises(InputError, match=r"caliper is -1\.0, expected a positive difference"):
        match(activations, embeddings, library_size=library + 1, caliper=-1.0)
    with pytest.raises(DictionaryMismatchError, match=r"concepts \[77\] are not in dictionary d1, which has"):
        match(activations, embeddings, concepts=[77])
