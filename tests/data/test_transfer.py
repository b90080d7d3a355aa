import os
import signal
import socket
import time

import pytest

from conceptome.core import DownloadError
from conceptome.data import Patience
from conceptome.data.transfer import UnreachableError, require_space, transfer

QUICK = Patience(attempts=3, first_wait=0.01, timeout=5.0)


@pytest.fixture
def bring(tmp_path):
    """Transfer a file from the server, and give the part file."""

    def call(file, patience=QUICK, allowed_schemes=("http",)):
        transfer(file, tmp_path / "x.part", allowed_schemes=allowed_schemes, patience=patience)
        return tmp_path / "x.part"

    return call


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_a_file_comes_whole(server, bring, size):
    body = server.BODY[:size]
    assert bring(server.remote("x", body)).read_bytes() == body
    assert server.ranges("x") == [None]


@pytest.mark.parametrize("n_bytes", [1, 65_536, 299_999])
def test_a_cut_connection_is_continued_where_it_ended(server, bring, n_bytes):
    file = server.remote("x")
    server.answer("x", server.cut_after(n_bytes))
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == [None, f"bytes={n_bytes}-"]
    assert server.requests[1][1]["If-Range"] == server.tag_of(server.BODY)


def test_several_cuts_are_forgiven_as_long_as_something_comes(server, bring):
    def cut_again(handler, body):
        headers = [("ETag", server.tag_of(body)), ("Content-Range", "bytes 1000-299999/300000")]
        server.send(handler, body[1_000:2_000], status=206, headers=headers, length=299_000)
        handler.close_connection = True

    file = server.remote("x")
    server.answer("x", server.cut_after(1_000), server.status(503), cut_again, server.status(503))
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == [None, "bytes=1000-", "bytes=1000-", "bytes=2000-", "bytes=2000-"]


def test_a_server_without_ranges_sends_everything_again(server, bring):
    file = server.remote("x")
    server.answer("x", server.cut_after(1_000), server.without_ranges)
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == [None, "bytes=1000-"]


def test_a_stalled_connection_counts_as_cut(server, bring):
    file = server.remote("x")
    server.answer("x", server.stall_after(200_000))
    assert bring(file, Patience(attempts=3, first_wait=0.01, timeout=0.3)).read_bytes() == server.BODY
    assert server.ranges("x") == [None, "bytes=200000-"]


def test_a_part_of_changed_content_is_not_continued(server, bring):
    file = server.remote("x", sha256=None)
    server.answer("x", server.cut_after(1_000), server.status(404))
    with pytest.raises(UnreachableError):
        bring(file)
    changed = bytes(reversed(server.BODY))
    server.bodies["/x"] = changed
    assert bring(file).read_bytes() == changed
    assert server.ranges("x")[-1] == "bytes=1000-", "the tag, not the range, tells the server to start anew"


def test_a_part_of_another_address_is_not_continued(server, bring):
    server.remote("old")
    server.answer("old", server.cut_after(1_000), server.status(404))
    with pytest.raises(UnreachableError):
        bring(server.remote("old"))
    assert bring(server.remote("new")).read_bytes() == server.BODY
    assert server.ranges("new") == [None]


def test_without_tag_and_checksum_nothing_is_continued(server, bring):
    file = server.remote("x", sha256=None)
    server.answer("x", server.cut_after(1_000, tag=False))
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == [None, None]


def test_with_a_checksum_a_part_is_continued_without_tag(server, bring):
    file = server.remote("x")
    server.answer("x", server.cut_after(1_000, tag=False))
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == [None, "bytes=1000-"]


@pytest.mark.parametrize("size", ["known", None])
def test_a_complete_part_is_not_fetched_again(server, bring, size):
    file = server.remote("x", **({} if size else {"size": None}))
    bring(file)
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == ([None] if size else [None, "bytes=300000-"])


def test_a_wrong_continuation_starts_anew(server, bring):
    def shifted(handler, body):
        span = ("Content-Range", f"bytes 5-{len(body) - 1}/{len(body)}")
        server.send(handler, body[5:], status=206, headers=[span])

    file = server.remote("x")
    server.answer("x", server.cut_after(1_000), shifted)
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == [None, "bytes=1000-", None]


def test_a_part_longer_than_the_file_starts_anew(server, bring):
    file = server.remote("x", size=None, sha256=None)
    too_far = server.status(416, [("Content-Range", "bytes */10")])
    server.answer("x", server.cut_after(1_000), too_far)
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == [None, "bytes=1000-", None]


def test_a_server_that_hangs_up_is_tried_again(server, bring):
    def hang_up(handler, body):
        handler.close_connection = True

    file = server.remote("x")
    server.answer("x", hang_up)
    assert bring(file).read_bytes() == server.BODY
    assert len(server.requests) == 2


def test_https_is_not_given_up_for_a_server_that_does_not_speak_it(server, bring):
    file = server.remote("x", url=server.url("x").replace("http:", "https:"))
    with pytest.raises(UnreachableError, match=r"the last of 3 attempts: \[SSL"):
        bring(file, allowed_schemes=("https",))
    assert server.requests == []


