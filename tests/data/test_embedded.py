import warnings

import anndata as ad
import numpy as np
import pytest
import scanpy as sc

from conceptome.core import InputError
from conceptome.data import demo

POPULATIONS = {
    "CD14+ Monocyte", "CD19+ B", "CD34+", "CD4+/CD25 T Reg", "CD4+/CD45RA+/CD25- Naive T",
    "CD4+/CD45RO+ Memory", "CD56+ NK", "CD8+ Cytotoxic T", "CD8+/CD45RA+ Naive Cytotoxic", "Dendritic",
}  # fmt: skip


def test_equals_the_published_counts(shared):
    published = ad.read_h5ad(shared / "data/pbmc68k_reduced_700x765_raw.h5ad")
    adata = demo()
    assert list(adata.obs_names) == list(published.obs_names)
    assert list(adata.var_names) == list(published.var_names)
    np.testing.assert_array_equal(adata.X.toarray(), published.X.toarray())
    for key in ("cell_type", "louvain", "phase"):
        assert (adata.obs[key].astype(str) == published.obs[key].astype(str)).all()


def test_holds_counts_and_nothing_that_is_not_needed():
    adata = demo()
    assert adata.shape == (700, 765)
    assert adata.X.dtype == np.float32
    assert adata.X.has_canonical_format
    assert adata.X.sum() == 486_651
    assert list(adata.obs) == ["cell_type", "louvain", "phase"]
    assert set(adata.obs["cell_type"].cat.categories) == POPULATIONS
    assert list(adata.obsm) == ["X_umap"]
    assert not list(adata.var)
    assert not adata.uns
    assert not adata.layers
    assert not adata.obsp
    assert adata.raw is None


def test_is_silent(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        demo()
    assert capfd.readouterr() == ("", "")


def test_each_call_gives_its_own_cells():
    first = demo()
    first.X.data[:] = 0
    assert demo().X.data.min() == 1


@pytest.mark.parametrize("change", ["values", "totals"])
def test_another_packaged_file_is_refused(monkeypatch, change):
    packaged = sc.datasets.pbmc68k_reduced()
    if change == "values":
        packaged.raw.X.data *= 1.01
    else:
        packaged.obs["n_counts"] *= 1.1
    monkeypatch.setattr(sc.datasets, "pbmc68k_reduced", lambda: packaged)
    with pytest.raises(InputError, match=r"^scanpy's pbmc68k_reduced does not give back whole counts"):
        demo()
