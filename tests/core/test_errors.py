import importlib

import pytest

from conceptome.core import MissingExtraError, require_extra


def test_require_extra_returns_the_module():
    assert require_extra("json", "scvi") is importlib.import_module("json")


def test_require_extra_says_how_to_install():
    with pytest.raises(MissingExtraError) as error:
        require_extra("no_such_package_here", "scvi")
    assert str(error.value) == (
        "This step needs the package 'no_such_package_here', which is not installed. "
        "Run: pip install 'conceptome[scvi]'"
    )


def test_an_import_error_inside_the_dependency_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_dependency.py").write_text("import a_package_that_is_missing_too\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_missing_too"):
        require_extra("broken_dependency", "scvi")
