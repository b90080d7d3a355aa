"""A small world whose attributions are known: a bare linear encoder, a TopK dictionary, Poisson counts."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import conceptome as cm
from conceptome.core import Activations, Pairs
from conceptome.dictionaries import TopKDictionary, Weights
from conceptome.encoders import LinearEncoder, LinearOptions

N_CELLS, N_GENES, D_EMBED, N_CONCEPTS, K = 90, 24, 5, 12, 4
UNKNOWN = ("g3", "g17")


@dataclass(frozen=True)
class World:
    adata: AnnData
    encoder: LinearEncoder
    dictionary: TopKDictionary
    activations: Activations
    pairs: Pairs


BARE = LinearOptions(target_sum=None, log1p=False)


def make_world(adata: AnnData, seed: int = 0, *, linear: LinearOptions = BARE, **options) -> World:
    rng = np.random.default_rng(seed)
    known = pd.Index([f"g{gene}" for gene in range(N_GENES) if f"g{gene}" not in UNKNOWN])
    encoder = LinearEncoder(
        rng.normal(size=(D_EMBED, len(known))),
        rng.normal(size=D_EMBED),
        known,
        options=linear,
    )
    values = encoder.embed(adata).values.astype(np.float64)
    w_enc = rng.normal(size=(N_CONCEPTS, D_EMBED))
    weights = Weights(w_enc, rng.normal(size=N_CONCEPTS), w_enc, values.mean(axis=0), np.zeros(D_EMBED))
    dictionary = TopKDictionary(weights, K, encoder_id=encoder.encoder_id)
    embeddings = encoder.embed(adata)
    activations = dictionary.encode(embeddings)
    defaults = {"dictionary": dictionary, "n_pairs": 20, "seed": seed}
    pairs = cm.counterfactuals.match(activations, embeddings, **defaults | options)
    return World(adata, encoder, dictionary, activations, pairs)


@pytest.fixture(scope="session")
def counts() -> AnnData:
    rng = np.random.default_rng(7)
    rates = rng.gamma(0.6, 2.0, size=(3, N_GENES))[rng.integers(3, size=N_CELLS)]
    return AnnData(
        rng.poisson(rates).astype(np.float64),
        obs=pd.DataFrame(index=[f"cell{i}" for i in rng.permutation(N_CELLS)]),
        var=pd.DataFrame(index=[f"g{gene}" for gene in range(N_GENES)]),
    )


@pytest.fixture(scope="session")
def world(counts) -> World:
    return make_world(counts)


@pytest.fixture(scope="session")
def build_world():
    return make_world


def read_golden(shared, name, **options):
    """Encoder, dictionary, cells and the golden values of one file."""
    data = dict(np.load(shared / "fixtures" / "attribution_golden" / f"{name}.npz"))
    matrix = data.get("X", data.get("counts"))
    genes = pd.Index([f"gene{i}" for i in range(matrix.shape[1])])
    options = LinearOptions(**{"target_sum": None, "log1p": False} | options)
    encoder = LinearEncoder(data["We"], data["be"], genes, options=options)
    weights = Weights(
        data["Ws"], data["bs"], np.ascontiguousarray(data["Wd"].T), data["bdec"], np.zeros_like(data["bdec"])
    )
    dictionary = TopKDictionary(weights, int(data["k"]), encoder_id=encoder.encoder_id)
    cells = [f"cell{i}" for i in range(len(matrix))]
    return encoder, dictionary, AnnData(matrix, pd.DataFrame(index=cells), pd.DataFrame(index=genes)), data


@pytest.fixture
def golden(shared):
    return partial(read_golden, shared)


def make_pairs(concept, factual, counterfactual, *, activation, cells, dictionary):
    n = len(factual)
    return Pairs(
        concept=np.full(n, concept),
        pair=np.arange(n),
        factual=np.asarray(factual),
        counterfactual=np.asarray(counterfactual),
        activation=np.asarray(activation),
        distance=np.ones(n),
        distance_percentile=np.full(n, 50.0),
        library_ratio=np.ones(n),
        matched=np.full(n, "", dtype=object),
        cell_ids=cells.obs_names,
        dictionary_id=dictionary.dictionary_id,
    )


@pytest.fixture(scope="session")
def pairs_of():
    return make_pairs
