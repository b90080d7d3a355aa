import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.attribution import compare, compare_dictionaries
from conceptome.core import InputError
from conceptome.counterfactuals import hold_out


@pytest.fixture(scope="module")
def comparison(world):
    return compare(
        world.adata,
        world.encoder,
        world.dictionary,
        world.pairs,
        world.activations,
        methods=("substitute", "integrated_gradients", "wilcoxon", "random"),
        seed=1,
    )


def test_every_method_is_scored_and_measured(comparison):
    assert list(comparison.scores) == ["substitute", "integrated_gradients", "wilcoxon", "random"]
    assert set(comparison.faithfulness.methods) == set(comparison.scores)
    summary = comparison.faithfulness.summary().set_index("method")
    assert summary.loc["substitute", "deletion"] < summary.loc["random", "deletion"]
    assert summary.loc["substitute", "insertion"] > summary.loc["random", "insertion"]


def test_scores_come_from_the_factuals_that_are_not_held_out(world, comparison):
    kept, held_out = hold_out(world.pairs, seed=1)
    found = cm.attribution.attribute(world.adata, world.encoder, world.dictionary, kept, seed=1)
    concepts = np.unique(kept.concept)
    pd.testing.assert_frame_equal(comparison.scores["substitute"], found.scores("attribution").loc[concepts])
    measured = comparison.faithfulness.factuals[["concept", "pair"]].drop_duplicates()
    kept_pairs = set(zip(kept.concept, kept.pair, strict=True))
    assert not kept_pairs & set(measured.itertuples(index=False, name=None))
    assert len(measured) == len(held_out)


def test_agreement_is_a_rank_correlation(comparison):
    table = comparison.agreement.set_index(["method", "other"])["spearman"]
    assert len(table) == 6
    assert table["substitute", "integrated_gradients"] > 0.7
    assert abs(table["substitute", "random"]) < 0.4
    one, other = (comparison.scores[name] for name in ("substitute", "wilcoxon"))
    expected = []
    for concept in one.index:
        used = one.loc[concept].notna() & (one.loc[concept] != 0)
        expected.append(one.loc[concept][used].corr(other.loc[concept][used], method="spearman"))
    assert table["substitute", "wilcoxon"] == pytest.approx(np.mean(expected))


def test_unknown_method(world):
    with pytest.raises(InputError, match="methods is 'shap'"):
        compare(
            world.adata,
            world.encoder,
            world.dictionary,
            world.pairs,
            world.activations,
            methods=("shap",),
        )


def test_dictionaries_stand_beside_each_other(world):
    embeddings = world.encoder.embed(world.adata)
    dictionaries = {
        "concepts": world.dictionary,
        "neurons": cm.dictionaries.NeuronDictionary.fit(embeddings),
        "pca": cm.dictionaries.PcaDictionary.fit(embeddings),
    }
    table = compare_dictionaries(
        world.adata, world.encoder, dictionaries, embeddings, n_units=6, n_pairs=30, seed=0
    ).set_index("dictionary")
    assert list(table.index) == list(dictionaries)
    assert (table["n_units"] == 6).all()
    assert table["with_drivers"].between(0, 1).all()
    assert (table["gap"] > 0).all(), "substitution must beat random orders on every dictionary"
    assert (table["deletion"] < table["insertion"]).all()


def test_a_dictionary_with_too_few_pairs_has_no_areas(world):
    embeddings = world.encoder.embed(world.adata)
    arguments = (world.adata, world.encoder, {"concepts": world.dictionary}, embeddings)
    table = compare_dictionaries(*arguments, n_pairs=10)
    assert table["n_units"].tolist() == [world.dictionary.n_concepts]
    assert table["n_attributable"].tolist() == [0]
    assert "deletion" not in table or table["deletion"].isna().all()
