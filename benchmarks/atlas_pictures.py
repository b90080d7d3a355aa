"""Take the pictures of an atlas that the documentation shows.

Run ``python benchmarks/atlas_pictures.py --atlas ATLAS`` with an atlas of pbmc3k; it writes docs/pictures.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

OUT = Path(__file__).parents[1] / "docs" / "pictures"
PORT = 8767
ADDRESS = f"http://127.0.0.1:{PORT}"


def settle(page: Page) -> None:
    """Wait until everything is there."""
    expect(page.locator(".waiting, [aria-busy=true]")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(700)


def take(page: Page, name: str, height: int = 800) -> None:
    """Take a picture of the upper part of the page."""
    settle(page)
    page.screenshot(
        path=OUT / f"{name}.png", clip={"x": 0, "y": 0, "width": 1200, "height": height}, full_page=True
    )


def walk(page: Page) -> None:
    """Use the atlas as a new reader would: from a gene to its concept, and on from there."""
    page.goto("/")
    take(page, "overview", 1250)
    page.goto("/concepts")
    take(page, "concepts", 700)
    page.goto("/concepts?view=gallery")
    take(page, "gallery", 700)
    page.goto("/")
    settle(page)
    page.keyboard.press("/")
    page.keyboard.type("GNLY")
    expect(page.get_by_role("option").first).to_contain_text("GNLY")
    take(page, "search", 420)
    page.keyboard.press("Enter")
    settle(page)
    page.get_by_role("link", name="GNLY").first.click()
    expect(page.locator("h1")).to_have_text("GNLY")
    take(page, "gene", 800)
    page.get_by_role("region", name="Driven against merely expressed").get_by_role("link").first.click()
    settle(page)
    concept = page.url
    page.get_by_label("Names").check()
    page.mouse.move(5, 5)
    take(page, "concept", 900)
    page.get_by_role("region", name="What its genes are known for").locator("button.name").first.click()
    settle(page)
    region(page, "What its genes are known for", "terms")
    page.goto(f"{concept}?beside=obs:{label(page)}&names=1")
    take(page, "beside", 700)
    for panel, name in (
        ("Driving against merely expressed", "expression"),
        ("What changed between pairs", "pairs"),
    ):
        region(page, panel, name)
    region(page, "Related concepts", "related")
    page.goto(f"{concept}?table=map")
    settle(page)
    page.get_by_role("region", name="Cells in which it fires").locator("tbody a").first.click()
    take(page, "cell", 700)
    page.goto(f"{concept}")
    settle(page)
    page.get_by_role("region", name="What its genes are known for").locator("button.name").first.click()
    page.get_by_role("link", name="all concepts with this term").click()
    take(page, "term", 760)
    page.goto(concept)
    settle(page)
    page.get_by_role("region", name="Where it fires").get_by_role("link", name="NK").first.click()
    take(page, "cell-type", 700)
    page.goto("/selection?lasso=csg-csg.16ao-csg.16ao-16ao.csg-16ao")
    take(page, "selection", 800)


def label(page: Page) -> str:
    """Tell the short name of the column of cell types."""
    meta = page.request.get("/api/v1/meta").json()
    return str(next(column["key"] for column in meta["obs"] if column["role"] == "label"))


def region(page: Page, panel: str, name: str) -> None:
    """Take a picture of one panel."""
    page.get_by_role("region", name=panel).first.screenshot(path=OUT / f"{name}.png")


def shrink() -> None:
    """Leave 256 colours, which is all that these pictures need."""
    for path in OUT.glob("*.png"):
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small.save(path, optimize=True)


def main() -> None:
    """Serve the atlas and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atlas", type=Path, required=True)
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    words = [
        sys.executable,
        "-m",
        "conceptome.cli",
        "serve",
        str(options.atlas),
        "--port",
        str(PORT),
        "--no-open",
    ]
    server = subprocess.Popen(words)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{ADDRESS}/api/v1/meta").close()
                break
            except OSError:
                time.sleep(0.1)
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            context = browser.new_context(base_url=ADDRESS, viewport={"width": 1200, "height": 800})
            context.set_default_timeout(60_000)
            walk(context.new_page())
            browser.close()
        shrink()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
