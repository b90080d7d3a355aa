import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from conceptome.core import InputError
from conceptome.data import demo, inspect, read, validate


@pytest.fixture
def adata():
    return demo()


def refusal(adata, **options):
    with pytest.raises(InputError) as caught:
        validate(adata, **options)
    return str(caught.value)


def test_the_demo_is_fit_for_use(adata):
    report = validate(adata, obs_keys=["cell_type", "louvain"])
    assert report.fit_for_use
    assert report == inspect(adata)
    assert (report.n_cells, report.n_genes, report.counts, report.naming) == (700, 765, "X", "symbol")
    assert (report.n_empty_cells, report.n_empty_genes, report.warnings) == (0, 0, ())
    assert report.categories == {"cell_type": 10, "louvain": 11, "phase": 3}
    totals = adata.X.toarray().sum(axis=1)
    assert report.library_size == tuple(np.quantile(totals, [0, 0.05, 0.5, 0.95, 1]))


def test_description_of_the_demo(adata):
    assert inspect(adata).describe() == (
        "700 cells x 765 genes, named by symbol\n"
        "raw counts: in X; none at all for 0 cells and 0 genes\n"
        "counts per cell: median 653, 90% within 422-1,149, all within 342-1,654\n"
        "categories in obs: cell_type (10), louvain (11), phase (3)\n"
        "fit for use: yes\n"
        "next: conceptome run DATA.h5ad --encoder scvi --label-key cell_type --out RUN"
    )


@pytest.mark.slow
def test_every_real_dataset_is_fit_for_use(shared):
    for path in sorted((shared / "data").glob("*.h5ad")):
        report = inspect(read(path, backed=True), obs_keys=["cell_type"])
        assert report.fit_for_use, (path.name, report.problems)
        assert report.n_empty_genes == 0


def test_nothing_is_changed(adata):
    before = adata.copy()
    validate(adata, obs_keys=["cell_type"])
    assert adata.obs.equals(before.obs)
    assert (adata.X != before.X).nnz == 0
    assert not adata.uns


def test_empty(adata):
    assert refusal(adata[:0]) == "The AnnData is empty: 0 cells x 765 genes."
    assert refusal(adata[:, :0]) == "The AnnData is empty: 700 cells x 0 genes."


def test_few_cells_are_a_warning(adata):
    warning = "49 cells can be embedded, but a dictionary needs 50 or more."
    assert inspect(adata[:49]).warnings[0] == warning
    assert not any("a dictionary needs" in other for other in inspect(adata[:50]).warnings)


def test_cells_without_counts_are_named(adata):
    adata.X = adata.X.multiply(~np.isin(np.arange(700), [3, 5])[:, None]).tocsr()
    first, second = adata.obs_names[[3, 5]]
    message = refusal(adata)
    assert message == (
        f"2 of 700 cells have no counts: {first}, {second}. "
        "Drop them: sc.pp.filter_cells(adata, min_counts=1)."
    )
    assert inspect(adata).n_empty_cells == 2


def test_genes_without_counts_are_a_warning(adata, caplog):
    dense = adata.X.toarray()
    dense[:, [0, 9]] = 0
    adata.X = sp.csr_matrix(dense)
    with caplog.at_level(logging.WARNING, logger="conceptome.data"):
        report = validate(adata)
    expected = (
        f"2 of 765 genes have no counts in any cell ({adata.var_names[0]}, {adata.var_names[9]}): "
        "nothing can be attributed to them."
    )
    assert report.warnings == (expected,)
    assert [record.getMessage() for record in caplog.records] == [expected]
    assert report.n_empty_genes == 2


def test_all_zeros(adata):
    adata.X = sp.csr_matrix(adata.shape, dtype=np.float32)
    assert refusal(adata) == "No cell has any count (X is all zeros)."


def test_repeated_gene_names(adata):
    adata.var_names = ["CD3D", "CD3D", "CD3E", "CD3E", *adata.var_names[4:]]
    assert refusal(adata) == (
        "2 names in var_names stand for more than one: CD3D, CD3E. Sum or drop the copies, or run "
        "adata.var_names_make_unique() if they are different things."
    )


def test_repeated_cell_names(adata):
    adata.obs_names = ["cell", "cell", *adata.obs_names[2:]]
    assert refusal(adata).startswith("1 names in obs_names stand for more than one: cell. ")


