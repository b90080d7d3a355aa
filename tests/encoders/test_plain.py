import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from conceptome.core import Edits, Embeddings
from conceptome.data import demo
from conceptome.encoders import LinearEncoder, LinearOptions, reencode_edits


class Squares:
    """An encoder that is no network: the squared counts of its genes, doubled in donor b."""

    name, encoder_id, d_embed, decoder = "squares", "id", 40, None
    genes = pd.Index([f"GENE{g}A" for g in range(40)])

    def expression(self, adata):
        return sp.csr_array(adata.X, dtype=np.float64)

    def known(self, adata):
        return np.ones(adata.n_vars, dtype=bool)

    def embed_edits(self, cells, edits, *, batch_size, device):
        return reencode_edits(self, cells, edits, batch_size=batch_size, device=device)

    def save(self, path):
        pytest.fail("plain re-encoding must not save anything")

    def embed(self, adata, *, batch_size, device):
        factor = 1.0 + (adata.obs["donor"] == "b").to_numpy()
        return Embeddings(adata.X.toarray() ** 2 * factor[:, None], adata.obs_names, "id")


def test_embeds_cells_built_one_by_one_with_their_own_annotation(cells, make_edits, edited_counts):
    edits = make_edits(cells, 700)
    found = reencode_edits(Squares(), cells, edits, batch_size=100)
    factor = 1.0 + (cells.obs["donor"].to_numpy()[edits.cells] == "b")
    np.testing.assert_array_equal(found, edited_counts(cells, edits) ** 2 * factor[:, None])


def test_agrees_with_the_incremental_edits_on_real_cells():
    adata = demo()
    encoder = LinearEncoder.fit(adata, options=LinearOptions(n_components=20))
    rng = np.random.default_rng(0)
    rows, genes = rng.integers(0, adata.n_obs, 1000), rng.integers(0, adata.n_vars, 1000)
    values = adata.X.toarray()[rng.integers(0, adata.n_obs, 1000), genes].astype(np.float64)
    edits = Edits.single(rows, genes, values)
    found, plain = encoder.embed_edits(adata, edits), reencode_edits(encoder, adata, edits)
    np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-5)
    assert np.abs(plain - encoder.embed(adata).values[rows]).max() > 0.1


def test_leaves_the_cells_as_they_are(cells, make_edits):
    before, obs = cells.X.toarray().copy(), cells.obs.copy()
    reencode_edits(Squares(), cells, make_edits(cells, 50))
    np.testing.assert_array_equal(cells.X.toarray(), before)
    pd.testing.assert_frame_equal(cells.obs, obs)


@pytest.mark.parametrize("n_cells", [0, 3])
def test_takes_edits_without_changes(cells, n_cells):
    found = reencode_edits(Squares(), cells, Edits.noop(n_cells))
    np.testing.assert_array_equal(found, Squares().embed(cells, batch_size=1, device="cpu").values[:n_cells])
