"""What a reader does, in a real browser."""

import base64
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from playwright.sync_api import expect

PAGES = {
    "/": "demo cells",
    "/concepts": "Concepts",
    "/concepts?view=gallery": "Concepts",
    "/concepts/0": "component 0",
    "/genes/0": None,
    "/terms/0": None,
    "/groups/cell_type/0": None,
    "/cells/0": None,
    "/selection": "Selected cells",
    "/search?q=comp": "comp",
    "/nowhere": "There is no such page",
    "/concepts/99999": "There is no concept 99999",
}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_fits_any_width_and_asks_nobody_else(watched, site, path):
    page = watched.page
    watched.open(path)
    if PAGES[path]:
        expect(page.locator("h1")).to_have_text(PAGES[path])
    for width in (650, 400):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    watched.keep_picture(f"{re.sub('[^a-z0-9]+', '-', path.strip('/')) or 'overview'}-narrow")
    assert watched.troubles == []
    assert all(address.startswith((site, "data:", "blob:")) for address in watched.addresses)


def test_a_gene_leads_to_the_concept_it_drives(watched):
    page = watched.page
    watched.open("/concepts/0")
    gene = page.get_by_role("region", name="Genes that drive it").locator("svg a title").first.text_content()
    page.keyboard.press("/")
    page.keyboard.type(gene)
    page.get_by_role("option").filter(has_text="Gene").first.click()
    expect(page.locator("h1")).to_have_text(gene)
    page.get_by_role("region", name="Concepts it drives").locator("a[href='/concepts/0']").first.click()
    expect(page.locator("h1")).to_have_text("component 0")
    assert page.url.endswith("/concepts/0")
    page.go_back()
    expect(page.locator("h1")).to_have_text(gene)
    assert watched.troubles == []


def colours(page):
    """Tell how many colours the map has."""
    box = page.locator("canvas[data-drawn]").first.bounding_box()
    page.mouse.move(0, 0)
    shot = page.screenshot(clip=box)
    source = f"data:image/png;base64,{base64.b64encode(shot).decode()}"
    count = """async (source) => {
        const image = new Image(); image.src = source; await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height);
        const context = canvas.getContext("2d"); context.drawImage(image, 0, 0);
        const pixels = context.getImageData(0, 0, image.width, image.height).data;
        return new Set(new Uint32Array(pixels.buffer)).size;
    }"""
    return page.context.new_page().evaluate(count, source)


def test_the_map_shows_strength_and_a_threshold_leaves_the_strongest(watched):
    page = watched.page
    watched.open("/concepts/0")
    many = colours(page)
    assert many > 100
    watched.open("/concepts/0?min=95")
    assert colours(page) < many
    assert page.get_by_label("At least").input_value() == "95"


def test_a_lasso_selects_cells_and_the_address_keeps_it(watched):
    page = watched.page
    watched.open("/concepts/0")
    page.get_by_role("button", name="Lasso").click()
    box = page.get_by_role("application").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    page.mouse.move(box["x"] + 0.02 * box["width"], box["y"] + 0.02 * box["height"])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
    page.mouse.up()
    expect(page.locator("h1")).to_have_text("700 selected cells")
    page.reload()
    expect(page.locator("h1")).to_have_text("700 selected cells")
    assert watched.troubles == []


def test_the_list_is_filtered_sorted_and_walked_by_keys(watched):
    page = watched.page
    watched.open("/concepts")
    names = page.locator("tbody a")
    expect(names.first).to_have_text("component 0")
    page.get_by_label("Sort by").select_option("concept")
    page.get_by_role("button", name="Smallest first").click()
    expect(names.first).to_have_text("component 15")
    expect(page).to_have_url(re.compile("sort=concept&falling=1"))
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("component 14")
    page.keyboard.press("j")
    expect(page.locator("h1")).to_have_text("component 13")
    expect(page.get_by_text("3 of 16 in the list")).to_be_visible()
    page.goto("/concepts?find=component 14")
    expect(page.get_by_text("1 of 16")).to_be_visible()
    page.get_by_placeholder("Name, gene, label, theme").fill("nothing like it")
    expect(page.get_by_text("No concept passes these filters.")).to_be_visible()


def test_single_keys_can_be_switched_off(watched):
    page = watched.page
    watched.open("/concepts/0")
    page.keyboard.press("?")
    page.get_by_label("Single keys do something").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("j")
    page.reload()
    page.keyboard.press("j")
    expect(page.locator("h1")).to_have_text("component 0")


