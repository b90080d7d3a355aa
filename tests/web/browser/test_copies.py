"""Copies of an atlas in a real browser: a file from the disk, a folder from a server of plain files."""

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from conceptome import atlas, web

PATHS = (
    *(
        "/",
        "/concepts",
        "/concepts/0",
        "/genes/0",
        "/genes/CD79A",
        "/terms/0",
        "/groups/cell_type/0",
        "/cells/0",
    ),
    *(
        "/search?q=comp",
        "/selection?lasso=7ps-7ps.1bwk-7ps.1bwk-1bwk.7ps-1bwk",
        "/nowhere",
        "/concepts/99999",
    ),
)


@pytest.fixture(scope="module")
def file_copy(demo_bundle, tmp_path_factory):
    """A file; somebody had written about its concept 5."""
    folder = tmp_path_factory.mktemp("copies")
    annotated = shutil.copytree(demo_bundle, folder / "demo.atlas")
    said = atlas.Annotation(
        concept=5, author="Ada", key="key-of-ada", notes="<b>GNLY</b>", interpretability=4
    )
    with atlas.Annotations.beside(annotated, atlas_id(annotated)) as store:
        store.save(said)
    return web.export_html(annotated, folder / "demo #1.html")


def atlas_id(place):
    with atlas.Atlas.open(place) as opened:
        return opened.dictionary_id


@pytest.fixture(scope="module")
def folder_copy(demo_bundle, tmp_path_factory):
    """Address of a folder below the root of a server that only sends files."""
    root = tmp_path_factory.mktemp("host")
    web.export_folder(demo_bundle, root / "atlas")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/atlas/"
    server.shutdown()
    thread.join()


def seen(page, address):
    """Open a page and read what it says, but for the form of annotations."""
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".waiting, [aria-busy=true]")).to_have_count(0)
    return page.evaluate("""() => {
        document.querySelector("aside")?.remove();
        return document.getElementById("main").innerText;
    }""")


@pytest.mark.parametrize("path", PATHS)
def test_a_folder_on_a_plain_server_says_what_the_server_says(watched, site, folder_copy, path):
    texts = [seen(watched.page, address) for address in (path, f"{folder_copy}#{path}")]
    if path.startswith("/search"):  # its order is its own
        texts = [sorted(text.splitlines()) for text in texts]
    assert texts[1] == texts[0]
    assert watched.troubles == []


def test_a_file_from_the_disk_shows_every_page_and_asks_for_nothing(watched, file_copy):
    page = watched.page
    for path in PATHS:
        assert len(seen(page, f"{file_copy.as_uri()}#{path}")) > 20
    asked = {address for address in watched.addresses if not address.startswith(("data:", "blob:"))}
    assert {address.split("#")[0] for address in asked} <= {file_copy.as_uri(), "about:blank"}
    assert watched.troubles == []


def test_a_reader_of_a_file_finds_a_gene_its_concept_and_the_notice(watched, file_copy):
    page = watched.page
    page.goto(file_copy.as_uri())
    expect(page.get_by_role("contentinfo")).to_contain_text("A copy of atlas ")
    page.keyboard.press("/")
    page.keyboard.type("cd79")
    page.get_by_role("option").filter(has_text="CD79A").first.click()
    expect(page.locator("h1")).to_have_text("CD79A")
    assert page.url.endswith("#/genes/" + page.url.rsplit("/", 1)[1])
    page.locator("a[href^='#/concepts/']").last.click()
    expect(page.locator("h1")).to_contain_text("component")
    expect(page.locator("canvas[data-drawn]").first).to_be_visible()
    expect(page.get_by_text("This is a copy to read.")).to_be_visible()
    page.go_back()
    expect(page.locator("h1")).to_have_text("CD79A")
    page.reload()
    expect(page.locator("h1")).to_have_text("CD79A")
    assert watched.troubles == []


@pytest.mark.parametrize(
    "panel", ["Genes that drive it", "What changed between pairs of cells", "What its genes are known for"]
)
def test_tables_are_saved_as_the_server_writes_them(watched, site, folder_copy, panel):
    page, files = watched.page, []
    for address in ("/concepts/0", f"{folder_copy}#/concepts/0"):
        page.goto(address)
        region = page.get_by_role("region", name=panel)
        with page.expect_download() as waiting:
            region.get_by_role("button", name="CSV").click()
        files.append(
            (waiting.value.suggested_filename, numbers_alike(waiting.value.path().read_text("utf-8")))
        )
    assert files[1] == files[0]


def numbers_alike(text):
    """Write every number in one form: Python and JavaScript write 1e-05 and 0.00001."""
    lines = []
    for line in text.lstrip("\ufeff").splitlines():
        cells = []
        for cell in line.split(","):
            try:
                cells.append(repr(float(cell)))
            except ValueError:
                cells.append(cell)
        lines.append(cells)
    return lines


def test_what_people_wrote_can_be_read_in_a_copy(watched, file_copy):
    page = watched.page
    page.goto(f"{file_copy.as_uri()}#/concepts/5")
    note = page.get_by_role("complementary", name="Annotation")
    expect(note).to_contain_text("Ada: –, interpretability 4 of 4. <b>GNLY</b>")
    expect(note.get_by_role("textbox")).to_have_count(0)
