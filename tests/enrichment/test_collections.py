"""The shipped collection `immune-starter`: its form, its references and its biology."""

import gzip
import itertools
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from conceptome.enrichment import load_gene_sets

COLLECTION = resources.files("conceptome.enrichment") / "collections" / "immune-starter.gmt"
PAGE = Path(__file__).parents[2] / "docs" / "collections.md"
SOURCE = re.compile(r"GO:\d{7}|R-HSA-\d+|PMID:\d+|doi:10\.\d{4,}/\S+")
DEMO_MIN_SIZE = 5

# Where a lineage is labelled, its set must stand highest: dataset -> set -> the labels allowed to be on top.
# docs/collections.md names the sets that are not, with the reason.
HIGHEST = {
    "pbmc3k_10x_raw": {
        "B_CELL": {"B"},
        "NAIVE_B_CELL": {"B"},
        "MEMORY_B_CELL": {"B"},
        "BCR_SIGNALING": {"B"},
        "T_CELL": {"Memory CD4 T", "CD8 T", "Naive CD4 T"},
        "TCR_SIGNALING": {"Memory CD4 T", "CD8 T", "Naive CD4 T"},
        "NAIVE_CD4_T_CELL": {"Naive CD4 T"},
        "MEMORY_CD4_T_CELL": {"Memory CD4 T"},
        "REGULATORY_T_CELL": {"Memory CD4 T"},
        "EFFECTOR_MEMORY_CD8_T_CELL": {"CD8 T"},
        "MAIT_CELL": {"CD8 T"},
        "NK_CELL": {"NK"},
        "NK_CELL_RECEPTORS": {"NK"},
        "CD56_DIM_NK_CELL": {"NK"},
        "CD56_BRIGHT_NK_CELL": {"NK"},
        "CYTOTOXIC_GRANULES": {"NK"},
        "CD14_MONOCYTE": {"CD14+ Mono"},
        "NEUTROPHIL": {"CD14+ Mono"},
        "CD16_MONOCYTE": {"FCGR3A+ Mono"},
        "CDC1": {"DC"},
        "CDC2": {"DC"},
        "PLASMACYTOID_DC": {"DC"},
        "MHC_CLASS_II_PRESENTATION": {"DC"},
        "MEGAKARYOCYTE_PLATELET": {"Platelet"},
        "PLATELET_ACTIVATION": {"Platelet"},
        "PLATELET_ALPHA_GRANULE": {"Platelet"},
    },
    "pbmc4k_10x_2000x4060_raw": {
        "B_CELL": {"B cells"},
        "NAIVE_B_CELL": {"B cells"},
        "MEMORY_B_CELL": {"B cells"},
        "BCR_SIGNALING": {"B cells"},
        "T_CELL": {"CD4 T cells", "CD8 T cells"},
        "TCR_SIGNALING": {"CD4 T cells", "CD8 T cells"},
        "NAIVE_CD4_T_CELL": {"CD4 T cells"},
        "EFFECTOR_MEMORY_CD8_T_CELL": {"CD8 T cells"},
        "NK_CELL": {"NK cells"},
        "CD56_DIM_NK_CELL": {"NK cells"},
        "CD56_BRIGHT_NK_CELL": {"NK cells"},
        "CYTOTOXIC_GRANULES": {"NK cells"},
        "CD14_MONOCYTE": {"CD14+ Monocytes"},
        "CD16_MONOCYTE": {"FCGR3A+ Monocytes"},
        "CDC2": {"Dendritic Cells"},
        "MHC_CLASS_II_PRESENTATION": {"Dendritic Cells"},
    },
    "kang2018_ifnb_pbmc_raw": {
        "B_CELL": {"B cells"},
        "NAIVE_B_CELL": {"B cells"},
        "MEMORY_B_CELL": {"B cells"},
        "T_CELL": {"CD4 T cells", "CD8 T cells"},
        "NAIVE_CD4_T_CELL": {"CD4 T cells"},
        "EFFECTOR_MEMORY_CD8_T_CELL": {"CD8 T cells"},
        "NK_CELL": {"NK cells"},
        "CD14_MONOCYTE": {"CD14+ Monocytes"},
        "CD16_MONOCYTE": {"FCGR3A+ Monocytes"},
        "CDC2": {"Dendritic cells"},
        "MATURE_DC_LAMP3": {"Dendritic cells"},
        "MEGAKARYOCYTE_PLATELET": {"Megakaryocytes"},
    },
    "crc_15types_metabgenes_raw": {
        "PLASMA_CELL": {"Plasma"},
        "MAST_CELL": {"Mast"},
        "TISSUE_MACROPHAGE": {"Normal Macrophage", "TAM"},
        "T_CELL": {"T"},
    },
    "pbmc68k_reduced_700x765_raw": {
        "HSC_PROGENITOR": {"CD34+"},
        "CD14_MONOCYTE": {"CD14+ Monocyte"},
        "CDC2": {"Dendritic"},
        "B_CELL": {"CD19+ B"},
        "NK_CELL": {"CD56+ NK"},
        "REGULATORY_T_CELL": {"CD4+/CD25 T Reg"},
        "NAIVE_CD8_T_CELL": {"CD8+/CD45RA+ Naive Cytotoxic"},
        "MEMORY_CD4_T_CELL": {"CD4+/CD45RO+ Memory"},
        "EFFECTOR_MEMORY_CD8_T_CELL": {"CD8+ Cytotoxic T"},
    },
}


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[list[str], list[str]]]:
    """Map each term to its sources and genes, as they stand in the file."""
    lines = COLLECTION.read_text(encoding="utf-8").splitlines()
    parsed = [line.split("\t") for line in lines]
    assert len({fields[0] for fields in parsed}) == len(parsed), "a term stands twice"
    return {term: (source.split(";"), genes) for term, source, *genes in parsed}


