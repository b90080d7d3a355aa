import numpy as np
import pytest

import conceptome as cm
from conceptome.dictionaries import KMeansDictionary, NeuronDictionary, PcaDictionary
from conceptome.evaluation import Downstream


@pytest.fixture(scope="module")
def world():
    adata = cm.data.demo()
    encoder = cm.encoders.fit("linear", adata, options=cm.encoders.LinearOptions(n_components=10), seed=0)
    embeddings = encoder.embed(adata)
    heldout = np.arange(adata.n_obs) % 5 == 0
    found = Downstream.of(
        encoder.decoder, adata, embeddings.values, heldout=np.flatnonzero(heldout),
        mean=embeddings.values[~heldout].mean(axis=0, dtype=np.float64), seed=0,
    )  # fmt: skip
    return found, embeddings, heldout, adata, encoder


def test_losses_are_those_of_the_decoder_on_held_out_cells(world):
    found, embeddings, heldout, adata, encoder = world
    z = embeddings.values
    assert found.cells.obs_names.equals(adata.obs_names[heldout])
    assert found.loss_embedding == pytest.approx(encoder.decoder.loss(z[heldout], adata[heldout]).mean())
    mean = np.tile(z[~heldout].mean(axis=0), (heldout.sum(), 1))
    assert found.loss_mean == pytest.approx(encoder.decoder.loss(mean, adata[heldout]).mean(), rel=1e-5)
    assert found.loss_embedding < found.loss_mean


def test_what_is_kept_of_the_embedding_decides(world):
    found, embeddings, heldout, _, _ = world
    z = embeddings.values[~heldout]
    whole = found.measure(NeuronDictionary.fit(z))
    assert whole["loss_recovered"] == pytest.approx(1, abs=1e-4)
    few, more = (found.measure(PcaDictionary.fit(z, n_components=n))["loss_recovered"] for n in (2, 6))
    assert 0 < few < more < 1
    one = KMeansDictionary.fit(z, n_clusters=2, seed=0)
    assert found.measure(one)["loss_recovered"] < few


def test_at_most_500_cells_are_decoded(world):
    _, embeddings, _, adata, encoder = world
    mean = embeddings.values.mean(axis=0, dtype=np.float64)
    found = Downstream.of(
        encoder.decoder, adata, embeddings.values, heldout=np.arange(700), mean=mean, seed=0
    )
    assert found.cells.n_obs == 500


def test_an_embedding_that_tells_the_decoder_nothing(world):
    found, embeddings, _, _, _ = world
    from dataclasses import replace

    blank = replace(found, loss_embedding=found.loss_mean)
    assert np.isnan(blank.measure(NeuronDictionary.fit(embeddings.values))["loss_recovered"])
