"""No serious finding of axe-core on any page, in light and dark; everything by keyboard; paper and rest."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

AXE = Path(__file__).parents[3] / "client" / "node_modules" / "axe-core" / "axe.min.js"
PATHS = (
    *(
        "/",
        "/concepts",
        "/concepts?view=gallery",
        "/concepts/0?names=1&beside=concept:1&term=0&table=genes",
        "/genes/0",
        "/terms/0",
    ),
    *(
        "/groups/cell_type/0",
        "/cells/0",
        "/selection?lasso=7ps-7ps.1bwk-7ps.1bwk-1bwk.7ps-1bwk",
        "/search?q=component",
    ),
)


@pytest.fixture(scope="session")
def axe():
    if not AXE.is_file():
        message = "axe-core is not installed: npm --prefix client ci"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return AXE.read_text()


@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_serious(watched, axe, path):
    page = watched.page
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    watched.open(path)
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("axe.run().then((result) => result.violations)")
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []
        watched.keep_picture(f"{re.sub('[^a-z0-9]+', '-', path.strip('/')) or 'overview'}-{scheme}")


def test_everything_is_reached_and_done_by_keyboard(watched):
    page = watched.page
    watched.open("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("component 3")
    expect(page.get_by_role("option").first).to_contain_text("component 3")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("component 3")
    expect(page.locator("h1")).to_be_focused()
    watched.settled()
    page.keyboard.press("c")
    expect(page.get_by_role("region", name="Compared with concept")).to_be_visible()
    page.keyboard.press("c")
    expect(page.get_by_role("region", name="Compared with concept")).to_have_count(0)
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
            )
        )
    assert {"Lasso", "Genes that drive it as a table", "Cells in which it fires as PNG"} <= seen
    page.get_by_role("application").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("view="))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("view="))
    assert watched.troubles == []


def test_nothing_moves_for_those_who_ask_and_paper_is_light(watched):
    page = watched.page
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.route("**/concepts/0/genes*", lambda route: None)
    page.goto("/concepts/0")
    waiting = page.get_by_role("region", name="Genes that drive it").locator(".waiting")
    expect(waiting).to_be_visible()
    assert waiting.evaluate("(one) => getComputedStyle(one).animationName") == "none"
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(246, 247, 248)"
    expect(page.locator("header")).to_be_hidden()
    expect(page.get_by_role("button", name="CSV")).to_have_count(0)
    expect(page.locator("h1")).to_be_visible()
