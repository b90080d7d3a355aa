import anndata as ad
import numpy as np
import pandas as pd
import pytest

from conceptome.core import InputError
from conceptome.evaluation import cell_cycle_phase
from conceptome.evaluation.phase import MARKERS


def read(shared, name):
    return ad.read_h5ad(shared / "data" / f"{name}_raw.h5ad")


@pytest.fixture(scope="module")
def markers():
    from importlib import resources

    path = resources.files("conceptome.evaluation").joinpath("gene_lists", MARKERS)
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file, sep="\t", comment="#")


def cycling(markers, *, leave_out=()):
    """A third of the cells each with many counts of the genes of S, of G2M and of neither."""
    rng = np.random.default_rng(0)
    genes = [g for g in markers["symbol"] if g not in leave_out]
    names = genes + [f"GENE{i}" for i in range(600)]
    counts = rng.poisson(1.0, (90, len(names)))
    phase = markers.set_index("symbol").loc[genes, "phase"].to_numpy()
    for third, name in enumerate(("S", "G2M")):
        rows = np.arange(30 * third, 30 * third + 30)
        counts[np.ix_(rows, np.flatnonzero(phase == name))] += rng.poisson(4.0, (30, (phase == name).sum()))
    counts[np.ix_(np.arange(60, 90), np.arange(len(genes)))] = 0
    return ad.AnnData(counts.astype(np.float32), var=pd.DataFrame(index=names))


def test_the_lists_are_those_of_the_regev_laboratory(shared, markers):
    theirs = (shared / "data/genesets/regev_lab_cell_cycle_genes.txt").read_text().split()
    assert markers["symbol"].tolist() == theirs
    assert markers["phase"].tolist() == ["S"] * 43 + ["G2M"] * 54


def test_phases_are_told(markers):
    found = cell_cycle_phase(cycling(markers))
    assert (found[:30] == "S").all()
    assert (found[30:60] == "G2M").all()
    assert (found[60:] == "G1").all()


def test_todays_symbols_do_as_well(markers):
    old = cycling(markers)
    new = old.copy()
    new.var_names = [dict(zip(markers.symbol, markers.current, strict=True)).get(g, g) for g in old.var_names]
    pd.testing.assert_series_equal(cell_cycle_phase(new), cell_cycle_phase(old))


def test_pbmc3k_has_phases_and_equals_scanpy(shared, markers):
    import scanpy as sc

    adata = read(shared, "pbmc3k_10x")
    found = cell_cycle_phase(adata)
    assert set(found) == {"G1", "S", "G2M"}
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    names = markers["symbol"].where(markers["symbol"].isin(adata.var_names), markers["current"])
    genes = {phase: names[(markers.phase == phase) & names.isin(adata.var_names)] for phase in ("S", "G2M")}
    sc.tl.score_genes_cell_cycle(
        adata, s_genes=list(genes["S"]), g2m_genes=list(genes["G2M"]), random_state=0
    )
    assert (found == adata.obs["phase"]).mean() > 0.999  # float32 there, float64 here


def test_a_gene_panel_is_refused(shared):
    with pytest.raises(InputError) as caught:
        cell_cycle_phase(read(shared, "kang2018_ctrl_5donors_2511genes"))
    assert str(caught.value).startswith("The cell-cycle phase cannot be told: ")
    assert str(caught.value).endswith("Use data with more genes, or put the phase into obs['phase'].")


def test_too_few_genes_of_one_phase(markers):
    s_genes = markers.loc[markers.phase == "S", "symbol"]
    with pytest.raises(InputError) as caught:
        cell_cycle_phase(cycling(markers, leave_out=set(s_genes[19:])))
    assert str(caught.value) == (
        "The cell-cycle phase cannot be told: 19 of 43 known genes of phase S have counts, expected at least "
        "20. Use data with more genes, or put the phase into obs['phase']."
    )
