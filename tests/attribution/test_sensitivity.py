import numpy as np
import pytest
from scipy.stats import spearmanr

import conceptome as cm
from conceptome.attribution.sensitivity import _chosen
from conceptome.core import InputError
from conceptome.data import library_size

CONCEPTS = [0, 1, 2, 5]
MATCHINGS = {"distinct": {}, "again": {}, "nearest": {"pairing": "nearest"}, "redrawn": {"seed": 4}}


@pytest.fixture(scope="module")
def parts(world):
    embeddings = world.encoder.embed(world.adata)
    return world.adata, world.encoder, world.dictionary, world.activations, embeddings


@pytest.fixture(scope="module")
def table(parts):
    return cm.attribution.sensitivity(*parts, matchings=MATCHINGS, concepts=CONCEPTS)


def attributed(parts, **options):
    adata, encoder, dictionary, activations, embeddings = parts
    pairs = cm.counterfactuals.match(
        activations,
        embeddings,
        dictionary=dictionary,
        library_size=library_size(adata),
        concepts=CONCEPTS,
        **options,
    )
    return cm.attribution.attribute(adata, encoder, dictionary, pairs)


def test_every_concept_and_pair_of_matchings_has_a_row(table):
    assert len(table) == len(CONCEPTS) * 6
    assert list(table.iloc[:6][["one", "other"]].itertuples(index=False, name=None)) == [
        ("distinct", "again"),
        ("distinct", "nearest"),
        ("distinct", "redrawn"),
        ("again", "nearest"),
        ("again", "redrawn"),
        ("nearest", "redrawn"),
    ]


def test_the_same_matching_agrees_with_itself(table):
    same = table.query("one == 'distinct' and other == 'again'").dropna(subset="spearman")
    assert len(same) >= 3
    np.testing.assert_allclose(same["spearman"], 1)
    assert (same["n_lost"] == 0).all()
    assert (same["n_won"] == 0).all()


def test_equals_what_match_and_attribute_say(table, parts):
    one, other = attributed(parts), attributed(parts, pairing="nearest")
    rows = table.query("one == 'distinct' and other == 'nearest'").set_index("concept")
    assert (rows["spearman"].dropna() < 1).all()
    assert rows["n_drivers_one"].sum() > 0
    assert rows["spearman_drivers"].notna().any()
    for row, concept in enumerate(one.concepts):
        either = (one.n_differing[row] >= 6) | (other.n_differing[row] >= 6)
        expected = spearmanr(one.attribution[row, either], other.attribution[row, either]).statistic
        assert rows.loc[concept, "spearman"] == pytest.approx(expected, nan_ok=True)
        assert rows.loc[concept, "n_genes"] == either.sum()
        drivers = one.drives[row] | other.drives[row]
        expected = np.nan
        if drivers.sum() >= 3:
            expected = spearmanr(one.attribution[row, drivers], other.attribution[row, drivers]).statistic
        assert rows.loc[concept, "spearman_drivers"] == pytest.approx(expected, nan_ok=True)
        lost = one.drives[row] & ~other.drives[row]
        ordered = sorted(np.flatnonzero(lost), key=lambda gene: -abs(one.attribution[row, gene]))
        assert rows.loc[concept, "lost"] == ",".join(one.genes[gene] for gene in ordered)
        assert rows.loc[concept, "n_won"] == (other.drives[row] & ~one.drives[row]).sum()
        assert rows.loc[concept, "n_factuals_other"] == other.n_pairs[row]


def test_genes_are_lost_and_won_both_ways(parts):
    ways = {"a": {}, "b": {"pairing": "nearest"}}
    there = cm.attribution.sensitivity(*parts, matchings=ways, concepts=CONCEPTS)
    back = cm.attribution.sensitivity(*parts, matchings=dict(reversed(ways.items())), concepts=CONCEPTS)
    assert there["lost"].tolist() == back["won"].tolist()
    np.testing.assert_allclose(there["spearman"], back["spearman"])


def test_the_default_set_has_a_matching_for_each_column(build_world, counts):
    adata = counts.copy()
    adata.obs["donor"] = np.resize(["a", "b"], adata.n_obs)
    world = build_world(adata)
    parts = (adata, world.encoder, world.dictionary, world.activations, world.encoder.embed(adata))
    table = cm.attribution.sensitivity(*parts, match_on=["donor"], concepts=[0])
    assert table["one"].iloc[0] == "distinct"
    assert table.query("one == 'distinct'")["other"].tolist() == [
        "other draw",
        "nearest",
        "5 counterfactuals",
        "caliper 0.2",
        "match_on donor",
    ]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_another_draw_never_has_the_same_seed(seed):
    assert _chosen(None, (), seed)["other draw"] == {"seed": seed + 1}


def test_a_concept_without_enough_pairs_is_nan(parts):
    ways = {"all": {}, "few": {"n_pairs": 300, "min_pairs": 300}}
    table = cm.attribution.sensitivity(*parts, matchings=ways, concepts=[0])
    assert np.isnan(table.loc[0, "spearman"])
    assert table.loc[0, "n_factuals_other"] == 0
    assert table.loc[0, "n_won"] == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"matchings": {"a": {}}}, "matchings has 1, expected at least 2 to compare."),
        (
            {"matchings": {"a": {}, "b": {"obs": None, "n_pair": 3}}},
            "The matching 'b' sets obs, n_pair; it can set dictionary, n_pairs, n_counterfactuals, match_on, "
            "caliper, sampling, pairing, min_pairs, seed.",
        ),
        (
            {"matchings": {"a": {}, "b": {}}, "match_on": ["donor"]},
            "match_on is ['donor'] beside matchings. Add a matching {'match_on': [...]} to them.",
        ),
        ({"match_on": "donor"}, "match_on is a text, expected a list of column names: ['donor']."),
    ],
)
def test_options_that_do_not_fit(parts, options, text):
    with pytest.raises(InputError) as caught:
        cm.attribution.sensitivity(*parts, **options)
    assert str(caught.value) == text
