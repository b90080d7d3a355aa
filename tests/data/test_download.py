from pathlib import Path

import pytest

from conceptome.core import InputError
from conceptome.data import Download, RemoteFile
from conceptome.data.download import size_in_words

FACTS = {"what": "a", "licence": "CC0", "source": "https://a", "reference": "b"}


def remote(name="x", size=1):
    return RemoteFile(name=name, url="https://a/x", size=size, sha256=None)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "a\\b", "..\\x", "C:x", "x\0", "//x"]
)
def test_names_that_lead_out_of_the_folder_are_refused(name):
    with pytest.raises(InputError) as caught:
        remote(name)
    expected = f"{name!r} is no file below a folder. Name it by a relative path without '..'."
    assert str(caught.value) == expected


def test_a_name_may_have_folders():
    assert remote("deep/er/x.json").name == "deep/er/x.json"


@pytest.mark.parametrize("digest", ["", "abc", "A" * 64, "0" * 63])
def test_what_is_no_checksum_is_refused(digest):
    with pytest.raises(InputError, match=r"is no SHA-256 checksum of x: 64 digits of 0-9a-f, or None\.$"):
        RemoteFile(name="x", url="https://a/x", size=1, sha256=digest)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", "-x", "a b"])
def test_a_download_is_named_like_a_folder(name):
    with pytest.raises(InputError, match="is no name of a download"):
        Download(name=name, files=(remote(),), **FACTS)


def test_a_download_has_files():
    with pytest.raises(InputError, match=r"^The download thing has no files\.$"):
        Download(name="thing", files=(), **FACTS)


def test_the_size_is_known_if_that_of_every_file_is():
    assert Download(name="a", files=(remote(), remote("y", 2)), **FACTS).size == 3
    assert Download(name="a", files=(remote(), remote("y", None)), **FACTS).size is None
    assert size_in_words(None) == "unknown size"
    assert size_in_words(565) == "565 bytes"
    assert size_in_words(206_704_197) == "206.7 MB"


def test_the_next_step_can_be_pasted_into_a_shell():
    model = Download(name="a", files=(remote(),), encoder="scvi", **FACTS)
    assert model.next_step(Path("/c/a")) == "conceptome run DATA.h5ad --out RUN --encoder scvi:/c/a"
    assert model.next_step(Path("/my c/a")).endswith("--encoder 'scvi:/my c/a'")
    table = Download(name="a", files=(remote(), remote("y")), **FACTS)
    assert table.next_step(Path("/c")) == "Read /c/x, /c/y"
