"""What is published: everything that runs, and the built browser client, without node."""

import importlib.util
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
STATIC = "conceptome/web/static"


def source_files(folder):
    """Every file of a folder of the repository that is no cache."""
    paths = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    left_out = {"__pycache__", "node_modules"}
    return {path.relative_to(ROOT).as_posix() for path in paths if not left_out & set(path.parts)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("wheel"))
    (place,) = WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    with zipfile.ZipFile(place) as opened:
        yield opened


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {name.removeprefix("src/") for name in source_files("src/conceptome")}


def test_the_wheel_has_the_client_that_was_committed(wheel):
    built = [name for name in wheel.namelist() if name.startswith(STATIC)]
    assert f"{STATIC}/index.html" in built
    assert {Path(name).suffix for name in built} >= {".js", ".css", ".html"}
    for name in built:
        assert wheel.read(name) == (ROOT / "src" / name).read_bytes()


def test_the_source_package_can_build_the_client_again(tmp_path):
    (place,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(place) as opened:
        names = {name.split("/", 1)[1] for name in opened.getnames() if "/" in name}
    assert source_files("client") <= names
    assert {"hatch_build.py", "LICENSE", "client/package-lock.json", "pyproject.toml"} <= names
    assert not [name for name in names if "node_modules" in name]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository with a client, and an npm that writes down how it was called."""
    static = tmp_path / "src" / STATIC
    static.mkdir(parents=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    npm = tools / "npm"
    npm.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "calls"}\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.defpath}")
    monkeypatch.delenv("CONCEPTOME_BUILD_CLIENT", raising=False)
    return tmp_path


def run_hook(root):
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ClientBuild(str(root), {}, None, None, "", "wheel").initialize("standard", {})
    calls = root / "calls"
    return calls.read_text().splitlines() if calls.exists() else []


def test_a_client_that_is_there_is_not_built_again(tree):
    (tree / "src" / STATIC / "index.html").write_text("built")
    assert run_hook(tree) == []


@pytest.mark.parametrize("force", [False, True])
def test_a_client_that_is_missing_or_asked_for_is_built(tree, monkeypatch, force):
    if force:
        (tree / "src" / STATIC / "index.html").write_text("built")
        monkeypatch.setenv("CONCEPTOME_BUILD_CLIENT", "1")
    prefix = f"--prefix {tree / 'client'}"
    assert run_hook(tree) == [f"{prefix} install --no-save --no-audit --no-fund", f"{prefix} run build"]


def test_without_npm_the_hook_says_what_to_do(tree, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"npm is not found\. Install Node\.js 20 or newer"):
        run_hook(tree)


def test_a_client_that_does_not_build_stops_the_package(tree):
    (tree / "tools" / "npm").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        run_hook(tree)
