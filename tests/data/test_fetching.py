import hashlib
import logging
import subprocess
import sys
import time

import pytest

import conceptome as cm
from conceptome.core import DownloadError
from conceptome.data import Patience
from conceptome.data.receipts import RECEIPTS, read_receipts

QUICK = Patience(attempts=2, first_wait=0.01, timeout=5.0)


@pytest.fixture
def fetch(tmp_path):
    def call(download, **options):
        folder = tmp_path / download.name
        return cm.data.fetch_files(download, folder, allowed_schemes=("http",), patience=QUICK, **options)

    return call


@pytest.fixture(autouse=True)
def messages(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("conceptome"), "propagate", True)
    caplog.set_level(logging.INFO, logger="conceptome")
    return caplog


def names_in(folder):
    return {path.name for path in folder.iterdir()} - {".fetch.lock"}


def test_files_come_and_are_not_fetched_twice(server, download_of, fetch):
    thing = download_of(server.remote("x"), server.remote("deep/y", b"small"))
    folder = fetch(thing)
    assert (folder / "x").read_bytes() == server.BODY
    assert (folder / "deep/y").read_bytes() == b"small"
    assert names_in(folder) == {"x", "deep", RECEIPTS}
    assert fetch(thing) == folder
    assert fetch(thing, verify=True) == folder
    assert len(server.requests) == 2


def test_a_second_call_continues_what_the_first_left(server, download_of, fetch, tmp_path):
    thing = download_of(server.remote("x"))
    server.answer("x", server.cut_after(1_000), *[server.status(500)] * 2)
    with pytest.raises(DownloadError) as caught:
        fetch(thing)
    part = tmp_path / "thing" / "x.part"
    url = server.url("x")
    assert str(caught.value) == (
        f"{url} could not be fetched; the last of 2 attempts: HTTP Error 500: Internal Server Error.\n"
        f"1,000 bytes of it are kept in {part}. Once there is a network, the same command continues (behind "
        "a proxy: set https_proxy). Without one, fetch these files elsewhere (see "
        "https://example.org/thing), put them where the arrows point, and run the same command, which checks "
        "them:\n"
        f"  {url}  ->  {tmp_path / 'thing' / 'x'}"
    )
    assert part.read_bytes() == server.BODY[:1_000]
    server.plan.clear()
    assert (fetch(thing) / "x").read_bytes() == server.BODY
    assert server.ranges("x")[-1] == "bytes=1000-"
    assert names_in(tmp_path / "thing") == {"x", RECEIPTS}


def test_a_wrong_checksum_leaves_nothing(server, download_of, fetch, tmp_path):
    wrong = "0" * 64
    thing = download_of(server.remote("x", sha256=wrong))
    with pytest.raises(DownloadError) as caught:
        fetch(thing)
    found = hashlib.sha256(server.BODY).hexdigest()
    assert str(caught.value) == (
        f"{server.url('x')} gave a file with sha256 {found}; the published one is {wrong}. It was thrown "
        "away: the source has changed it, or someone in between has. Please tell the maintainers of "
        "Conceptome."
    )
    assert names_in(tmp_path / "thing") == set()


def test_a_wrong_part_is_replaced_by_the_right_file(server, download_of, fetch, tmp_path, messages):
    thing = download_of(server.remote("x"))
    server.answer("x", server.cut_after(1_000), server.status(404))
    with pytest.raises(DownloadError):
        fetch(thing)
    (tmp_path / "thing" / "x.part").write_bytes(b"!" * 1_000)
    assert (fetch(thing) / "x").read_bytes() == server.BODY
    assert server.ranges("x")[-2:] == ["bytes=1000-", None]
    assert "x: what an earlier attempt had left was not of this file. From the start." in messages.text


def test_a_damaged_file_is_fetched_again(server, download_of, fetch, messages):
    thing = download_of(server.remote("x"))
    path = fetch(thing) / "x"
    path.write_bytes(server.BODY[:-1])
    fetch(thing)
    assert path.read_bytes() == server.BODY
    assert f"{path} is damaged: other size (299,999 bytes, not 300,000) than fetched." in messages.text


def test_verify_finds_other_bytes_of_the_same_size(server, download_of, fetch, messages):
    thing = download_of(server.remote("x"))
    path = fetch(thing) / "x"
    path.write_bytes(bytes(300_000))
    fetch(thing)
    assert path.read_bytes() == bytes(300_000), "only the size is compared each time"
    fetch(thing, verify=True)
    assert path.read_bytes() == server.BODY
    assert f"{path} is damaged: other bytes than fetched. Fetching it again." in messages.text


