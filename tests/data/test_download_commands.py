"""The verbs conceptome data list and conceptome data fetch."""

import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from conceptome.cli import main
from conceptome.data import available


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CONCEPTOME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch):
    """Let the command write its log to this test's stderr, not to that of an earlier test."""
    monkeypatch.setattr(logging.getLogger("conceptome"), "handlers", [])


@pytest.fixture
def no_network(monkeypatch):
    """Let every connection go through a proxy that is not there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        yield


def test_list_names_every_download(capsys):
    assert main(["data", "list"]) == 0
    told = capsys.readouterr().out
    for download in available():
        assert download.what in told


def test_an_unknown_name_ends_with_one_message(capsys):
    assert main(["data", "fetch", "scvi_census"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("conceptome: There is no download 'scvi_census'. Did you mean 'scvi-census'?")


def test_a_model_that_is_there_leads_to_the_next_step(capsys, tmp_path):
    (tmp_path / "my census").mkdir()
    (tmp_path / "my census" / "model.pt").write_bytes(b"weights")
    assert main(["data", "fetch", "scvi-census", "--to", str(tmp_path / "my census"), "--verify"]) == 0
    told = capsys.readouterr().out
    next_step = f"Next: conceptome run DATA.h5ad --out RUN --encoder 'scvi:{tmp_path / 'my census'}'"
    assert told.splitlines()[-1] == next_step
    assert (tmp_path / "my census" / "fetched.json").is_file()


def test_without_a_network_one_message_says_what_to_do(capsys, no_network, cache):
    assert main(["data", "fetch", "scvi-census"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    (address,) = (file.url for download in available() for file in download.files if file.name == "model.pt")
    message = error[error.index("conceptome: ") :]
    assert message.startswith(f"conceptome: {address} could not be fetched; the last of 4 attempts: ")
    assert message.endswith(f"which checks them:\n  {address}  ->  {cache / 'scvi-census' / 'model.pt'}\n")


def test_ctrl_c_exits_with_130():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "conceptome.cli", "data", "fetch", "hgnc"],
            env=os.environ | {"https_proxy": proxy, "no_proxy": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "the same command continues from there" in error
    assert "Traceback" not in error