@pytest.fixture(scope="module")
def demo_genes(shared) -> set[str]:
    return set(ad.read_h5ad(shared / "data" / "pbmc68k_reduced_700x765_raw.h5ad", backed="r").var_names)


def mean_expression(adata: ad.AnnData, labels: pd.Series, rows: dict) -> pd.DataFrame:
    """Average log1p CP10k over the genes of a set and the cells of a label: sets x labels."""
    counts = sparse.csr_matrix(adata.X, dtype=float)
    scaled = sparse.diags(1e4 / np.asarray(counts.sum(axis=1)).ravel()) @ counts
    groups = pd.get_dummies(labels.astype(str), dtype=float)
    per_label = (groups / groups.sum()).to_numpy().T @ scaled.log1p()
    by_gene = pd.DataFrame(per_label, index=groups.columns, columns=adata.var_names)
    measured = {term: by_gene.columns.intersection(genes) for term, (_, genes) in rows.items()}
    return pd.DataFrame({term: by_gene[genes].mean(axis=1) for term, genes in measured.items()}).T


def test_loads_by_name_and_keeps_every_term(rows):
    collection = load_gene_sets("immune-starter")

    assert collection.collection == "immune-starter"
    assert collection.terms == tuple(rows)
    assert collection.members == tuple(tuple(genes) for _, genes in rows.values())


def test_size_of_collection_and_sets(rows):
    assert len(rows) >= 60
    assert {term: len(genes) for term, (_, genes) in rows.items() if not 10 <= len(genes) <= 60} == {}


