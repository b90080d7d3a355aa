"""A real HTTP server on this machine that can be told to misbehave, and downloads that point to it."""

import hashlib
import threading
from collections import defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from conceptome.data import Download, RemoteFile


class FileServer:
    """Serve `bodies` by path, with ranges and tags; `plan` holds other answers for the next requests."""

    BODY = np.random.default_rng(0).bytes(300_000)

    def __init__(self):
        self.bodies, self.plan, self.requests = {}, defaultdict(deque), []
        self.released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler):
                self.requests.append((handler.path, dict(handler.headers)))
                planned = self.plan[handler.path]
                answer = planned.popleft() if planned else self.whole
                answer(handler, self.bodies.get(handler.path))

            def log_message(handler, *args):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.httpd.server_address[1]}/{name}"

    def ranges(self, name):
        """Tell the Range header of every request for a file."""
        return [headers.get("Range") for path, headers in self.requests if path == f"/{name}"]

    def remote(self, name, body=BODY, **changes):
        """Serve a file and describe it."""
        self.bodies[f"/{name}"] = body
        facts = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "url": self.url(name)}
        return RemoteFile(name=name, **facts | changes)

    def answer(self, name, *answers):
        """Plan the next answers for a file."""
        self.plan[f"/{name}"].extend(answers)

    def close(self):
        self.released.set()
        self.httpd.shutdown()
        self.httpd.server_close()

    @staticmethod
    def tag_of(body):
        return '"' + hashlib.md5(body).hexdigest() + '"'

    @staticmethod
    def send(handler, body, *, status=200, headers=(), length=None):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()

    @classmethod
    def whole(cls, handler, body):
        """Answer as a good server does."""
        if body is None:
            return cls.send(handler, b"", status=404)
        tag = cls.tag_of(body)
        wanted = handler.headers.get("Range")
        if wanted is None or handler.headers.get("If-Range", tag) != tag:
            return cls.send(handler, body, headers=[("ETag", tag)])
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            return cls.send(handler, b"", status=416, headers=[("Content-Range", f"bytes */{len(body)}")])
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return cls.send(handler, body[start:], status=206, headers=[("ETag", tag), ("Content-Range", span)])

    @classmethod
    def without_ranges(cls, handler, body):
        cls.send(handler, body, headers=[("ETag", cls.tag_of(body))])

    @classmethod
    def cut_after(cls, n_bytes, *, tag=True):
        """Announce everything, send the first bytes, hang up."""

        def answer(handler, body):
            headers = [("ETag", cls.tag_of(body))] if tag else []
            cls.send(handler, body[:n_bytes], headers=headers, length=len(body))
            handler.close_connection = True

        return answer

    def stall_after(self, n_bytes, then=lambda: None):
        """Send the first bytes, call `then`, and say no more."""

        def answer(handler, body):
            self.send(handler, body[:n_bytes], headers=[("ETag", self.tag_of(body))], length=len(body))
            then()
            self.released.wait(20)
            handler.close_connection = True

        return answer

    @classmethod
    def status(cls, code, headers=()):
        return lambda handler, body: cls.send(handler, b"sorry", status=code, headers=headers)

    @classmethod
    def chunked(cls, content):
        """Send without a Content-Length."""

        def answer(handler, body):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))

        return answer


@pytest.fixture
def server():
    running = FileServer()
    yield running
    running.close()


@pytest.fixture
def download_of():
    """Make a download of files."""

    def make(*files, name="thing", **changes):
        source = "https://example.org/thing"
        facts = {"what": "a thing", "licence": "CC0", "source": source, "reference": "Nobody 2024"}
        return Download(name=name, files=files, **facts | changes)

    return make
