from dataclasses import asdict, replace

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from conceptome.core import InputError
from conceptome.data import SimulationOptions, raw_counts, simulate

SMALL = SimulationOptions(n_cells=600, n_genes=500, genes_per_programme=20, library_size=1000.0)
PLAIN = replace(SMALL, dispersion=0.0, batch_sd=0.0, donor_sd=0.0)
"""Poisson counts without batches."""


def test_the_seed_decides_everything():
    one, same, other = simulate(SMALL, seed=1), simulate(SMALL, seed=1), simulate(SMALL, seed=2)
    assert (one.X != same.X).nnz == 0
    assert one.obs.equals(same.obs)
    assert (one.X != other.X).nnz > 0
    assert not np.array_equal(one.varm["programmes"], other.varm["programmes"])


def test_more_cells_have_the_same_programmes():
    few, many = simulate(SMALL, seed=1), simulate(replace(SMALL, n_cells=900), seed=1)
    np.testing.assert_array_equal(few.varm["programmes"], many.varm["programmes"])
    np.testing.assert_array_equal(few.uns["simulation"]["rates"], many.uns["simulation"]["rates"])


def test_it_is_raw_counts_that_can_be_written_and_read(tmp_path):
    adata = simulate(SMALL, seed=3)
    counts = raw_counts(adata)
    assert counts.dtype == np.float32
    assert (counts != adata.X).nnz == 0
    adata.write_h5ad(tmp_path / "cells.h5ad")
    back = ad.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(back.obsm["programmes"], adata.obsm["programmes"])
    assert dict(back.uns["simulation"]["options"]) == asdict(SMALL)
    assert list(back.uns["simulation"]["kind"]) == ["identity"] * 6 + ["common"] * 5 + ["rare"]


@given(overlap=st.sampled_from([0.0, 0.1, 0.35, 0.5]), n=st.integers(6, 9))
@settings(max_examples=12, deadline=None)
def test_neighbouring_programmes_share_genes_and_others_none(overlap, n):
    options = replace(SMALL, n_cells=50, n_programmes=n, n_rare=0, overlap=overlap)
    own = simulate(options, seed=n).varm["programmes"] > 0
    shared = own.T.astype(int) @ own.astype(int)
    expected = 20 * np.eye(n, dtype=int)
    for one in range(n - 1):
        expected[one, one + 1] = expected[one + 1, one] = round(overlap * 20)
    np.testing.assert_array_equal(shared, expected)


def test_each_cell_has_its_identity_and_activity_is_gamma():
    adata = simulate(replace(SMALL, n_cells=4000), seed=0)
    activity = adata.obsm["programmes"]
    types = adata.obs["cell_type"].str.removeprefix("type_").astype(int).to_numpy()
    np.testing.assert_array_equal(np.argmax(activity[:, :6] > 0, axis=1), types)
    assert ((activity[:, :6] > 0).sum(axis=1) == 1).all()
    assert kstest(activity[activity > 0], "gamma", args=(4, 0, 1 / 4)).pvalue > 0.001


def test_programmes_are_used_at_their_rates():
    adata = simulate(replace(SMALL, n_cells=20_000, n_genes=300, rare_rate=0.03), seed=0)
    used = adata.obsm["programmes"] > 0
    rates = adata.uns["simulation"]["rates"]
    types = adata.obs["cell_type"].str.removeprefix("type_").astype(int).to_numpy()
    for each in range(6):
        cells = types == each
        error = np.sqrt(rates[each] * (1 - rates[each]) / cells.sum())
        assert (np.abs(used[cells].mean(axis=0) - rates[each]) <= 4.5 * error).all()
    assert used[:, -1].mean() == pytest.approx(0.03, abs=0.006)


def test_correlated_programmes_rise_together():
    by = {}
    for correlation in (-0.9, 0.0, 0.9):
        options = replace(SMALL, n_cells=4000, n_cell_types=1, n_programmes=6, correlation=correlation)
        activity = simulate(replace(options, n_genes=200, activity_rate=0.5), seed=5).obsm["programmes"]
        by[correlation] = np.corrcoef(activity.T)
    # a single type: common programmes are 1 to 4, and their pairs (1, 2) and (3, 4)
    assert abs(by[0.0][1, 2]) < 0.06
    assert by[0.9][1, 2] > 0.3
    assert by[0.9][3, 4] > 0.3
    assert by[-0.9][1, 2] < -0.1
    assert abs(by[0.9][2, 3]) < 0.06


@pytest.mark.parametrize("mixing", ["multiplicative", "additive"])
def test_counts_follow_the_weights(mixing):
    options = replace(
        PLAIN, n_cells=20_000, n_genes=120, n_cell_types=1, n_programmes=2, n_rare=0, library_sd=0.0,
        mixing=mixing, expression_sd=0.3, activity_rate=0.5, overlap=0.5,
    )  # fmt: skip
    adata = simulate(options, seed=0)
    activity, weights = adata.obsm["programmes"], adata.varm["programmes"]
    fold = np.exp(activity @ weights.T) if mixing == "multiplicative" else 1 + activity @ np.expm1(weights).T
    outside = (weights == 0).all(axis=1)
    counts = adata.X.toarray()
    # transcripts of the background are the same in every cell, so that ratios to them undo the total
    background = counts[:, outside].sum(axis=1)
    baseline = np.exp(np.log(counts.sum(axis=0)) - np.log((fold * background[:, None]).sum(axis=0)))
    for gene in np.flatnonzero(~outside)[:10]:
        for cells in (activity[:, 1] == 0, activity[:, 1] > 1.2, activity[:, 0] < 0.6):
            expected = (background * baseline[gene] * fold[:, gene])[cells].sum()
            assert counts[cells, gene].sum() == pytest.approx(expected, rel=5 / np.sqrt(expected) + 0.01)


