import csv
import io

import pytest

WRITE = {"X-Conceptome": "1", "Content-Type": "application/json"}
DRAFT = {"concept": 1, "author": "Ada", "key": "a-random-key", "label": "NK cells", "interpretability": 3}


def post(client, **changes):
    return client.post("/api/v1/annotations", json={**DRAFT, **changes}, headers=WRITE)


def test_a_save_and_its_repetition(client):
    first = post(client)
    assert first.status_code == 201
    assert first.json()["label"] == "NK cells"
    again = post(client)
    assert (again.status_code, again.json()) == (200, first.json())
    assert client.get("/api/v1/annotations").json()["n"] == 1


def test_a_stale_save_shows_what_is_there(client):
    first = post(client).json()
    stale = post(client, key="another-key", label="T cells")
    assert stale.status_code == 409
    assert stale.json()["current"] == first
    assert stale.json()["error"]["message"].startswith("Ada has written about concept 1 in the meantime.")
    later = post(client, key="another-key", label="T cells", supersedes=first["revision"])
    assert later.status_code == 201
    history = client.get("/api/v1/annotations/1").json()["columns"]
    assert history["label"] == ["T cells", "NK cells"]


@pytest.mark.parametrize(
    "changes",
    [{"concept": 3}, {"concept": True}, {"interpretability": 9}, {"author": ""}, {"more": 1}, {"key": "x"}],
)
def test_what_is_no_annotation_is_refused(client, changes):
    response = post(client, **changes)
    assert response.status_code == 422
    assert response.json()["error"]["message"]
    assert client.get("/api/v1/annotations").json()["n"] == 0


def test_tables_are_exported_under_names_of_the_server(client):
    response = client.get("/api/v1/export/concepts")
    assert response.headers["content-disposition"] == 'attachment; filename="concepts.csv"'
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert rows[1]["auto_name"] == "'=cmd()"
    assert rows[0]["n_active"] == "10"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("measures", "measures"),
        ("genes?concept=0", "concept-0-genes"),
        ("terms?concept=0", "concept-0-terms"),
        ("pairs?concept=0", "concept-0-pairs"),
        ("related?concept=0", "concept-0-related"),
        ("associations?concept=0", "concept-0-associations"),
        ("groups?concept=0&key=cell_type", "concept-0-groups"),
        ("gene?gene=CD3E", "gene-1-concepts"),
        ("annotations", "annotations"),
    ],
)
def test_every_kind_of_table_can_be_had(client, query, name):
    response = client.get(f"/api/v1/export/{query}")
    assert response.status_code == 200, response.text
    assert f'filename="{name}.csv"' in response.headers["content-disposition"]


def test_groups_with_formulas_in_their_names(client):
    rows = list(csv.DictReader(io.StringIO(client.get("/api/v1/export/groups?concept=0&key=cell_type").text)))
    assert [row["name"] for row in rows] == ["<img src=x onerror=alert(1)>", "'=1+1"]