def test_without_a_published_checksum_the_first_copy_counts(server, download_of, fetch, messages):
    thing = download_of(server.remote("x", size=None, sha256=None))
    folder = fetch(thing)
    digest = hashlib.sha256(server.BODY).hexdigest()
    assert read_receipts(folder)["x"].sha256 == digest
    assert (
        f"No published checksum of x is known, so it is taken on trust. It has sha256 {digest}, which is "
        f"kept in {folder / RECEIPTS}: later copies are compared with it."
    ) in messages.text
    (folder / "x").unlink()
    server.bodies["/x"] = b"something else"
    with pytest.raises(DownloadError, match=rf"; that of the first copy is {digest}\. It was"):
        fetch(thing)
    assert names_in(folder) == {RECEIPTS}
    server.bodies["/x"] = server.BODY
    assert (fetch(thing) / "x").read_bytes() == server.BODY


def test_a_newer_revision_replaces_the_older(server, download_of, fetch):
    folder = fetch(download_of(server.remote("x", b"old", url=server.url("x"))))
    fetch(download_of(server.remote("x", b"newer")))
    assert (folder / "x").read_bytes() == b"newer"


@pytest.mark.parametrize("published", [True, False])
def test_a_file_put_there_by_hand_is_checked_and_taken(server, download_of, fetch, tmp_path, published):
    thing = download_of(server.remote("x", **({} if published else {"size": None, "sha256": None})))
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "x").write_bytes(server.BODY)
    folder = fetch(thing)
    assert server.requests == []
    assert read_receipts(folder)["x"].sha256 == hashlib.sha256(server.BODY).hexdigest()


def test_a_file_of_somebody_else_is_not_overwritten(server, download_of, fetch, tmp_path):
    (tmp_path / "thing").mkdir()
    mine = tmp_path / "thing" / "config.json"
    mine.write_text("mine")
    with pytest.raises(DownloadError) as caught:
        fetch(download_of(server.remote("config.json")))
    digest = hashlib.sha256(b"mine").hexdigest()
    assert str(caught.value) == (
        f"{mine} is in the way: it was not fetched by Conceptome, and is another file (4 bytes, sha256 "
        f"{digest}). Move it, or choose another folder with --to."
    )
    assert mine.read_text() == "mine"
    assert server.requests == []


@pytest.mark.parametrize("name", ["x", "x.part", "deep"])
def test_a_link_out_of_the_folder_is_not_followed(server, download_of, fetch, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / name).symlink_to(outside if name == "deep" else outside / "victim")
    file = server.remote("deep/x" if name == "deep" else "x")
    with pytest.raises(DownloadError, match=r", outside of .*\. Remove that link\.$"):
        fetch(download_of(file))
    assert list(outside.iterdir()) == []
    assert server.requests == []


def test_a_folder_that_cannot_be_made_is_named(server, download_of, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"cannot be made \(Not a directory\)\. Choose another"):
        cm.data.fetch_files(download_of(server.remote("x")), tmp_path / "file" / "thing")


def test_too_little_space_is_seen_before_the_first_file(server, download_of, fetch):
    with pytest.raises(DownloadError, match="Make room"):
        fetch(download_of(server.remote("x"), server.remote("y", size=10**18)))
    assert server.requests == []


def test_two_processes_fetch_once(server, download_of, tmp_path):
    def slowly(handler, body):
        time.sleep(1.0)
        server.whole(handler, body)

    file = server.remote("x")
    server.answer("x", slowly)
    code = (
        "import sys; from pathlib import Path; import conceptome as cm\n"
        f"file = cm.data.RemoteFile(name='x', url={file.url!r}, size={file.size}, sha256={file.sha256!r})\n"
        "empty = dict(what='', licence='', source='', reference='')\n"
        "thing = cm.data.Download(name='thing', files=(file,), **empty)\n"
        "print(cm.data.fetch_files(thing, Path(sys.argv[1]), allowed_schemes=('http',)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "thing")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = {process.communicate(timeout=60)[0].strip() for process in running}
    assert told == {str(tmp_path / "thing")}
    assert [process.returncode for process in running] == [0, 0]
    assert (tmp_path / "thing" / "x").read_bytes() == server.BODY
    assert len(server.requests) == 1


def test_the_cache_follows_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("CONCEPTOME_CACHE", str(tmp_path / "mine"))
    assert cm.data.cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("CONCEPTOME_CACHE")
    assert cm.data.cache_folder().name == "conceptome"


def test_the_list_says_what_is_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CONCEPTOME_CACHE", str(tmp_path))
    (tmp_path / "scvi-census").mkdir()
    (tmp_path / "scvi-census" / "model.pt").write_bytes(b"")
    header, *rows = cm.data.describe_downloads().splitlines()
    assert header.split() == ["name", "size", "in", "the", "cache", "content", "licence"]
    here = {row.split()[0]: " yes " in row for row in rows}
    assert here == {thing.name: thing.name == "scvi-census" for thing in cm.data.available()}


def test_own_downloads_come_by_https_only(server, download_of, tmp_path):
    with pytest.raises(DownloadError, match=r"was refused: files come only by https\.$"):
        cm.data.fetch_files(download_of(server.remote("x")), tmp_path / "thing")
    assert server.requests == []
