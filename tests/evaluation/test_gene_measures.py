"""Genes and gene sets of dictionaries side by side, on cells whose programmes are known."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import conceptome as cm
from conceptome.core import InputError
from conceptome.dictionaries import NmfDictionary, TopK, train
from conceptome.encoders import PrecomputedEncoder
from conceptome.evaluation import GeneTests, measure_genes, read_cells, scrambled, train_like, why_no_genes

TESTS = {"n_pairs": 32, "n_genes": 30, "min_size": 5, "n_permutations": 200}
NOTHING = {"with_drivers": 0.0, "attributable": 0.0, "annotated": 0.0, "themes": 0.0}


def as_cells(adata, encoder):
    cells, _ = read_cells(
        adata, encoder, encoder.embed(adata), label_keys=[], group_key=None, batch_key=None, seed=0
    )
    return cells


@pytest.fixture(scope="module")
def world():
    """Cells of six programmes, their encoder and dictionary; each programme is a gene set."""
    options = cm.data.SimulationOptions(
        n_cells=400, n_genes=160, n_cell_types=3, n_programmes=6, n_rare=0, genes_per_programme=12,
        overlap=0.0, fold_change=6.0, n_batches=1, expression_sd=1.0, library_size=800.0,
    )  # fmt: skip
    adata = cm.data.simulate(options, seed=0)
    encoder = cm.encoders.fit("linear", adata, options=cm.encoders.LinearOptions(n_components=6), seed=0)
    cells = as_cells(adata, encoder)
    dictionary = train(cells.embeddings, TopK(12, 2, max_epochs=100), seed=0, progress=False)
    of_genes = np.asarray(adata.varm["programmes"]) > 0
    members = {f"P{at}": adata.var_names[of_genes[:, at]].tolist() for at in range(of_genes.shape[1])}
    sets = cm.enrichment.GeneSets.from_mapping(members, collection="programmes")
    return adata, encoder, cells, dictionary, GeneTests(gene_sets=(sets,), **TESTS)


def measure(cells, dictionary, encoder, tests, **options):
    found = measure_genes("x", dictionary, cells, encoder, tests=tests, seed=0, **options)
    return {row["metric"]: row["value"] for row in found.rows}, found.faithfulness


@pytest.fixture(scope="module")
def measured(world):
    _, encoder, cells, dictionary, tests = world
    return measure(cells, dictionary, encoder, tests)


def test_concepts_of_programmes_have_drivers_and_their_gene_sets(measured):
    values, _ = measured
    assert values["with_drivers"] > 0.6
    assert values["faithfulness"] > 0.3
    assert values["faithfulness"] == pytest.approx(
        values["insertion"] - values["deletion"] - values["insertion_random"] + values["deletion_random"]
    )
    assert values["annotated_excess"] > 0.4
    assert values["annotated_excess"] == values["annotated"] - values["annotated_null_pairs"]
    assert values["themes"] == 6
    assert 0 <= values["term_specificity"] <= 1
    assert values["term_information"] == pytest.approx(np.log(160 / 12))


def test_every_share_is_of_the_units_that_were_drawn(world, measured):
    _, encoder, cells, _, tests = world
    _, faithfulness = measured
    assert len(faithfulness.concepts) <= 12
    everywhere = NmfDictionary.fit(cells.embeddings, n_components=3, seed=0)  # active in every cell: no pairs
    values, record = measure(cells, everywhere, encoder, tests)
    assert {name: values[name] for name in NOTHING} == NOTHING
    assert record is None
    assert np.isnan(
        [values[name] for name in ("faithfulness", "deletion", "drivers", "term_information")]
    ).all()


def test_a_draw_of_units_and_all(world):
    *_, encoder, cells, dictionary, _ = world
    few = GeneTests(n_units=4, **TESTS)
    values, record = measure(cells, dictionary, encoder, few)
    assert len(record.concepts) <= 4
    assert values["attributable"] in {0, 0.25, 0.5, 0.75, 1}
    assert "annotated" not in values  # no gene sets were given
    whole = measure(cells, dictionary, encoder, few, whole=True)[1]
    assert set(record.concepts) < set(whole.concepts)


def test_the_order_of_cells_does_not_matter(world, measured):
    adata, encoder, _, dictionary, tests = world
    order = np.random.default_rng(0).permutation(adata.n_obs)
    values, _ = measure(as_cells(adata[order], encoder), dictionary, encoder, tests)
    assert values == measured[0]


def test_the_random_encoder_is_asked_through_its_own_weights(world, measured):
    adata, encoder, cells, dictionary, tests = world
    random = scrambled(adata, encoder, dictionary, seed=0)
    seen = cells.through(random.embeddings)
    other = train_like(dictionary, seen.embeddings, seed=0, groups=None)
    values, _ = measure(seen, other, random.encoder, tests)
    assert values["annotated"] < measured[0]["annotated"]


def test_it_says_why_genes_or_gene_sets_cannot_be_tested(world):
    adata, encoder, cells, dictionary, tests = world
    assert why_no_genes(cells, encoder, tests) == {}
    assert why_no_genes(cells, encoder, GeneTests()) == {"gene_sets": "No gene sets were given."}
    foreign = GeneTests(gene_sets=tests.gene_sets, gene_names=pd.Series("?", index=adata.var_names))
    assert why_no_genes(cells, encoder, foreign) == {
        "gene_sets": "No gene set has 10 to 500 of the genes that were measured."
    }
    fixed = AnnData(adata.X, obs=adata.obs, var=adata.var, obsm={"X_z": encoder.embed(adata).values})
    precomputed = PrecomputedEncoder("X_z")
    assert "genes" in why_no_genes(as_cells(fixed, precomputed), precomputed, tests)
    assert "genes" in why_no_genes(cells, None, tests)
    bare, _ = read_cells(
        adata, None, encoder.embed(adata), label_keys=[], group_key=None, batch_key=None, seed=0
    )
    with pytest.raises(InputError) as caught:
        measure_genes("x", dictionary, bare, encoder, tests=tests, seed=0)
    assert str(caught.value) == "The cells come without genes. Read them with read_cells and their encoder."
    with pytest.raises(InputError, match="n_units is 1, expected at least 2"):
        GeneTests(n_units=1)
