"""A client of the server, on an atlas of two blocks of cells that is made by hand."""

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