def test_terms_are_plain_upper_case_names(rows):
    assert [term for term in rows if not re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", term)] == []


def test_no_gene_stands_twice_in_a_set(rows):
    twice = {term: [g for g, n in Counter(genes).items() if n > 1] for term, (_, genes) in rows.items()}

    assert {term: genes for term, genes in twice.items() if genes} == {}


def test_sets_are_distinct(rows):
    def jaccard(one: str, other: str) -> float:
        first, second = set(rows[one][1]), set(rows[other][1])
        return len(first & second) / len(first | second)

    assert [pair for pair in itertools.combinations(rows, 2) if jaccard(*pair) >= 0.6] == []


def test_every_set_has_one_or_two_sources(rows):
    bad = [
        term
        for term, (sources, _) in rows.items()
        if not 1 <= len(sources) <= 2 or not all(SOURCE.fullmatch(source) for source in sources)
    ]

    assert bad == []


def test_ontology_identifiers_are_live_terms(shared, rows):
    with gzip.open(shared / "data" / "genesets" / "go_2024-01-17.isa.obo.gz", "rt") as file:
        live = {line.removeprefix("id: ").strip() for line in file if line.startswith("id: GO:")}
    cited = {source for sources, _ in rows.values() for source in sources if source.startswith("GO:")}

    assert len(cited) > 60
    assert cited - live == set()


def test_symbols_are_those_of_gencode(shared, rows):
    names = pd.read_csv(
        shared / "data" / "vocab" / "gencode_v44_gene_id2name.csv.gz", header=None, names=["id", "symbol"]
    )
    genes = {gene for _, genes in rows.values() for gene in genes}

    assert len(genes) > 1000
    assert genes - set(names["symbol"]) == set()


def test_enough_sets_are_testable_on_the_demo(rows, demo_genes):
    testable = [term for term, (_, genes) in rows.items() if len(demo_genes & set(genes)) >= DEMO_MIN_SIZE]

    assert len(testable) >= 25


def test_most_sets_have_ten_genes_in_pbmc3k(shared, rows):
    measured = set(ad.read_h5ad(shared / "data" / "pbmc3k_10x_raw.h5ad", backed="r").var_names)
    covered = [term for term, (_, genes) in rows.items() if len(measured & set(genes)) >= 10]

    assert len(covered) / len(rows) > 0.9


@pytest.mark.parametrize("dataset", HIGHEST)
def test_lineage_sets_are_highest_in_their_cells(shared, rows, dataset):
    adata = ad.read_h5ad(shared / "data" / f"{dataset}.h5ad")
    adata = adata[adata.obs["cell_type"] != "Unassigned"]
    highest = mean_expression(adata, adata.obs["cell_type"], rows).idxmax(axis=1)
    expected = HIGHEST[dataset]

    assert {term: highest[term] for term in expected if highest[term] not in expected[term]} == {}


def test_interferon_beta_moves_its_set_most(shared, rows):
    adata = ad.read_h5ad(shared / "data" / "kang2018_ifnb_pbmc_raw.h5ad")
    means = mean_expression(adata, adata.obs["condition"], rows)
    change = (means["stim"] - means["ctrl"]).sort_values(ascending=False)

    assert change.index[0] == "TYPE_I_INTERFERON_RESPONSE"
    assert change.iloc[0] > 2 * change.iloc[1]


def test_page_lists_the_collection_as_it_is(rows, demo_genes):
    page = PAGE.read_text(encoding="utf-8")
    table = re.findall(r"^\| `([A-Z0-9_]+)` \| (\d+) \| (\d+) \| ([^|]+) \|$", page, flags=re.MULTILINE)
    listed = {
        term: (int(size), int(in_demo), source.strip().split("; ")) for term, size, in_demo, source in table
    }
    expected = {
        term: (len(genes), len(demo_genes & set(genes)), sources) for term, (sources, genes) in rows.items()
    }
    testable = sum(in_demo >= DEMO_MIN_SIZE for _, in_demo, _ in expected.values())

    assert listed == expected
    assert f"{len(rows)} gene sets" in page
    assert f"{testable} of the sets have at least five genes" in page


def test_page_names_every_paper(rows):
    page = PAGE.read_text(encoding="utf-8")
    papers = {source for sources, _ in rows.values() for source in sources if source.startswith("doi:")}

    assert [doi for doi in sorted(papers) if f"https://doi.org/{doi.removeprefix('doi:')}" not in page] == []
