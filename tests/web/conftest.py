"""A client of the server, on an atlas of two blocks of cells made by hand; and an atlas of real cells."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from fastapi.testclient import TestClient

from conceptome import atlas
from conceptome.core import Activations
from conceptome.web import create_app

HOST = "127.0.0.1:8000"
WRITE = {"X-Conceptome": "1", "Content-Type": "application/json", "Origin": f"http://{HOST}"}
XSS = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory):
    """20 cells, 3 concepts; every text that comes from data tries to be a script or a formula."""
    values = np.zeros((20, 3))
    values[:10, 0], values[10:, 1] = 1.0, 2.0
    contents = atlas.Contents(
        activations=Activations(
            sp.csr_array(values), pd.Index([f"{XSS}{i}" for i in range(20)]), "dictionary-1"
        ),
        obs=pd.DataFrame({"cell_type": [XSS] * 10 + ["=1+1"] * 10, "depth": np.arange(20.0)}),
        layout=np.stack([np.arange(20.0), np.arange(20.0)], axis=1),
        genes=pd.DataFrame({"name": [XSS, "CD3E"]}),
        concepts=pd.DataFrame({"concept": range(3), "auto_name": [XSS, "=cmd()", None]}),
        title=XSS,
        missing={"attributions": "Not attributed. Run: conceptome attribute RUN"},
    )
    return atlas.write(tmp_path_factory.mktemp("web") / "small.atlas", contents)


@pytest.fixture
def client(small_bundle, tmp_path):
    with atlas.Atlas.open(small_bundle) as opened:
        store = atlas.Annotations(tmp_path / "annotations.sqlite", opened.dictionary_id)
        app = create_app(opened, store, hosts=[HOST, "localhost:8000"])
        yield TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def demo_bundle(demo_records, tmp_path_factory):
    """The demo's cells, with principal components as concepts."""
    records = demo_records
    cells = records.adata
    curves = []
    for row in records.enrichment.table.head(5).to_dict("records"):
        corners = {
            "rank": np.array([0, 2, 100]),
            "value": np.array([0, row["es"], 0]),
            "hits": np.array([0, 1]),
        }
        names = ("concept", "collection", "term", "es")
        curves.append({**{name: row[name] for name in names}, **corners, "n_genes": 100, "peak": 2})
    contents = atlas.Contents(
        activations=records.activations,
        obs=cells.obs.assign(depth=np.asarray(cells.X.sum(axis=1)).ravel()),
        layout=records.activations.values[:, [0, 1]].toarray().astype(float),
        genes=pd.DataFrame({"name": cells.var_names, "symbol": cells.var_names}),
        concepts=pd.DataFrame(
            {
                "concept": np.arange(records.activations.n_concepts),
                "auto_name": [f"component {i}" for i in range(records.activations.n_concepts)],
                "confidence": np.linspace(1, 0, records.activations.n_concepts),
            }
        ),
        directions=records.dictionary.directions,
        pairs=records.pairs,
        attributions=records.attributions,
        de=records.de,
        enrichment=records.enrichment,
        enrichment_de=records.enrichment_de,
        curves=pd.DataFrame(curves),
        expression=sp.csr_array(cells.X),
        roles={"cell_type": "label", "depth": "depth"},
        title="demo cells",
        missing={"stability": "One seed was trained. Run again with --n-seeds 5."},
    )
    return atlas.write(tmp_path_factory.mktemp("browser") / "demo.atlas", contents)
