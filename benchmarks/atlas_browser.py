"""Open an atlas of a million made-up cells in Chromium and measure what a reader waits for.

Run ``python benchmarks/atlas_browser.py --atlas FOLDER``, where FOLDER is the atlas that
``benchmarks/atlas_server.py`` made. Times are taken in the page, up to the moment at which the map's worker
has put the pixels on its canvas; the screen follows with the next frame. Memory is the proportional set size
of the process that runs the page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
PORT = 8766
ADDRESS = f"http://127.0.0.1:{PORT}"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
SIZE = {"width": 1280, "height": 800}

MEASURE = """async ([act, argument]) => {
    const acts = {
        key: () => document.body.dispatchEvent(
            new KeyboardEvent("keydown", { key: argument, bubbles: true })),
        jump: () => {
            const link = document.querySelector("a.brand").cloneNode();
            link.setAttribute("href", argument);
            document.querySelector("nav").append(link);
            link.click();
            link.remove();
        },
        drag: () => map.dispatchEvent(new PointerEvent("pointermove", {
            buttons: 1, movementX: argument, movementY: argument / 2,
            clientX: 300, clientY: 400, bubbles: true })),
        wheel: () => map.dispatchEvent(new WheelEvent("wheel", {
            deltaY: argument, ctrlKey: true, bubbles: true, cancelable: true })),
    };
    const map = document.querySelector("[role=application]");
    const start = performance.now();
    acts[act]();
    while (performance.now() < start + 20000) {
        const mark = performance.getEntriesByName("coloured map").at(-1);
        if (mark && mark.startTime > start) return mark.startTime - start;
        await new Promise((resolve) => { const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => { port1.close(); resolve(); }; port2.postMessage(0); });
    }
    throw new Error("the map was not drawn");
}"""

LASSO = """async () => {
    const map = document.querySelector("[role=application]");
    const edge = map.getBoundingClientRect();
    const at = (type, x, y) => map.dispatchEvent(new PointerEvent(type, {
        buttons: type === "pointerup" ? 0 : 1, pointerId: 1, bubbles: true,
        clientX: edge.left + x * edge.width, clientY: edge.top + y * edge.height }));
    map.setPointerCapture = () => undefined;
    at("pointerdown", 0.9, 0.5);
    for (let i = 0; i <= 150; i++) {
        at("pointermove", 0.5 + 0.45 * Math.cos(i / 24), 0.5 + 0.45 * Math.sin(i / 24));
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    performance.clearResourceTimings();
    const start = performance.now();
    at("pointerup", 0.9, 0.5);
    for (;;) {
        const all = performance.getEntriesByType("resource");
        const asked = all.find(({ name }) => name.endsWith("/selection"));
        if (asked && asked.responseEnd) return [asked.startTime - start, asked.responseEnd - start];
        if (performance.now() > start + 30000) throw new Error("nothing was selected");
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
}"""


@contextmanager
def served(place: Path) -> Iterator[None]:
    """Serve the atlas as a reader would, in a process of its own."""
    words = [sys.executable, "-m", "conceptome.cli", "serve", str(place), "--port", str(PORT), "--no-open"]
    server = subprocess.Popen(words)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{ADDRESS}/api/v1/meta").close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def coloured(page: Page) -> float:
    """Wait for the map; milliseconds since the page was asked for."""
    page.wait_for_selector("canvas[data-coloured]", timeout=60_000)
    return float(page.evaluate("performance.getEntriesByName('coloured map')[0].startTime"))


def paint(page: Page) -> float:
    """Milliseconds until the first contents were painted."""
    return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"))


def bytes_received(page: Page) -> dict[str, float]:
    """Sum, from now on, what the page receives."""
    session, sums = page.context.new_cdp_session(page), {"bytes": 0.0}
    session.send("Network.enable")
    session.on(
        "Network.loadingFinished", lambda event: sums.update(bytes=sums["bytes"] + event["encodedDataLength"])
    )
    return sums


def first_views(browser: Browser, concepts: list[int]) -> dict[str, float]:
    """Open pages of concepts, each in a window that knows nothing, and again in the same window."""
    found: dict[str, list[float]] = {"cold": [], "warm": [], "coloured": [], "coloured_warm": [], "bytes": []}
    for concept in concepts:
        context = browser.new_context(base_url=ADDRESS, viewport=SIZE)
        page = context.new_page()
        sums = bytes_received(page)
        page.goto(f"/concepts/{concept}", wait_until="commit")
        found["coloured"].append(coloured(page))
        found["cold"].append(paint(page))
        page.wait_for_load_state("networkidle")
        found["bytes"].append(sums["bytes"])
        page.goto(f"/concepts/{concept}", wait_until="commit")
        found["coloured_warm"].append(coloured(page))
        found["warm"].append(paint(page))
        context.close()
    middle = {name: float(np.median(values)) for name, values in found.items()}
    return {
        "first_paint_cold_ms": round(middle["cold"]),
        "first_paint_warm_ms": round(middle["warm"]),
        "first_coloured_map_cold_ms": round(middle["coloured"]),
        "first_coloured_map_warm_ms": round(middle["coloured_warm"]),
        "concept_page_cold_mb": round(middle["bytes"] / 1e6, 2),
    }


def spread(name: str, times: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    p50, p95 = np.quantile(times, [0.5, 0.95])
    return {f"{name}_p50_ms": round(float(p50), 1), f"{name}_p95_ms": round(float(p95), 1)}


def measured(page: Page, act: str, arguments: list[Any], rest: float) -> list[float]:
    """Do something again and again; milliseconds until the map was drawn."""
    times = []
    for argument in arguments:
        times.append(float(page.evaluate(MEASURE, [act, argument])))
        page.wait_for_timeout(rest)
    return times


def page_memory_mb() -> float:
    """Proportional set size of the largest process that runs a page of our Chromium."""
    sizes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (folder / "cmdline").read_bytes() and is_ours(int(folder.name)):
                rollup = (folder / "smaps_rollup").read_text(encoding="utf-8")
                sizes.append(int(rollup.split("Pss:")[1].split()[0]) / 1024)
        except OSError:
            continue
    return round(max(sizes), 1)


def is_ours(process: int) -> bool:
    """Tell whether a process was started by this one, or by one that was."""
    while process > 1 and process != os.getpid():
        process = int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
    return process == os.getpid()


def reading(browser: Browser, concepts: list[int], largest: list[int]) -> dict[str, Any]:
    """Go through an atlas in one window."""
    page = browser.new_context(base_url=ADDRESS, viewport=SIZE).new_page()
    page.goto(f"/concepts/{concepts[0]}?sort=concept")
    coloured(page)
    page.wait_for_load_state("networkidle")
    figures: dict[str, Any] = {"page_process_mb": page_memory_mb()}
    figures |= spread("recolour_prefetched", measured(page, "key", ["j"] * 40, 500))
    sums = bytes_received(page)
    figures |= spread("jump_cold", measured(page, "jump", [f"/concepts/{k}" for k in concepts[1:]], 300))
    figures["jump_median_kb"] = round(sums["bytes"] / 1e3 / len(concepts[1:]), 1)
    figures["jump_to_largest_ms"] = round(
        max(measured(page, "jump", [f"/concepts/{k}" for k in largest], 300)), 1
    )
    figures |= spread("pan", measured(page, "drag", [7, -5, 9, -11] * 15, 30))
    figures |= spread("zoom", measured(page, "wheel", [-60, -60, 60, 60] * 10, 30))
    page.get_by_role("button", name="Whole map").click()
    for _ in range(300):
        page.keyboard.press("j")
        page.wait_for_timeout(20)
    page.wait_for_timeout(2000)
    figures["page_process_mb_after_300_concepts"] = page_memory_mb()
    page.close()
    return figures


def selecting(browser: Browser, concept: int) -> dict[str, float]:
    """Draw a lasso around most cells; until the server is asked, and until it has answered."""
    page = browser.new_context(base_url=ADDRESS, viewport=SIZE).new_page()
    page.goto(f"/concepts/{concept}")
    coloured(page)
    page.wait_for_load_state("networkidle")
    page.get_by_role("button", name="Lasso").click()
    asked, answered = page.evaluate(LASSO)
    page.close()
    return {"lasso_ms": round(asked), "lasso_with_answer_ms": round(answered)}


def listing(browser: Browser) -> dict[str, float]:
    """Open the list of all concepts."""
    context = browser.new_context(base_url=ADDRESS, viewport=SIZE)
    page = context.new_page()
    page.goto("/concepts", wait_until="commit")
    page.wait_for_selector("tbody a")
    shown = page.evaluate("performance.now()")
    start = time.perf_counter()
    page.get_by_placeholder("Name, gene, label, theme").fill("programme 77 ")
    page.wait_for_selector("text=1 of")
    filtered = (time.perf_counter() - start) * 1e3
    context.close()
    return {"list_of_concepts_ms": round(shown), "filter_of_list_ms": round(filtered)}


def main() -> None:
    """Serve, measure, and write the figures beside the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atlas", type=Path, required=True)
    options = parser.parse_args()
    database = sqlite3.connect(options.atlas / "meta.sqlite")
    sizes = [row[0] for row in database.execute("SELECT concept FROM concepts ORDER BY n_active DESC")]
    database.close()
    manifest = json.loads((options.atlas / "manifest.json").read_text(encoding="utf-8"))
    rng = np.random.default_rng(0)
    chosen = [int(one) for one in rng.choice(len(sizes), 26, replace=False)]
    figures: dict[str, Any] = {"cells": manifest["n_cells"], "concepts": len(sizes)}
    with served(options.atlas), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        figures["chromium"] = browser.version
        figures |= first_views(browser, chosen[:5])
        print(json.dumps(figures), flush=True)
        figures |= reading(browser, chosen[5:], sizes[:3])
        print(json.dumps(figures), flush=True)
        figures |= selecting(browser, chosen[0])
        figures |= listing(browser)
        browser.close()
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    results["atlas_browser"] = figures
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