def test_names_that_are_no_texts(adata):
    adata.var.index = pd.Index([1.5, *adata.var_names[1:]], dtype=object)
    assert refusal(adata) == "var_names must be texts that are not empty, found 1.5. Name all."
    adata.var.index = pd.Index(["", *adata.var_names[1:]], dtype=object)
    assert refusal(adata) == "var_names must be texts that are not empty, found ''. Name all."


def test_absent_key_lists_what_there_is_and_the_near_name(adata):
    assert refusal(adata, obs_keys=["celltype"]) == (
        "obs has no column 'celltype'; it has cell_type, louvain, phase. Did you mean 'cell_type'?"
    )


def test_key_with_missing_values(adata):
    adata.obs["donor"] = ["A"] * 350 + ["B"] * 340 + [None] * 10
    assert refusal(adata, obs_keys=["donor"]) == (
        "obs['donor'] has no value in 10 of 700 cells. Fill it in, or drop them: "
        "adata = adata[adata.obs['donor'].notna()].copy()."
    )
    assert inspect(adata).fit_for_use


def test_key_with_a_single_value_is_a_warning(adata):
    adata.obs["donor"] = "A"
    assert validate(adata, obs_keys=["donor"]).warnings == (
        "obs['donor'] has the single value 'A': it tells no cells apart.",
    )


def test_key_that_differs_in_every_cell_is_a_warning(adata):
    adata.obs["barcode"] = adata.obs_names
    assert validate(adata, obs_keys=["barcode"]).warnings == (
        "obs['barcode'] has 700 values for 700 cells: it does not look like groups.",
    )


def test_genes_without_symbols_are_a_warning(adata):
    adata.var_names = [f"ENSG{i:011d}" for i in range(765)]
    report = validate(adata)
    assert report.naming == "ensembl"
    assert report.warnings == (
        "Genes have no symbols (names such as ENSG00000000000, ENSG00000000001, ENSG00000000002 and 762 "
        "more), which gene sets need. Put them into adata.var['gene_symbols'].",
    )
    adata.var["feature_name"] = demo().var_names
    assert validate(adata).warnings == ()


def test_all_problems_come_in_one_message(adata):
    adata.X.data += 0.5
    adata.obs_names = ["cell", "cell", *adata.obs_names[2:]]
    lines = refusal(adata, obs_keys=["donor"]).split("\n")
    assert [line.split(" ", 1)[0] for line in lines] == ["1", "obs", "No"]
    assert lines[2].startswith("No raw counts found: X holds non-integer values such as 1.5 ")


def test_description_of_unfit_data(adata):
    adata.X.data *= -1
    text = inspect(adata).describe()
    assert "\nproblem: No raw counts found: X holds negative values (min -259): it looks scaled" in text
    assert text.endswith("\nfit for use: no, mend the problems above")
    assert "next:" not in text


def test_long_text_columns_are_no_categories():
    n_cells = 300
    adata = AnnData(sp.csr_matrix(np.ones((n_cells, 3), dtype=np.float32)))
    adata.var_names = ["CD3D", "CD3E", "CD8A"]
    adata.obs["barcode"] = [f"b{i}" for i in range(n_cells)]
    adata.obs["constant"] = "x"
    adata.obs["flag"] = np.arange(n_cells) % 2 == 0
    adata.obs["depth"] = np.arange(n_cells, dtype=float)
    assert inspect(adata).categories == {"flag": 2}


def test_unlabelled_cells_are_minded_in_a_label_and_refused_in_a_batch(adata):
    adata.obs["part"] = pd.Series([None] * 2 + ["a", "b"] * ((adata.n_obs - 2) // 2), index=adata.obs_names)
    assert inspect(adata, label_keys=["part"]).fit_for_use
    assert "they count as unlabelled" in inspect(adata, label_keys=["part"]).warnings[0]
    assert not inspect(adata, obs_keys=["part"]).fit_for_use
    adata.obs["part"] = None
    assert inspect(adata, label_keys=["part"]).problems == (
        "obs['part'] has no value in any cell. Choose another column.",
    )


def test_counts_of_a_named_layer_are_checked(adata):
    adata.layers["mine"] = adata.X.copy()
    adata.X = np.log1p(adata.X)
    assert inspect(adata, layer="mine").counts == "layers['mine']"
