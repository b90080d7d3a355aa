import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from conceptome import web
from conceptome.core import BundleError, InputError, MissingExtraError
from conceptome.web import serve, serving


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])
def test_other_machines_are_never_let_in(small_bundle, host):
    with pytest.raises(InputError) as caught:
        serve(small_bundle, host=host, open_browser=False)
    assert str(caught.value) == (
        f"host is {host!r}; this server has no user accounts and listens on this machine only. Leave --host "
        "out, and from elsewhere forward its port: ssh -L 8000:127.0.0.1:8000 THIS-MACHINE"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_names_of_this_machine(host):
    serving.require_loopback(host)


def test_a_port_in_use(small_bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as caught:
            serve(small_bundle, port=port, open_browser=False)
    assert str(caught.value) == (
        f"Port {port} of 127.0.0.1 cannot be used (Address already in use). Choose another with --port; "
        "0 is any free one."
    )


def test_without_the_extra(small_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'conceptome\[web\]'"):
        serve(small_bundle, open_browser=False)


def command(*words):
    return [sys.executable, "-m", "conceptome.cli", *map(str, words)]


def test_a_damaged_atlas_is_one_line_and_no_server(small_bundle, tmp_path):
    copy = shutil.copytree(small_bundle, tmp_path / "copy.atlas")
    (copy / "coords.u16").unlink()
    words = command("serve", copy, "--no-open")
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"conceptome: {copy} is damaged: coords.u16 is missing. Build it again, or copy it again from where "
        "it came.\n"
    )


def test_flipped_bytes_of_large_files_are_found_before_anything_is_served(
    small_bundle, tmp_path, monkeypatch
):
    copy = shutil.copytree(small_bundle, tmp_path / "copy.atlas")
    raw = bytearray((copy / "activations.bin").read_bytes())
    raw[-1] ^= 1
    (copy / "activations.bin").write_bytes(raw)
    monkeypatch.setattr("conceptome.atlas.reader.SMALL_BYTES", 0)
    for act in (serve, web.export_html):
        with pytest.raises(
            BundleError, match=r"the bytes of activations\.bin are not those that were written"
        ):
            act(copy, **({"open_browser": False} if act is serve else {"out": tmp_path / "copy.html"}))


def test_ctrl_c_ends_it_cleanly_and_it_loads_no_model(small_bundle):
    started = subprocess.Popen(
        command("serve", small_bundle, "--port", 0, "--no-open"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        told = started.stderr.readline()
        address = told.split()[-3]
        assert _answer(f"{address}api/v1/meta").startswith(b'{"schema_version":2')
        maps = _maps(started.pid)
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=20)
    finally:
        started.kill()
    assert started.returncode == 0
    assert out == "Stopped.\n"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    assert told == f"{small_bundle} is open at {address} (Ctrl-C ends)\n"
    assert err == ""
    assert not [name for name in ("libtorch", "/scanpy/", "/scvi/", "/numba/", "_h5py") if name in maps]


def _answer(address):
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read()
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _maps(pid):
    place = Path(f"/proc/{pid}/maps")
    return place.read_text() if place.exists() else ""