def test_library_sizes_are_log_normal():
    total = np.log(np.asarray(simulate(replace(PLAIN, n_cells=4000), seed=0).X.sum(axis=1)).ravel())
    assert np.median(total) == pytest.approx(np.log(1000), abs=0.03)
    assert total.std() == pytest.approx(0.4, abs=0.02)


def test_variance_is_negative_binomial():
    options = replace(
        PLAIN, n_cells=8000, n_cell_types=1, n_programmes=1, n_rare=0, overlap=0.0, library_sd=0.0,
        genes_per_programme=1,
    )  # fmt: skip
    phi = {}
    for dispersion in (0.0, 0.5):
        counts = simulate(replace(options, dispersion=dispersion), seed=0).X.toarray()
        mean = counts.mean(axis=0)
        middle = (mean > 0.5) & (mean < 2) & (simulate(options, seed=0).varm["programmes"][:, 0] == 0)
        phi[dispersion] = np.median(((counts.var(axis=0) - mean) / mean**2)[middle])
    assert phi[0.0] == pytest.approx(0, abs=0.02)
    assert 0.3 < phi[0.5] < 0.8


def test_dropout_takes_half_of_the_counts_at_its_mean():
    counts, fewer = (simulate(replace(PLAIN, n_cells=3000, dropout=each), seed=0).X for each in (0.0, 1.0))
    mean = np.asarray(counts.mean(axis=0)).ravel()
    left = np.asarray(fewer.mean(axis=0)).ravel()
    near = (mean > 0.95) & (mean < 1.05)
    assert near.any()
    assert (left[near] / mean[near]).mean() == pytest.approx(0.5, abs=0.1)
    assert left[mean.argmax()] / mean.max() > 0.9


def test_batches_and_donors_shift_genes():
    options = replace(SMALL, n_cells=3000, dispersion=0.0)

    def shift(key, batch_sd, donor_sd):
        adata = simulate(replace(options, batch_sd=batch_sd, donor_sd=donor_sd), seed=0)
        high = np.asarray(adata.X.mean(axis=0)).ravel() > 1
        groups = adata.obs[key].cat.categories[:2]
        means = [adata.X[(adata.obs[key] == each).to_numpy()].mean(axis=0)[high] for each in groups]
        return np.std(np.log(means[0]) - np.log(means[1]))

    assert shift("batch", 0.5, 0.0) == pytest.approx(0.5 * 2**0.5, rel=0.3)
    assert shift("donor", 0.0, 0.5) == pytest.approx(0.5 * 2**0.5, rel=0.3)
    assert shift("batch", 0.0, 0.0) < 0.12
    adata = simulate(options, seed=0)
    batch_of = adata.obs.groupby("donor", observed=True)["batch"].nunique()
    assert (batch_of == 1).all()


def test_housekeeping_genes_have_their_share():
    adata = simulate(replace(PLAIN, n_genes=2000, library_size=4000.0, fold_change=1.0), seed=0)
    share = np.sort(np.asarray(adata.X.sum(axis=0)).ravel())[::-1]
    assert share[:20].sum() / share.sum() == pytest.approx(0.5, abs=0.05)
    assert sp.issparse(adata.X)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_cells": 0}, "n_cells is 0, expected at least 1."),
        ({"dispersion": -1.0}, "dispersion is -1.0, expected at least 0."),
        ({"library_size": 0.0}, "library_size is 0.0, expected a number above 0."),
        ({"overlap": 0.6}, "overlap is 0.6, expected a share of at least 0 and at most 0.5."),
        ({"rare_rate": 0.0}, "rare_rate is 0.0, expected a share above 0 and below 1."),
        ({"correlation": 1.5}, "correlation is 1.5, expected a number between -1 and 1."),
        ({"n_donors": 1}, "n_donors (each batch has one) is 1, expected at least 2."),
        (
            {"n_programmes": 6},
            "n_programmes is 6, but 6 cell types and 1 rare programmes need 7. Ask for more programmes.",
        ),
        (
            {"n_genes": 100},
            "12 programmes of 20 genes need 196 genes beside 1 housekeeping genes, and n_genes is 100. "
            "Ask for more genes, or for fewer or smaller programmes.",
        ),
    ],
)
def test_impossible_settings_are_refused(changed, message):
    with pytest.raises(InputError) as caught:
        replace(SMALL, **changed)
    assert str(caught.value) == message


def test_cells_without_counts_are_refused():
    with pytest.raises(InputError, match=r"simulated cells have no counts\. Raise library_size, or lower"):
        simulate(replace(SMALL, library_size=1.0), seed=0)
    with pytest.raises(InputError, match="seed is -1, expected at least 0"):
        simulate(SMALL, seed=-1)
