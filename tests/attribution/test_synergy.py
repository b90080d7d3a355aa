import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import InputError
from conceptome.dictionaries import TopKDictionary, Weights


@pytest.fixture(scope="module")
def record(world):
    return cm.attribution.attribute(world.adata, world.encoder, world.dictionary, world.pairs, n_bootstrap=10)


def measure(world, record, **options):
    return cm.attribution.redundancy(
        world.adata, world.encoder, world.dictionary, world.pairs, record, **options
    )


def activations_of(world, cells, concept):
    columns = world.adata.var_names.get_indexer(world.encoder.genes)
    z = cells[:, columns] @ world.encoder.weights.T + world.encoder.bias
    return world.dictionary.activate(world.dictionary.preactivations(z))[:, concept]


def test_effects_equal_a_plain_loop(world, record):
    sets = {"some": ["g1", "g2", "g3", "g9"], "unheard": ["x"]}
    table = measure(world, record, n_genes=3, gene_sets=sets, concepts=record.concepts[:3].tolist())
    matrix, known = np.asarray(world.adata.X), world.encoder.known(world.adata)
    for concept, rows in table.groupby("concept"):
        mine = world.pairs.concept == concept
        one, other = matrix[world.pairs.factual[mine]], matrix[world.pairs.counterfactual[mine]]
        before = activations_of(world, one, concept)
        scores = record.attribution[record.concepts == concept][0]
        top = np.argsort(-np.nan_to_num(scores), kind="stable")[:3]
        some = [int(gene[1:]) for gene in sets["some"] if gene != "g3"]  # g3 is unknown to the encoder
        for name, genes in (("top", top), ("some", some)):
            row = rows.set_index("genes").loc[name]
            edited = one.copy()
            edited[:, genes] = other[:, genes]
            together = before - activations_of(world, edited, concept)
            apart = np.zeros(len(one))
            for gene in genes:
                single = one.copy()
                single[:, gene] = other[:, gene]
                apart += before - activations_of(world, single, concept)
            assert row["together"] == pytest.approx(together.sum() / before.sum(), abs=1e-9)
            assert row["apart"] == pytest.approx(apart.sum() / before.sum(), abs=1e-9)
            assert row["synergy"] == pytest.approx(row["together"] - row["apart"], abs=1e-12)
            assert row["n_genes"] == len(genes)
            differing = ((one != other) & known)[:, genes].sum(axis=1)
            assert row["n_differing"] == pytest.approx(differing.mean())
            assert row["n_factuals"] == len(one)
        unheard = rows.set_index("genes").loc["unheard"]
        assert unheard["n_genes"] == 0
        assert unheard[["together", "apart", "synergy", "synergy_se"]].isna().all()


def test_the_error_is_that_of_a_bootstrap(world, record):
    table = measure(world, record, n_genes=4)
    concept = int(table["concept"].iloc[0])
    mine = np.flatnonzero(world.pairs.concept == concept)
    draws = [
        measure(replace(world, pairs=resampled(world.pairs, mine, seed)), record, n_genes=4)["together"].iloc[
            0
        ]
        for seed in range(60)
    ]
    assert np.std(draws, ddof=1) == pytest.approx(table["together_se"].iloc[0], rel=0.35)


def resampled(pairs, rows, seed):
    drawn = np.random.default_rng(seed).choice(rows, len(rows))
    return replace(pairs.take(drawn), pair=np.arange(len(rows)))


@pytest.mark.parametrize(
    ("weight", "bias", "k", "expected"),
    [
        (
            0.3,
            1.0,
            1,
            (1.0, 0.6 / 1.6),
        ),  # 1.6, 1.3 without one of the genes; 1.0 without both is evicted by 1.2
        (1.0, -1.5, 2, (1.0, 2.0)),  # 0.5, and silent without either
    ],
)
def test_genes_may_matter_only_together_or_each_alone(world, weight, bias, k, expected):
    """Concept 0 reads the sum of two genes, which are 1 in factuals and 0 elsewhere; concept 1 is 1.2."""
    genes = world.encoder.genes
    weights = np.zeros((2, len(genes)))
    weights[0, genes.get_indexer(["g1", "g2"])] = weight
    weights[1] = 0.01
    encoder = cm.encoders.LinearEncoder(weights, np.zeros(2), genes, options=world.encoder.options)
    maps = np.array([[1.0, 0.0], [0.0, 0.001]])
    parts = Weights(maps, np.array([bias, 1.2]), maps, np.zeros(2), np.zeros(2))
    dictionary = TopKDictionary(parts, k, encoder_id=encoder.encoder_id)
    adata = world.adata.copy()
    adata.X = np.ones(adata.shape)
    adata.X[adata.n_obs // 2 :, [1, 2]] = 0.0
    embeddings = encoder.embed(adata)
    pairs = cm.counterfactuals.match(dictionary.encode(embeddings), embeddings, n_pairs=12, concepts=[0])
    record = cm.attribution.attribute(adata, encoder, dictionary, pairs, n_bootstrap=10)
    table = cm.attribution.redundancy(
        adata, encoder, dictionary, pairs, record, n_genes=0, gene_sets={"both": ["g1", "g2"]}
    )
    assert table[["together", "apart"]].iloc[0].tolist() == pytest.approx(expected)
    assert table["synergy"].iloc[0] == pytest.approx(expected[0] - expected[1])
    assert table["synergy_se"].iloc[0] == pytest.approx(0, abs=1e-9)


def test_what_does_not_fit_is_refused(world, record):
    with pytest.raises(
        InputError, match=re.escape("n_genes is 0 and there are no gene_sets, so that no set")
    ):
        measure(world, record, n_genes=0)
    with pytest.raises(
        InputError, match=re.escape("Concepts [99] lack pairs or attributions. Ask for concepts")
    ):
        measure(world, record, concepts=[99])
    message = "gene_sets has a set 'top', the name of the strongest genes. Rename it, or pass n_genes=0."
    with pytest.raises(InputError, match=re.escape(message)):
        measure(world, record, gene_sets={"top": ["g1"]})
    renamed = replace(record, genes=pd.Index([f"h{i}" for i in range(len(record.genes))]))
    message = (
        "attributions has 24 genes that are not the 24 of adata in their order. Pass the cells that were"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        measure(world, renamed)
