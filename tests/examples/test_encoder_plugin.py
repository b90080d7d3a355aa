"""The example plug-in, installed as anybody would, and used by its name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples/encoder_plugin"
USE = """
import conceptome as cm
adata = cm.data.demo()
encoder = cm.encoders.fit("random_projection", adata, seed=1)
encoder.save("saved")
again = cm.encoders.from_spec("random_projection:saved", adata)
assert again.encoder_id == encoder.encoder_id
print(type(again).__module__, cm.testing.check_encoder(again, adata))
"""


def run(folder, *arguments):
    env = {**os.environ, "PYTHONPATH": str(folder / "target")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A copy is built, so that no traces are left in the folder; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("plugin")
    traces = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(FOLDER, folder / "source", ignore=traces)
    install = ["-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index"]
    done = run(folder, *install, "--target", "target", "./source")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_is_found_by_name_and_keeps_the_contract(installed):
    done = run(installed, "-c", USE)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "random_projection random_projection keeps all 17 promises that were checked.\n"


def test_its_own_test_passes(installed):
    done = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "source")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_fits_on_a_page():
    lines = (FOLDER / "random_projection.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 60
