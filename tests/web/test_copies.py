"""Copies of an atlas: what is in them, what is left out, and that nothing but the client runs in them."""

import base64
import gzip
import hashlib
import json
import re
import struct
from html.parser import HTMLParser

import numpy as np
import pytest

from conceptome import atlas, web
from conceptome.atlas import selection
from conceptome.atlas.packing import pack_column, split_column, unpack_column
from conceptome.cli import main
from conceptome.core import BundleError, InputError
from conceptome.web import copy_page
from conceptome.web.copy_form import Excerpt, Form, rounded


def unpacked(shard):
    raw = gzip.decompress(shard)
    (length,) = struct.unpack_from("<I", raw)
    head = json.loads(raw[4 : 4 + length])
    return {address: raw[4 + length + at : 4 + length + at + size] for address, (at, size) in head.items()}


@pytest.fixture(scope="module")
def folder(small_bundle, tmp_path_factory):
    return web.export_folder(small_bundle, tmp_path_factory.mktemp("copies") / "copy")


def answers_in(folder):
    """Every answer of a folder by its address."""
    shards = [unpacked(path.read_bytes()) for path in (folder / "data").iterdir()]
    return {address: answer for shard in shards for address, answer in shard.items()}


@pytest.fixture(scope="module")
def answers(folder):
    return answers_in(folder)


def test_what_is_shipped_is_what_the_server_answers(client, answers):
    addresses = [
        address for address in answers if not re.match(r"(cells|groups)/|meta|search|shown", address)
    ]
    assert len(addresses) > 30
    for address in addresses:
        assert answers[address] == client.get(f"/api/v1/{address}").content, address
    meta, served = json.loads(answers["meta"]), client.get("/api/v1/meta").json()
    assert meta.pop("annotations") == {
        "writable": False,
        "reason": "This is a copy to read. Annotate in the atlas itself, with: conceptome serve",
    }
    assert served.items() >= meta.items()


def test_cells_of_a_copy_have_the_concepts_of_the_atlas(small_bundle, answers):
    ends = np.frombuffer(answers["cells/0/ends"], "<u4")
    assert ends.tolist() == list(range(1, 21))
    assert np.frombuffer(answers["cells/0/concepts"], "<u4").tolist() == [0] * 10 + [1] * 10
    assert np.frombuffer(answers["cells/0/values"], "<f4").tolist() == [1.0] * 10 + [2.0] * 10
    assert json.loads(answers["shown"])["columns"] == {
        "concept": [0, 1, 2],
        "n_active": [10, 10, 0],
        "total": [10.0, 20.0, 0.0],
    }
    with atlas.Atlas.open(small_bundle) as opened:
        group = selection.group(opened, "cell_type", 0)["concepts"]
    table = json.loads(answers["groups/cell_type"])["columns"]
    assert dict(zip(group["concept"], group["n_active"], strict=True)) == {0: 10}
    assert (table["concept"], table["code"], table["n_active"]) == ([0, 1], [0, 1], [10, 10])


def test_the_same_atlas_gives_the_same_bytes(small_bundle, folder, tmp_path):
    again = web.export_folder(small_bundle, tmp_path / "again")
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert files
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)


