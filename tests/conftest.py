"""Fixtures for every test. Array shapes and types in annotations are checked while the tests run."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("conceptome", "beartype.beartype")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real datasets and the outputs of other people's code."""
    folder = Path(os.environ.get("CONCEPTOME_SHARED", Path(__file__).parents[2] / "shared")).resolve()
    if not (folder / "data").is_dir():
        message = f"no shared data at {folder}; set CONCEPTOME_SHARED to the folder with data/ and fixtures/"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
