"""Every route, with the shapes that the documentation promises."""

import gzip

import numpy as np

from conceptome.atlas.packing import unpack_column

XSS = "<img src=x onerror=alert(1)>"
WRITE = {"X-Conceptome": "1", "Content-Type": "application/json"}


def get(client, path, status=200):
    response = client.get(f"/api/v1/{path}")
    assert response.status_code == status, response.text
    return response


def test_meta(client):
    meta = get(client, "meta").json()
    assert (meta["n_cells"], meta["n_concepts"], meta["n_genes"]) == (20, 3, 2)
    assert meta["title"] == XSS
    assert meta["obs"][0]["categories"][0] == {"code": 0, "name": XSS, "n_cells": 10}
    assert meta["annotations"] == {"writable": True, "reason": ""}
    assert meta["missing"] == {"attributions": "Not attributed. Run: conceptome attribute RUN"}


def test_binary_answers(client):
    places = np.frombuffer(get(client, "coords").content, "<u2").reshape(-1, 2)
    assert places[0].tolist() == [0, 0]
    assert places[-1].tolist() == [65534, 65534]
    assert len(np.frombuffer(get(client, "obs/cell_type").content, "<u2")) == 20
    assert sorted(np.frombuffer(get(client, "obs/depth").content, "<f4")) == list(range(20))
    assert get(client, "base.png").content.startswith(b"\x89PNG")
    assert len(get(client, "thumbs/0").content) == 32 * 48 * 48  # unpacked by the client


def test_blobs_are_sent_as_they_are_stored(client):
    response = get(client, "concepts/1/activations")
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["content-type"] == "application/octet-stream"
    cells, values = unpack_column(gzip.compress(response.content))
    assert cells.tolist() == list(range(10, 20))
    assert set(values) == {2.0}


def test_tables_have_columns_of_one_length(client):
    for path in (
        *(
            "concepts",
            "genes",
            "terms",
            "measures",
            "units",
            "verdicts",
            "calibration",
            "modules",
            "search?q=img",
        ),
        *("concepts/0/genes", "concepts/0/terms", "concepts/0/pairs", "concepts/0/related"),
        *("concepts/0/groups/cell_type", "concepts/0/associations", "annotations", "annotations/2"),
    ):
        table = get(client, path).json()
        assert {len(column) for column in table["columns"].values()} == {table["n"]}, path


def test_an_empty_table_says_why(client):
    table = get(client, "concepts/0/genes").json()
    assert (table["n"], table["missing"]) == (0, "Not attributed. Run: conceptome attribute RUN")
    assert list(table["columns"])[:4] == ["gene", "symbol", "rank", "attribution"]
    assert "missing" not in get(client, "concepts/0/groups/cell_type").json()


def test_pages(client):
    assert get(client, "concepts/0").json()["concept"]["auto_name"] == XSS
    assert get(client, "concepts/0").json()["module"] is None
    assert get(client, "genes/CD3E").json()["gene"]["gene"] == 1
    assert get(client, "genes/1").json()["gene"]["symbol"] == "CD3E"
    cell = get(client, "cells/19").json()
    assert cell["concepts"]["columns"]["concept"] == [1]
    assert get(client, "cells", 422)
    assert client.get("/api/v1/cells", params={"id": cell["cell"]["id"]}).json() == cell
    group = get(client, "groups/cell_type/0").json()
    assert group["group"]["category"] == XSS
    assert group["concepts"]["columns"]["concept"][0] == 0
    assert group["concepts"]["columns"]["share"][0] == 1.0
    assert get(client, "genes/CD3E/expression", 404).json()["error"]["message"] == (
        "The atlas has no map of gene 'CD3E'; it keeps those of genes that drive a concept."
    )


def test_a_selection(client):
    answer = client.post("/api/v1/selection", json={"ranges": [[0, 5]], "cells": [19]}, headers=WRITE).json()
    assert answer["n_cells"] == 6
    columns = answer["concepts"]["columns"]
    assert dict(zip(columns["concept"], columns["n_active"], strict=True)) == {0: 5, 1: 1}
    assert answer["groups"]["cell_type"]["columns"]["n_selected"] == [5, 1]


def test_selections_that_are_none(client):
    for body, message in (
        ({"ranges": [[0, 99]]}, "A selection names cells from 0 to 19, and no range backwards."),
        ({}, "The selection is empty. Choose some cells."),
        ({"cells": ["x"]}, "body.cells.0: "),
        ({"ranges": [[1, 2, 3]]}, "body.ranges.0"),
    ):
        response = client.post("/api/v1/selection", json=body, headers=WRITE)
        assert response.status_code == 422
        assert response.json()["error"]["message"].startswith(message)
    broken = client.post("/api/v1/selection", content=b"{", headers=WRITE)
    assert broken.status_code == 422
    huge = client.post("/api/v1/selection", json={"cells": [10**30]}, headers=WRITE)
    assert huge.status_code == 422


def test_search_finds_what_people_wrote(client):
    body = {"concept": 2, "author": "Ada", "key": "key-of-ada", "label": "cytotoxic"}
    client.post("/api/v1/annotations", json=body, headers=WRITE)
    found = get(client, "search?q=cytot").json()["columns"]
    assert (found["kind"], found["ref"], found["name"]) == (["annotation"], ["2"], ["cytotoxic"])
    assert get(client, "search?q=cytot&kind=gene").json()["n"] == 0