class Page(HTMLParser):
    """The scripts, styles and texts of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.found, self.at, self.policy, self.tags = [], None, "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag in ("script", "style", "title"):
            self.at = (tag, given)

    def handle_endtag(self, tag):
        self.at = None

    def handle_data(self, data):
        if self.at:
            self.found.append((*self.at, data))


@pytest.fixture(scope="module")
def page(small_bundle, tmp_path_factory):
    place = web.export_html(small_bundle, tmp_path_factory.mktemp("copies") / "copy.html")
    return place.read_text("utf-8")


def test_only_the_client_itself_may_run(page):
    found = Page(page)
    policy = dict(part.split(" ", 1) for part in found.policy.split("; "))
    run = [text for tag, given, text in found.found if tag == "script" and given.get("type") == "module"]
    (style,) = [text for tag, _, text in found.found if tag == "style"]
    digests = [hashlib.sha256(text.encode()).digest() for text in (*run, style)]
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    assert policy == {
        **dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'"),
        **dict(zip(("script-src", "style-src"), hashes, strict=True)),
        "img-src": "data: blob:",
        "worker-src": "blob:",
    }
    kinds = {given.get("type") for tag, given, _ in found.found if tag == "script"}
    assert kinds == {"module", "application/json", "text/plain"}
    assert not re.search(r'(src|href|action)="(?!data:,")', page.split('<script type="application/json"')[0])


def test_the_folder_may_ask_its_own_site_and_nobody_else(folder):
    policy = Page((folder / "index.html").read_text("utf-8")).policy
    assert "connect-src 'self'" in policy.split("; ")


def test_texts_from_data_stay_texts(page):
    found = Page(page)
    assert "img" not in found.tags
    assert ("title", {}, "<img src=x onerror=alert(1)>") in found.found
    for _, given, text in found.found:
        if given.get("type") == "text/plain" and given["id"] != "worker":
            assert re.fullmatch(r"[A-Za-z0-9+/=]+", text)
    assert copy_page.embedded_json({"x": "</script><!--"}) == '{"x":"\\u003c/script>\\u003c!--"}'


def test_a_client_that_cannot_stand_in_a_page_is_refused(tmp_path):
    (tmp_path / "assets").mkdir()
    page = (
        '<script type="module" crossorigin src="/assets/a.js"></script>'
        '<link rel="stylesheet" href="/assets/a.css">'
    )
    (tmp_path / "index.html").write_text(page)
    for name, text in {"a.js": "'</SCRIPT>'", "a.css": "", "worker-1.js": ""}.items():
        (tmp_path / "assets" / name).write_text(text)
    with pytest.raises(
        BundleError, match="The browser client holds '</SCRIPT', which cannot stand in a page"
    ):
        copy_page.page_parts("", {}, asks=False, client=tmp_path)
    with pytest.raises(BundleError, match=r"has no browser client to copy\. Build it with: make client"):
        copy_page.page_parts("", {}, asks=False, client=tmp_path / "assets")


@pytest.fixture(scope="module")
def thinned(demo_bundle, tmp_path_factory):
    form = Form(
        n_concepts=3,
        n_cells=50,
        n_pairs=2,
        n_map_values=400,
        n_others=3,
        n_other_concepts=1,
        n_curves=1,
        digits=4,
    )
    place = web.export_folder(demo_bundle, tmp_path_factory.mktemp("copies") / "thinned", form=form)
    with atlas.Atlas.open(demo_bundle) as opened:
        yield place, Excerpt(opened, form)


def test_a_thinned_copy_says_what_it_lacks(thinned):
    place, excerpt = thinned
    about = json.loads(re.search(r'id="copy">([^<]*)<', (place / "index.html").read_text("utf-8"))[1])
    assert about["notes"][1:] == [
        "It has the 3 concepts of the highest score, of 16.",
        f"It shows {len(excerpt.cells)} of 700 cells: spread evenly over the map, the strongest of each "
        "concept, and those of pairs. Counts and statistics are of all cells, but for selections.",
        "Of each concept it has at most 2 pairs of cells.",
        "Of each concept it lists the genes that drive, the terms that were found, and the 3 strongest "
        "others; genes that no concept lists are left out.",
        "Of each gene and term it lists the concepts that it drives or was found for, and 1 others.",
        "Of each concept 1 terms have a running sum.",
        f"It has maps of at most {400 // len(excerpt.cells)} genes, those that drive most concepts.",
        "Numbers have 4 significant digits.",
    ]
    assert 50 < len(excerpt.cells) <= 50 + 3 * (20 + 4)


def test_cells_of_a_thinned_copy_are_renumbered_everywhere(thinned):
    place, excerpt = thinned
    opened = excerpt.atlas
    answers = answers_in(place)
    names = json.loads(answers["cells/0/names"])
    assert np.frombuffer(answers["coords"], "<u2").reshape(-1, 2).tolist() == (
        opened.array("coords.u16")[excerpt.cells].tolist()
    )
    for concept in excerpt.concepts.tolist():
        pairs = json.loads(answers[f"concepts/{concept}/pairs"])["columns"]
        assert [names[cell] for cell in pairs["factual"]] == pairs["factual_id"]
        assert len(pairs["number"]) == 2
        shown, levels, largest = split_column(answers[f"concepts/{concept}/activations"])
        cells, all_levels, all_largest = split_column(opened.unpacked("activations", concept))
        assert largest == all_largest
        expected = dict(zip(cells.tolist(), all_levels.tolist(), strict=True))
        assert dict(zip(excerpt.cells[shown].tolist(), levels.tolist(), strict=True)) == {
            cell: level for cell, level in expected.items() if excerpt.place[cell] >= 0
        }
    kept = set(excerpt.concepts.tolist())
    assert set(json.loads(answers["concepts"])["columns"]["concept"]) == kept
    assert set(np.frombuffer(answers["cells/0/concepts"], "<u4").tolist()) <= kept
    assert sum(name.endswith("/expression") for name in answers) == 400 // len(excerpt.cells) > 1
    gene = json.loads(answers["genes/0"])["concepts"]["columns"]
    assert set(gene["concept"]) <= kept
    assert gene["drives"].count(0) <= 1


def test_rounding_keeps_whole_numbers_and_texts():
    content = {"a": [1.23456789, 1234567, None, True, "1.23456789"], "b": 1e-300}
    assert rounded(content, 4) == {"a": [1.235, 1234567, None, True, "1.23456789"], "b": 1e-300}
    assert rounded(content, None) is content


def test_the_command_writes_both_forms(small_bundle, tmp_path, capsys):
    file, copy = tmp_path / "x.html", tmp_path / "x"
    assert main(["export", str(small_bundle), "--html", str(file)]) == 0
    assert main(["export", str(small_bundle), "--folder", str(copy), "--cells", "5"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Copy: {file} (0.")
    assert f"python -m http.server --directory {copy}\n" in out
    assert main(["export", str(small_bundle), "--folder", str(copy)]) == 1
    assert main(["export", str(small_bundle), "--html", str(tmp_path)]) == 1
    assert main(["export", str(small_bundle), "--html", str(file), "--cells", "0"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"conceptome: {copy} exists and is not empty. Choose another name, or remove it.",
        f"conceptome: {tmp_path} is a folder, expected the name of a file to write, such as "
        f"{tmp_path / 'name'}.",
        "conceptome: n_cells is 0, expected 1 or more.",
    ]


def test_a_failed_copy_leaves_nothing(small_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("conceptome.web.copying.pack_shard", lambda answers: 1 / 0)
    for export in (web.export_folder, web.export_html):
        with pytest.raises(ZeroDivisionError):
            export(small_bundle, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_columns_are_taken_apart_and_put_together():
    blob = pack_column(np.array([3, 500, 90_000]), np.array([1.0, 2.0, 4.0]))
    cells, levels, largest = split_column(gzip.decompress(blob))
    assert (cells.tolist(), levels.tolist(), largest) == ([3, 500, 90_000], [64, 128, 255], 4.0)
    assert unpack_column(blob)[1].tolist() == pytest.approx([64 / 255 * 4, 128 / 255 * 4, 4.0])


def test_a_form_that_keeps_nothing_is_refused():
    with pytest.raises(InputError, match="n_pairs is 0, expected 1 or more"):
        Form(n_pairs=0)
