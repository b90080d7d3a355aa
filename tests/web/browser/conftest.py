"""Chromium, and atlases that are served to it."""

import contextlib
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright

from conceptome import atlas
from conceptome.web import create_app
from conceptome.web.serving import bound_socket

CHROMIUM = shutil.which("chromium")
PICTURES = Path(__file__).parents[3] / "build" / "pictures"
"""What the pages looked like, for a person to look at."""
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window."""
    if CHROMIUM is None:
        message = "Chromium is not installed; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@contextlib.contextmanager
def serving(bundle, annotations):
    """Serve an atlas from a thread; gives its address."""
    with atlas.Atlas.open(bundle) as opened, bound_socket("127.0.0.1", 0) as listening:
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        app = create_app(opened, atlas.Annotations(annotations, opened.dictionary_id), hosts=[host])
        config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield f"http://{host}"
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture
def site(demo_bundle, tmp_path):
    """Address of the demo's atlas, nothing annotated yet."""
    with serving(demo_bundle, tmp_path / "annotations.sqlite") as address:
        yield address


class Watched:
    """A page, and everything that went wrong in it."""

    def __init__(self, page):
        self.page = page
        self.troubles = []
        self.addresses = set()
        page.on("console", lambda message: message.type == "error" and self.troubles.append(message.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: (self.troubles.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.addresses.add(request.url))

    def open(self, path):
        """Go to a page and wait until nothing is being loaded."""
        self.page.goto(path)
        self.settled()

    def settled(self):
        expect(self.page.locator("h1")).to_be_visible()
        expect(self.page.locator(".waiting, [aria-busy=true]")).to_have_count(0)

    def keep_picture(self, name):
        """Take a picture of the whole page."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@pytest.fixture
def watched(browser, site):
    """A new window on the site."""
    context = browser.new_context(base_url=site, viewport={"width": 1300, "height": 900})
    context.set_default_timeout(15_000)
    yield Watched(context.new_page())
    context.pages[0].unroute_all(behavior="ignoreErrors")
    context.close()