def test_an_error_of_the_server_is_tried_again(server, bring):
    file = server.remote("x")
    server.answer("x", server.status(500), server.status(429, [("Retry-After", "1")]))
    began = time.monotonic()
    assert bring(file).read_bytes() == server.BODY
    assert len(server.requests) == 3
    assert time.monotonic() - began >= 1, "the server asked for a second"


def test_a_missing_file_is_not_tried_again(server, bring):
    file = server.remote("x")
    server.answer("x", server.status(404))
    with pytest.raises(UnreachableError) as caught:
        bring(file)
    assert str(caught.value) == f"{file.url} answers 404 Not Found."
    assert len(server.requests) == 1


def test_patience_ends(server, bring):
    file = server.remote("x")
    server.answer("x", *[server.status(500)] * 3)
    with pytest.raises(UnreachableError) as caught:
        bring(file)
    reason = "HTTP Error 500: Internal Server Error"
    assert str(caught.value) == f"{file.url} could not be fetched; the last of 3 attempts: {reason}."
    assert len(server.requests) == 3


def test_no_server(server, bring):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        with pytest.raises(UnreachableError, match=r"the last of 3 attempts: .*Connection refused\.$"):
            bring(server.remote("x", url=url))


def test_a_file_of_another_size_is_refused_before_it_comes(server, bring, tmp_path):
    file = server.remote("x", size=299_999)
    with pytest.raises(DownloadError) as caught:
        bring(file)
    assert str(caught.value) == (
        f"{file.url} offers 300,000 bytes, 299,999 were expected: it is no longer the same file, and was not "
        "fetched. Please tell the maintainers of Conceptome."
    )
    assert list(tmp_path.iterdir()) == []


def test_more_than_announced_is_cut_off(server, bring, tmp_path):
    file = server.remote("x")
    server.answer("x", server.chunked(server.BODY + b"!"))
    message = r"^The server sent more than the announced 300,000 bytes of x\. They were thrown away\.$"
    with pytest.raises(DownloadError, match=message):
        bring(file)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_known_size_may_come_in_chunks(server, bring):
    file = server.remote("x")
    server.answer("x", server.chunked(server.BODY))
    assert bring(file).read_bytes() == server.BODY


def test_an_unknown_length_is_refused(server, bring):
    file = server.remote("x", size=None, sha256=None)
    server.answer("x", server.chunked(server.BODY))
    with pytest.raises(DownloadError, match=r"does not say how large x is, so that a cut would go unnoticed"):
        bring(file)


def test_a_web_page_is_refused(server, bring):
    file = server.remote("x", size=None, sha256=None)
    page = [("Content-Type", "text/html; charset=utf-8")]
    server.answer("x", server.status(200, page))
    with pytest.raises(DownloadError) as caught:
        bring(file)
    assert (
        str(caught.value) == f"{file.url} gave a web page in place of x. Is there a log-in page in between?"
    )


def test_a_permitted_redirect_is_followed_with_its_range(server, bring):
    file = server.remote("x")
    server.remote("elsewhere")
    to_elsewhere = server.status(302, [("Location", "/elsewhere")])
    server.answer("x", to_elsewhere, to_elsewhere)
    server.answer("elsewhere", server.cut_after(1_000))
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("elsewhere") == [None, "bytes=1000-"]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a/x", "https://a/x", "data:,x"])
@pytest.mark.parametrize("header", ["Location", "URI"])
def test_a_redirect_to_another_scheme_is_refused(server, bring, target, code, header, tmp_path):
    file = server.remote("x")
    server.answer("x", server.status(code, [(header, target)]))
    with pytest.raises(DownloadError) as caught:
        bring(file)
    assert str(caught.value) == f"{target} was refused: files come only by http."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "file:///etc/passwd", "/etc/passwd"])
def test_only_https_by_default(server, tmp_path, url):
    with pytest.raises(DownloadError) as caught:
        transfer(server.remote("x", url=url), tmp_path / "x.part", patience=QUICK)
    assert str(caught.value) == f"{url} was refused: files come only by https."


def test_an_interrupt_keeps_what_came(server, bring, tmp_path):
    part = tmp_path / "x.part"

    def interrupt():
        while not (part.exists() and part.stat().st_size):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    file = server.remote("x")
    server.answer("x", server.stall_after(200_000, interrupt))
    with pytest.raises(KeyboardInterrupt):
        bring(file)
    kept = part.stat().st_size
    assert 0 < kept <= 200_000
    assert bring(file).read_bytes() == server.BODY
    assert server.ranges("x") == [None, f"bytes={kept}-"]


def test_a_full_disk_is_seen_beforehand(server, bring, tmp_path):
    with pytest.raises(DownloadError, match=r"^1,000,000,000,000\.0 MB are needed in .* Make room, or "):
        require_space(tmp_path, 10**18)
    file = server.remote("x", size=None, sha256=None)
    server.answer("x", lambda handler, body: server.send(handler, body, length=10**18))
    with pytest.raises(DownloadError, match="Make room"):
        bring(file)
    assert list(tmp_path.iterdir()) == []
