"""Fixtures for every test. Array shapes and types in annotations are checked while the tests run."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from jaxtyping import install_import_hook

install_import_hook("conceptome", "beartype.beartype")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: processes inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: gzip holds the time, and workers must find tests of the same names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real datasets and the outputs of other people's code."""
    folder = Path(os.environ.get("CONCEPTOME_SHARED", Path(__file__).parents[2] / "shared")).resolve()
    if not (folder / "data").is_dir():
        message = f"no shared data at {folder}; set CONCEPTOME_SHARED to the folder with data/ and fixtures/"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def demo_records() -> SimpleNamespace:
    """Records of a small real run: the demo's cells, linear encoder, principal components as concepts."""
    import conceptome as cm

    adata = cm.data.demo()
    encoder = cm.encoders.fit("linear", adata, options=cm.encoders.LinearOptions(n_components=8), seed=0)
    embeddings = encoder.embed(adata)
    dictionary = cm.dictionaries.PcaDictionary.fit(embeddings)
    activations = dictionary.encode(embeddings)
    library_size = cm.data.library_size(adata)
    pairs = cm.counterfactuals.match(
        activations, embeddings, dictionary=dictionary, library_size=library_size, n_pairs=64, seed=0
    )
    attributions = cm.attribution.attribute(adata, encoder, dictionary, pairs, n_bootstrap=200, seed=0)
    de = cm.attribution.differential_expression(adata, activations)
    gene_sets = cm.enrichment.load_gene_sets("immune-starter")
    settings = {"min_size": 5, "n_permutations": 200, "seed": 0}
    return SimpleNamespace(
        adata=adata,
        dictionary=dictionary,
        activations=activations,
        pairs=pairs,
        attributions=attributions,
        de=de,
        gene_sets=gene_sets,
        enrichment=cm.enrichment.gsea(attributions, gene_sets, **settings),
        enrichment_de=cm.enrichment.gsea(de, gene_sets, **settings),
    )
