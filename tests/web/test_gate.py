"""Every security rule of the server, one by one."""

import json

import pytest

from conceptome import atlas
from conceptome.web import answers, gate

HOST = "127.0.0.1:8000"
WRITE = {"X-Conceptome": "1", "Content-Type": "application/json", "Origin": f"http://{HOST}"}
CHOICE = json.dumps({"cells": [1]})


def error(response, status):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    content = response.json()["error"]
    assert content["status"] == status
    return content["message"]


@pytest.mark.parametrize("host", ["evil.com", "127.0.0.1", "127.0.0.1:8001", "127.0.0.1.evil.com:8000", ""])
def test_only_its_own_names_are_answered(client, host):
    response = client.get("/api/v1/meta", headers={"Host": host})
    assert error(response, 403) == "This server answers under its own address only."


def test_every_name_of_this_machine_is_answered(client):
    assert client.get("/api/v1/meta", headers={"Host": "localhost:8000"}).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(client, method):
    assert error(client.request(method, "/api/v1/concepts"), 405) == f"{method} is not allowed here."


@pytest.mark.parametrize("path", ["/", "/api/v1/concepts", "/api/v1/concepts/0/activations"])
def test_head_tells_what_get_would(client, path):
    head, whole = client.head(path), client.get(path)
    assert head.status_code == 200
    assert head.headers == whole.headers


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8001", "https://evil.com", "null", "http://localhost"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_origins_can_neither_read_nor_write(client, origin, method):
    path = "/api/v1/selection" if method == "POST" else "/api/v1/concepts"
    response = client.request(method, path, content=CHOICE, headers={**WRITE, "Origin": origin})
    assert error(response, 403) == "Pages of another origin cannot use this server."


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_other_ports_of_this_machine_count_as_others(client, site):
    response = client.get("/api/v1/concepts", headers={"Sec-Fetch-Site": site})
    assert error(response, 403) == "Pages of another origin cannot use this server."


def test_a_write_needs_json(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        response = client.post("/api/v1/selection", content=CHOICE, headers={**WRITE, "Content-Type": kind})
        assert error(response, 415) == "Send JSON, with the header Content-Type: application/json."


def test_a_write_needs_the_header_that_no_form_can_send(client):
    headers = {name: value for name, value in WRITE.items() if name != "X-Conceptome"}
    response = client.post("/api/v1/selection", content=CHOICE, headers=headers)
    assert error(response, 403) == "Send the header X-Conceptome: 1."


def test_a_write_with_all_of_it_is_answered(client):
    assert client.post("/api/v1/selection", content=CHOICE, headers=WRITE).status_code == 200


def test_large_bodies_are_refused_unread(client):
    headers = {**WRITE, "Content-Length": str(gate.MAX_BODY_BYTES + 1)}
    response = client.post("/api/v1/selection", content=b"{}", headers=headers)
    assert error(response, 413) == "The request is larger than 8 MB."


def test_large_bodies_without_a_length_are_refused_while_they_come(client):
    def body():
        for _ in range(9):
            yield b" " * 2**20

    response = client.post("/api/v1/selection", content=body(), headers=WRITE)
    assert error(response, 413) == "The request is larger than 8 MB."


@pytest.mark.parametrize("path", ["/", "/api/v1/meta", "/api/v1/concepts/99", "/api/v1/nothing/at/all"])
def test_every_answer_is_guarded(client, path):
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_refusals_are_guarded_too(client):
    refused = client.get("/api/v1/meta", headers={"Host": "evil.com"})
    assert refused.headers["content-security-policy"] == gate.POLICY


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/concepts/3", 404),
        ("/api/v1/concepts/-1", 422),
        ("/api/v1/concepts/1e3", 422),
        ("/api/v1/concepts/99999999999999999999", 422),
        ("/api/v1/obs/..%2F..%2Fetc", 404),
        ("/api/v1/obs/%2e%2e", 422),
        ("/api/v1/obs/nothing", 404),
        ("/api/v1/concepts/0/groups/depth", 404),
        ("/api/v1/export/passwd", 404),
        ("/api/v1/export/genes", 404),
        ("/api/v1/search", 422),
        ("/api/v1/search?q=" + "x" * 300, 422),
        ("/api/v1/thumbs/7", 404),
        ("/api/nothing", 404),
    ],
)
def test_ids_are_numbers_or_known_names_and_errors_are_json(client, path, status):
    assert error(client.get(path), status)


@pytest.mark.parametrize("path", ["/api/v1/../../etc/passwd", "/static/%2e%2e/gate.py", "/..%2fgate.py"])
def test_addresses_that_climb_show_the_start_page_like_any_other(client, path):
    assert client.get(path).content == client.get("/").content


def test_a_bug_tells_the_terminal_and_not_the_browser(client, monkeypatch, caplog):
    def fail(_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(atlas.Atlas, "read", fail)
    message = error(client.get("/api/v1/coords"), 500)
    assert message == "Something went wrong on the server; its terminal says what."
    assert answers.logger.name in {record.name for record in caplog.records}


def test_an_answer_is_kept_for_ever_only_under_its_version(client):
    digest = client.get("/api/v1/meta").json()["digest"]
    plain = client.get("/api/v1/concepts")
    assert plain.headers["etag"] == f'"{digest}"'
    assert plain.headers["cache-control"] == "private, no-cache"
    kept = client.get(f"/api/v1/concepts?v={digest}")
    assert kept.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = client.get("/api/v1/concepts", headers={"If-None-Match": f'"{digest}"'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/api/v1/concepts", headers={"If-None-Match": '"older"'}).status_code == 200
    gone = client.get("/api/v1/concepts?v=older")
    assert error(gone, 410) == "The atlas was replaced by another one. Load the page again."
    assert gone.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/api/v1/meta", "/api/v1/annotations", "/api/v1/search?q=a"])
def test_what_changes_is_never_kept(client, path):
    digest = client.get("/api/v1/meta").json()["digest"]
    response = client.get(path, headers={"If-None-Match": f'"{digest}"'})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert "etag" not in response.headers


def test_errors_are_never_kept(client):
    assert client.get("/api/v1/concepts/77").headers["cache-control"] == "no-store"
