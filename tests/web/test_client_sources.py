"""The built client is that of the sources, keeps its colours and its promises about safety."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from conceptome.plotting import style

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "client"
STATIC = ROOT / "src" / "conceptome" / "web" / "static"
REBUILD = "Build the client again and commit what it writes: make client"


def source_hash():
    """Do what client/sources.ts does."""
    paths = [path for path in CLIENT.rglob("*") if path.is_file()]
    names = {path.relative_to(CLIENT).as_posix(): path for path in paths if "node_modules" not in path.parts}
    lines = [f"{name} {hashlib.sha256(names[name].read_bytes()).hexdigest()}\n" for name in sorted(names)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sources(pattern):
    return {path: path.read_text() for path in (CLIENT / "src").rglob(pattern)}


def test_the_built_files_are_those_of_the_sources():
    assert (STATIC / "SOURCES.sha256").read_text().strip() == source_hash(), REBUILD


def files_under(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(
    not (CLIENT / "node_modules").is_dir(), reason="the client's packages are not installed: make client"
)
def test_building_again_gives_the_same_files(tmp_path):
    npx = shutil.which("npx")
    assert npx, "client/node_modules is there, but no npx"
    build = [npx, "vite", "build", "--logLevel", "error", "--outDir", str(tmp_path / "built")]
    subprocess.run(build, cwd=CLIENT, check=True, timeout=240)
    built, committed = files_under(tmp_path / "built"), files_under(STATIC)
    assert built.keys() == committed.keys(), REBUILD
    assert built == committed, REBUILD


def test_every_address_in_the_start_page_is_a_file_of_its_own():
    page = (STATIC / "index.html").read_text()
    found = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert found
    for address in found:
        assert (STATIC / address.removeprefix("/")).is_file()
    assert "<style" not in page
    assert " style=" not in page
    assert not re.search(r"<script(?![^>]* src=)", page)


def test_no_text_is_ever_read_as_html_and_no_type_is_any():
    raw = ("{@html", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
    for path, text in {**sources("*.svelte"), **sources("*.ts")}.items():
        assert not [found for found in raw if found in text], path
        assert not re.search(r":\s*any\b|as any\b|<any>|@ts-ignore", text), path
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), path
        assert "https://" not in text, path


def test_source_files_are_short():
    for path, text in {**sources("*.svelte"), **sources("*.ts")}.items():
        assert text.count("\n") <= 300, path


def palette(name):
    text = (CLIENT / "src" / "palette.ts").read_text()
    block = re.search(rf"export const {name}\b[^=]*= [\[{{](.*?)[\]}}];", text, re.DOTALL)
    return block[1]


def colours(text):
    return np.array([[int(hexa[i : i + 2], 16) for i in (1, 3, 5)] for hexa in re.findall(r"#\w+", text)])


def test_colours_are_those_of_the_plots():
    light = dict(re.findall(r"(\w+): \"(#\w+)\"", palette("LIGHT")))
    names = ("ink", "muted", "rule", "band", "base", "supports", "opposes")
    assert {name: light[name] for name in names} == {name: getattr(style, name.upper()) for name in names}
    assert tuple(re.findall(r"#\w+", palette("CATEGORIES"))) == style.CATEGORIES


def test_activations_have_the_colours_of_the_plots():
    corners = colours(palette("ACTIVATION_LIGHT"))
    at = np.linspace(0, 1, len(corners))
    ours = np.stack([np.interp(np.linspace(0, 1, 128), at, channel) for channel in corners.T], axis=1)
    theirs = np.array([colour[:3] for colour in style.activation_colours().colors]) * 255
    assert np.abs(ours - theirs).max() < 6


def contrast(one, other):
    channel = colours(f"{one} {other}") / 255
    linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
    dark, bright = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["LIGHT", "DARK"])
def test_texts_and_marks_stand_out_from_every_ground(name):
    tokens = dict(re.findall(r"(\w+): \"(#\w+)\"", palette(name)))
    for ground in ("page", "surface", "band"):
        for text in ("ink", "muted", "supports", "alarm"):
            assert contrast(tokens[text], tokens[ground]) >= 4.5, (text, ground)
        assert contrast(tokens["opposes"], tokens[ground]) >= 3, ground
