"""Small cells and small scVI networks with random weights, for arithmetic that needs no training."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from conceptome.core import Edits, log_once
from conceptome.encoders import GeneformerEncoder
from conceptome.encoders.scvi import ScviEncoder
from conceptome.encoders.scvi_architecture import ScviArchitecture
from conceptome.encoders.scvi_covariates import Covariate
from conceptome.encoders.scvi_network import posterior_shapes


@pytest.fixture(autouse=True)
def _nothing_said_before():
    log_once.cache_clear()


def _cells(n_cells=60, n_genes=40, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.5, 3.0, size=(n_cells, n_genes))).astype(np.float32)
    counts[:, 0] += 1  # no empty cell
    obs = pd.DataFrame(
        {"donor": rng.choice(["a", "b", "c"], n_cells), "age": rng.normal(size=n_cells)},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    return AnnData(
        X=sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"GENE{g}A" for g in range(n_genes)])
    )


def _edits(adata, n_edits=300, seed=0, most_genes=5):
    """Edits of zero to several genes of random cells, among them genes set to the value they have."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, most_genes + 1, n_edits)
    cells = rng.integers(0, adata.n_obs, n_edits)
    genes = np.concatenate([rng.choice(adata.n_vars, n, replace=False) for n in lengths]).astype(np.int64)
    values = rng.poisson(2.0, lengths.sum()).astype(np.float64)
    same = rng.random(len(values)) < 0.2
    current = adata.X.toarray()[np.repeat(cells, lengths), genes]
    return Edits(cells, np.concatenate([[0], np.cumsum(lengths)]), genes, np.where(same, current, values))


def _edited_counts(adata, edits):
    """Every edited cell, one by one."""
    counts = adata.X.toarray().astype(np.float64)[edits.cells]
    for edit in range(len(edits)):
        changes = slice(edits.indptr[edit], edits.indptr[edit + 1])
        counts[edit, edits.genes[changes]] = edits.values[changes]
    return counts


def _scvi(genes, seed=0, **settings):
    rng = np.random.default_rng(seed)
    architecture = ScviArchitecture(genes=tuple(genes), **{"n_hidden": 16, "n_latent": 4, **settings})
    state = {
        name: (np.abs(values) if name.endswith("running_var") else values).astype(np.float32)
        for name, shape in posterior_shapes(architecture).items()
        for values in [rng.normal(scale=0.4, size=shape)]
    }
    return ScviEncoder(architecture, state)


DONOR = Covariate("donor", ("a", "b", "c"), "b")
VARIANTS = {
    "default": {},
    "deep": {"n_layers": 3},
    "layer norm": {"n_layers": 2, "use_batch_norm": "none", "use_layer_norm": "both"},
    "raw counts": {"log_variational": False},
    "covariates": {"n_layers": 2, "encode_covariates": True, "covariates": (DONOR,), "continuous": ("age",)},
    "covariates at first": {
        "n_layers": 2,
        "encode_covariates": True,
        "deeply_inject_covariates": False,
        "covariates": (DONOR,),
        "continuous": ("age",),
    },
    "covariates unread": {"covariates": (DONOR,), "continuous": ("age",)},
}


@pytest.fixture
def make_cells():
    return _cells


@pytest.fixture
def make_edits():
    return _edits


@pytest.fixture
def edited_counts():
    return _edited_counts


@pytest.fixture
def make_scvi():
    return _scvi


@pytest.fixture
def cells():
    return _cells()


@pytest.fixture(params=VARIANTS)
def scvi(request, cells):
    return _scvi(cells.var_names, **VARIANTS[request.param])


@pytest.fixture
def folder_of(tmp_path):
    """Save any encoder and give its folder."""

    def save(encoder):
        encoder.save(tmp_path / "saved")
        return tmp_path / "saved"

    return save


@pytest.fixture(scope="session")
def geneformers(shared):
    """The published formats of Geneformer, tiny, by version."""
    folder = shared / "fixtures" / "geneformer_tiny"
    return {version: GeneformerEncoder.load(folder / f"Geneformer-V{version}-tiny") for version in (1, 2)}


@pytest.fixture(scope="session")
def geneformer_cells(shared):
    """Twenty real cells with Ensembl ids: aliases, a version, unknown genes, six longer than V1's input."""
    return ad.read_h5ad(shared / "fixtures" / "geneformer_tiny" / "input.h5ad")
