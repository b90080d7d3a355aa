"""Which genes and terms are ribosomal or mitochondrial, on GO and Hallmark as they are."""

import anndata as ad
import pytest

from conceptome.enrichment import read_gmt
from conceptome.enrichment.flags import FLAGS, flag_of, gene_kinds
from conceptome.enrichment.universe import Terms


@pytest.mark.parametrize(
    ("flag", "genes"),
    [
        ("ribosomal", "RPL3 RPL10A RPL22L1 RPL36AL RPL39L RPLP0 RPS4Y1 RPS27A RPSA Rpl13a RPL7L1 RPL3.1"),
        (
            "mitochondrial",
            "MT-ND1 mt-Co1 MRPL12 MRPS18C NDUFA1 NDUFAB1 NDUFB8.1 SDHB UQCR10 UQCRFS1 CYC1 CYCS COX4I1 "
            "COX7A2L COX8A ATP5A1 ATP5F1B Atp5me",
        ),
        (
            "",
            "RPS6KA1 RPS6KB2 RPL34-AS1 RPS19BP1 RPN1 NDUFAF1 COX10 COX17 SDHAF1 MTOR CYCSP1 RP11-34P13.7 "
            "MRPLX PRPS1 ATP6V0A1",
        ),
    ],
)
def test_genes_are_told_by_their_symbols(flag, genes):
    expected = FLAGS.index(flag) + 1 if flag else 0
    wrong = {
        gene for gene, kind in zip(genes.split(), gene_kinds(genes.split()), strict=True) if kind != expected
    }
    assert wrong == set()


def test_a_term_is_flagged_from_a_share_of_30_percent_on():
    assert flag_of(gene_kinds(["RPL3", "RPL4", "RPL5", *"ABCDEFG"])) == "ribosomal"
    assert flag_of(gene_kinds(["RPL3", "RPL4", *"ABCDEFGH"])) == ""
    assert flag_of(gene_kinds(["RPL3", "MT-ND1", "MT-ND2", *"ABCDEFG"])) == "mitochondrial"
    assert flag_of(gene_kinds([])) in {"", "ribosomal"}


FLAGGED = {
    "GOBP_CYTOPLASMIC_TRANSLATION": "ribosomal",
    "GOBP_RIBOSOMAL_LARGE_SUBUNIT_ASSEMBLY": "ribosomal",
    "GOBP_OXIDATIVE_PHOSPHORYLATION": "mitochondrial",
    "GOBP_MITOCHONDRIAL_TRANSLATION": "mitochondrial",
    "GOBP_MITOCHONDRIAL_RESPIRATORY_CHAIN_COMPLEX_ASSEMBLY": "mitochondrial",
    "HALLMARK_OXIDATIVE_PHOSPHORYLATION": "mitochondrial",
    "GOBP_B_CELL_ACTIVATION": "",
    "GOBP_TRICARBOXYLIC_ACID_CYCLE": "",
    "GOBP_APOPTOTIC_MITOCHONDRIAL_CHANGES": "",
    "GOBP_TRANSLATIONAL_INITIATION": "",
    "HALLMARK_MYC_TARGETS_V1": "",
    "HALLMARK_INTERFERON_ALPHA_RESPONSE": "",
}


def test_terms_of_go_and_hallmark_over_the_genes_of_pbmc3k(shared, go_bp):
    hallmark = read_gmt(shared / "data/genesets/hallmark_msigdb_v2024.1.Hs.symbols.gmt")
    symbols = ad.read_h5ad(shared / "data/pbmc3k_10x_raw.h5ad", backed="r").var_names.to_numpy(dtype=object)
    labels = Terms.of([go_bp, hallmark], symbols, min_size=10, max_size=500).labels.set_index("name")
    assert labels.loc[list(FLAGGED), "flag"].to_dict() == FLAGGED
    counts = labels.groupby("collection")["flag"].value_counts()
    assert counts[hallmark.collection, "mitochondrial"] == 1
    assert (hallmark.collection, "ribosomal") not in counts
    assert (counts[go_bp.collection, "ribosomal"], counts[go_bp.collection, "mitochondrial"]) == (6, 17)