def test_colours_follow_the_system_until_chosen(watched):
    page = watched.page
    page.emulate_media(color_scheme="dark")
    watched.open("/")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(ground) == "rgb(18, 21, 25)"
    page.get_by_role("button", name="Light colours").click()
    page.reload()
    watched.settled()
    assert page.evaluate(ground) == "rgb(246, 247, 248)"


def saved(page, act):
    with page.expect_download() as waiting:
        act()
    return Path(waiting.value.path()).read_bytes(), waiting.value.suggested_filename


def test_panels_are_saved_as_csv_svg_and_png(watched):
    page = watched.page
    watched.open("/concepts/0")
    panel = page.get_by_role("region", name="Genes that drive it")
    text, name = saved(page, panel.get_by_role("button", name="CSV").click)
    assert name == "concepts-0-genes.csv"
    assert text.decode().splitlines()[0].lstrip("\ufeff").startswith("gene,symbol,rank,attribution")
    drawing, name = saved(page, panel.get_by_role("button", name="SVG").click)
    assert name == "concepts-0-genes.svg"
    assert "var(" not in drawing.decode()
    assert len(ET.fromstring(drawing).findall(".//{http://www.w3.org/2000/svg}circle")) > 5
    picture, _ = saved(page, panel.get_by_role("button", name="PNG").click)
    assert picture.startswith(b"\x89PNG")
    cells = page.get_by_role("region", name="Cells in which it fires")
    picture, name = saved(page, cells.get_by_role("button", name="PNG").click)
    assert name == "concepts-0-map.png"
    assert picture.startswith(b"\x89PNG")
    drawing, _ = saved(page, cells.get_by_role("button", name="SVG").click)
    assert re.search(rb'<image [^>]*href="data:image/png;base64,', drawing)


@pytest.mark.parametrize(
    "path", ["/", "/concepts/0?beside=concept:1", "/genes/0", "/terms/0", "/groups/cell_type/0", "/cells/0"]
)
def test_every_panel_is_saved_in_every_form(watched, path):
    watched.open(path)
    panels = watched.page.locator("section[aria-busy]").all()
    assert len(panels) >= 2
    for panel in panels:
        if panel.locator(".tools").count():  # an empty panel says why, and has nothing to save
            assert [panel.get_by_role("button", name=kind).count() for kind in ("CSV", "SVG", "PNG")] >= [
                1,
                1,
                1,
            ]


def test_what_a_reader_chose_is_in_the_address_and_comes_back(watched):
    page = watched.page
    chosen = "scale=log&min=20&beside=obs%3Acell_type&names=1&table=genes.groups&term=0&pairs=15"
    address = f"/concepts/0?{chosen}&view=30000_30000_2.00"
    watched.open(address)
    said = page.locator("main").inner_text()
    page.reload()
    watched.settled()
    assert page.locator("main").inner_text() == said
    assert page.url.endswith(address)
    page.get_by_role("region", name="Genes that drive it").get_by_role("link").first.click()
    expect(page.locator("h1")).not_to_have_text("component 0")
    page.go_back()
    watched.settled()
    assert page.url.endswith(address)
    assert page.locator("main").inner_text() == said


def test_who_comes_back_is_where_they_were(watched):
    page = watched.page
    watched.open("/concepts/0")
    related = page.get_by_role("region", name="Related concepts")
    related.scroll_into_view_if_needed()
    before = page.evaluate("window.scrollY")
    assert before > 300
    related.get_by_role("link").first.click()
    expect(page.locator("h1")).not_to_have_text("component 0")
    assert page.evaluate("window.scrollY") == 0
    page.go_back()
    expect(page.locator("h1")).to_have_text("component 0")
    watched.settled()
    page.wait_for_timeout(100)
    assert abs(page.evaluate("window.scrollY") - before) < 50


def test_a_term_opens_with_its_running_sum_and_leading_edge(watched):
    page = watched.page
    watched.open("/concepts/0")
    panel = page.get_by_role("region", name="What its genes are known for")
    panel.locator("button.name").first.click()
    expect(panel.get_by_role("heading", name="Leading edge")).to_be_visible()
    expect(page).to_have_url(re.compile("term="))
    page.reload()
    expect(panel.get_by_role("heading", name="Leading edge")).to_be_visible()
