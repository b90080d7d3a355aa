from fastapi import FastAPI
from fastapi.testclient import TestClient

from conceptome.web.client import client_router


def test_files_are_served_by_their_exact_names_and_other_addresses_show_the_start(tmp_path):
    (tmp_path / "static" / "assets").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "static" / "index.html").write_text("<!doctype html>start")
    (tmp_path / "static" / "assets" / "main-1a2b.js").write_text("1")
    app = FastAPI()
    app.include_router(client_router(tmp_path / "static"))
    client = TestClient(app)
    script = client.get("/assets/main-1a2b.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    for path in ("/", "/concept/3", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt"):
        answer = client.get(path)
        assert answer.text == "<!doctype html>start"
        assert answer.headers["cache-control"] == "no-cache"


def test_without_a_client_the_server_says_how_to_build_it(tmp_path):
    app = FastAPI()
    app.include_router(client_router(tmp_path))
    answer = TestClient(app).get("/")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "This installation has no browser client. Build it with: make client"
