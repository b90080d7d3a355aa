"""No serious finding of axe-core on any page, in light and dark."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

AXE = Path(__file__).parents[3] / "client" / "node_modules" / "axe-core" / "axe.min.js"
PATHS = (
    *("/", "/concepts", "/concepts?view=gallery", "/concepts/0?names=1", "/genes/0", "/terms/0"),
    *("/groups/cell_type/0", "/cells/0", "/selection", "/search?q=component"),
)


@pytest.fixture(scope="session")
def axe():
    if not AXE.is_file():
        message = "axe-core is not installed: npm --prefix client ci"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return AXE.read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_serious(watched, axe, path, scheme):
    page = watched.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(path)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".waiting, [aria-busy=true]")).to_have_count(0)
    page.evaluate(axe)
    found = page.evaluate("axe.run().then((result) => result.violations)")
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []
