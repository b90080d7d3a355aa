"""Atlases that are not what they should be are refused before anything is served."""

import gzip
import json
import os
import shutil
import sqlite3
import struct

import numpy as np
import pytest

from conceptome import atlas
from conceptome.atlas import manifest, reader
from conceptome.core import BundleError, InputError


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "copy.atlas")


def rewrite(folder, **changes):
    """Write another manifest, with a digest that fits it."""
    content = json.loads((folder / "manifest.json").read_text())
    content.update(changes)
    (folder / "manifest.json").write_text(manifest.manifest_text(content))


def recorded(folder):
    return json.loads((folder / "manifest.json").read_text())


def refusal(folder):
    with pytest.raises(BundleError) as caught:
        atlas.Atlas.open(folder)
    return str(caught.value)


def damaged(folder, why):
    return f"{folder} is damaged: {why}. Build it again, or copy it again from where it came."


def test_what_is_no_atlas(tmp_path):
    assert refusal(tmp_path) == (
        f"{tmp_path} is no atlas: it has no manifest.json. Make one with: "
        f"conceptome build RUN --out {tmp_path}"
    )
    (tmp_path / "manifest.json").write_text('{"schema_version": 1, "stages": {}}')
    assert refusal(tmp_path) == (
        f"{tmp_path} is a run, not an atlas. Name its atlas, {tmp_path / 'atlas'}; if it has none, make it "
        f"with: conceptome build {tmp_path}"
    )
    (tmp_path / "manifest.json").write_text('{"schema_version": 1}')
    assert refusal(tmp_path) == (
        f"{tmp_path} is no atlas: its manifest.json describes something else. Name the folder of an atlas."
    )


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\xff", ""])
def test_a_manifest_that_is_no_json(copy, text):
    (copy / "manifest.json").write_text(text, encoding="latin-1")
    assert refusal(copy).startswith(f"{copy} is damaged: manifest.json is no JSON: ")


def test_a_changed_manifest(copy):
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"title": "demo"', '"title": "other"'))
    assert refusal(copy) == damaged(copy, "manifest.json was changed after it was written")


def test_a_huge_manifest(copy, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", 2**10)
    assert refusal(copy) == damaged(copy, "manifest.json is larger than 0 MB")


def test_a_newer_schema(copy):
    rewrite(copy, schema_version=3)
    assert refusal(copy) == (
        f"{copy} has schema version 3; this Conceptome reads up to 2. Install a newer Conceptome, or build "
        "the atlas again with this one."
    )
    rewrite(copy, schema_version="1")
    assert refusal(copy) == damaged(copy, "manifest.json has schema version '1'")


def test_a_manifest_without_facts(copy):
    content = recorded(copy)
    del content["dictionary_id"], content["digest"]
    (copy / "manifest.json").write_text(manifest.manifest_text(content))
    assert refusal(copy) == damaged(copy, "manifest.json lacks dictionary_id")


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "obs/../../x.u16", "obs\\x.u16", "a/b.u16"])
def test_names_that_lead_out_of_the_folder(copy, name):
    files = recorded(copy)["files"]
    rewrite(copy, files={**files, name: {"bytes": 1, "sha256": ""}})
    assert refusal(copy) == damaged(copy, f"manifest.json names the file {name!r}")


def test_declared_sizes_are_never_allocated(copy):
    content = recorded(copy)
    content["arrays"]["coords.u16"]["shape"] = [10**18, 10**18]
    rewrite(copy, arrays=content["arrays"])
    size = content["files"]["coords.u16"]["bytes"]
    assert refusal(copy) == damaged(
        copy, f"coords.u16 has {size} bytes, its shape needs 2000000000000000000000000000000000000"
    )
    content["arrays"]["coords.u16"]["shape"] = [700, 2]
    content["files"]["activations.bin"]["bytes"] = 10**15
    rewrite(copy, arrays=content["arrays"], files=content["files"])
    true = (copy / "activations.bin").stat().st_size
    assert refusal(copy) == damaged(
        copy, f"activations.bin has {true:,} bytes, its manifest says 1,000,000,000,000,000"
    )


@pytest.mark.parametrize("name", ["coords.u16", "meta.sqlite", "obs/cell_type.u16", "base.png"])
def test_a_missing_file(copy, name):
    (copy / name).unlink()
    assert refusal(copy) == damaged(copy, f"{name} is missing")


def test_a_file_that_the_manifest_does_not_name(copy):
    content = recorded(copy)
    del content["files"]["base.png"]
    rewrite(copy, files=content["files"])
    assert refusal(copy) == damaged(copy, "its manifest does not name base.png")


@pytest.mark.parametrize("name", ["coords.u16", "meta.sqlite", "manifest.json"])
def test_links_are_not_followed(copy, name, tmp_path):
    moved = (copy / name).rename(tmp_path / "elsewhere")
    (copy / name).symlink_to(moved)
    assert refusal(copy) == damaged(copy, f"{name} is a link; an atlas holds its own files")


def test_a_linked_folder_is_not_followed(copy, tmp_path):
    moved = (copy / "obs").rename(tmp_path / "elsewhere")
    (copy / "obs").symlink_to(moved)
    assert "is a link; an atlas holds its own files" in refusal(copy)


@pytest.mark.parametrize("name", ["coords.u16", "thumbs.bin", "meta.sqlite", "obs/depth.f32"])
def test_a_flipped_byte(copy, name):
    raw = bytearray((copy / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / name).write_bytes(raw)
    assert refusal(copy) == damaged(copy, f"the bytes of {name} are not those that were written")


def test_every_flipped_byte_of_large_files_is_found_by_check(copy, monkeypatch):
    monkeypatch.setattr(reader, "SMALL_BYTES", 0)
    content = recorded(copy)
    for name in content["files"]:
        raw = (copy / name).read_bytes()
        changed = bytearray(raw)
        changed[-1] ^= 128
        (copy / name).write_bytes(changed)
        with pytest.raises(BundleError):
            atlas.check(copy)
        (copy / name).write_bytes(raw)
    assert atlas.check(copy).startswith(f"{copy} is whole: {len(content['files'])} files, ")


@pytest.mark.parametrize("position", [0, 100, 1000, -1])
def test_every_flipped_byte_of_the_manifest_is_found(copy, position):
    raw = bytearray((copy / "manifest.json").read_bytes())
    raw[position] ^= 1
    (copy / "manifest.json").write_bytes(raw)
    with pytest.raises(BundleError):
        atlas.check(copy)


def test_check_names_what_does_not_belong(copy):
    (copy / "notes.txt").write_text("mine")
    assert atlas.check(copy).endswith("Not part of it: notes.txt.")


def alter_database(folder, *statements):
    with sqlite3.connect(folder / "meta.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    content = recorded(folder)
    content["files"]["meta.sqlite"] = {
        "bytes": (folder / "meta.sqlite").stat().st_size,
        "sha256": manifest.checksum(folder, "meta.sqlite"),
    }
    rewrite(folder, files=content["files"])


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW spy AS SELECT id FROM cells",
        "CREATE TRIGGER t AFTER INSERT ON cells BEGIN DELETE FROM cells; END",
        "CREATE TABLE more (x)",
        "DROP TABLE pairs",
        "ALTER TABLE genes ADD COLUMN more TEXT",
    ],
)
def test_a_database_with_another_schema(copy, statement):
    alter_database(copy, statement)
    assert refusal(copy) == damaged(copy, "meta.sqlite has other tables than schema 2")


def test_a_database_that_is_none(copy):
    (copy / "meta.sqlite").write_bytes(b"no database at all")
    alter = recorded(copy)
    alter["files"]["meta.sqlite"] = {"bytes": 18, "sha256": manifest.checksum(copy, "meta.sqlite")}
    rewrite(copy, files=alter["files"])
    assert refusal(copy) == damaged(copy, "meta.sqlite: file is not a database")


def test_an_index_that_leads_out_of_its_pack(copy):
    raw = bytearray((copy / "activations_index.u64").read_bytes())
    raw[-8:] = (10**9).to_bytes(8, "little")
    (copy / "activations_index.u64").write_bytes(raw)
    content = recorded(copy)
    content["files"]["activations_index.u64"]["sha256"] = manifest.checksum(copy, "activations_index.u64")
    rewrite(copy, files=content["files"])
    assert refusal(copy) == damaged(copy, "activations_index.u64 does not fit activations.bin")


def replace_file(folder, name, raw):
    (folder / name).write_bytes(raw)
    content = recorded(folder)
    content["files"][name] = {"bytes": len(raw), "sha256": manifest.checksum(folder, name)}
    rewrite(folder, files=content["files"])


@pytest.mark.parametrize(
    ("blob", "fault"),
    [
        (gzip.compress(bytes(10**7)), "holds more than 4,208 bytes"),
        (gzip.compress(bytes(20))[:-4], "is no whole gzip"),
        (b"no gzip at all", "is no gzip: Error -3"),
        (gzip.compress(struct.pack("<If", 3, 1.0) + bytes(4)), "does not hold the cells that it says"),
        (gzip.compress(struct.pack("<If", 2**31, 1.0) + bytes(9)), "does not hold the cells that it says"),
    ],
)
def test_a_blob_that_unpacks_to_something_else(copy, blob, fault):
    n = recorded(copy)["n_concepts"]
    replace_file(copy, "activations.bin", blob)
    replace_file(copy, "activations_index.u64", struct.pack(f"<{n + 1}Q", 0, *[len(blob)] * n))
    message = f"number 0 of activations.bin {fault}"
    with atlas.Atlas.open(copy) as opened, pytest.raises(BundleError, match=message):
        opened.blob("activations", 0)
    with pytest.raises(BundleError, match=message):
        atlas.check(copy)


def test_a_sheet_of_another_size(copy):
    blob = gzip.compress(bytes(100))
    replace_file(copy, "thumbs.bin", blob)
    replace_file(copy, "thumbs_index.u64", struct.pack("<2Q", 0, len(blob)))
    with pytest.raises(BundleError, match=r"number 0 of thumbs\.bin has 100 bytes, expected 73,728"):
        atlas.check(copy)


@pytest.mark.parametrize(("name", "value"), [("csr_index.uint", 0xFFFF), ("csr_indptr.u64", 2**40)])
def test_cells_with_concepts_that_are_none(copy, name, value):
    raw = np.frombuffer((copy / name).read_bytes(), recorded(copy)["arrays"][name]["dtype"]).copy()
    raw[len(raw) // 2] = value
    replace_file(copy, name, raw.tobytes())
    with atlas.Atlas.open(copy) as opened, pytest.raises(BundleError) as caught:
        atlas.require_whole(opened)
    assert str(caught.value) == damaged(copy, "the concepts of its cells are not those of the atlas")


@pytest.mark.parametrize("table", ["facts", "genes"])
def test_more_rows_than_were_written(copy, table):
    alter_database(copy, "DELETE FROM facts" if table == "facts" else "DELETE FROM genes WHERE gene = 0")
    assert f"{table}, not " in refusal(copy)


def test_a_text_too_long_for_a_table(copy):
    alter_database(copy, "UPDATE concepts SET auto_name = printf('%.*c', 20000000, 'x') WHERE concept = 0")
    with pytest.raises(BundleError, match="string or blob too big"):
        atlas.check(copy)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(copy):
    (copy / "base.png").unlink()
    os.mkfifo(copy / "base.png")
    assert refusal(copy) == damaged(copy, "base.png is no regular file")


def test_nothing_can_be_written_through_it(bundle):
    with (
        atlas.Atlas.open(bundle) as opened,
        pytest.raises(sqlite3.OperationalError, match="readonly database"),
    ):
        opened.rows("DELETE FROM cells")


def test_what_is_not_there_is_refused(bundle):
    with atlas.Atlas.open(bundle) as opened:
        with pytest.raises(InputError) as caught:
            opened.blob("activations", opened.n_concepts)
        n = opened.n_concepts
        assert str(caught.value) == f"The atlas has {n} entries in activations, not number {n}."
        with pytest.raises(InputError, match=r"^The atlas has no secret\.txt\.$"):
            opened.read("secret.txt")
    with pytest.raises(InputError, match=r" is closed\. Open it again\.$"):
        opened.rows("SELECT 1")


def test_describe_tells_what_is_in_it(bundle):
    text = atlas.describe(bundle)
    assert text.startswith(f"{bundle}: atlas of demo (700 cells, ")
    assert "  cell_type: categorical (label)" in text
    assert "  no stability: One seed was trained. Run again with --n-seeds 5." in text
    assert text.endswith(f"Next: conceptome check {bundle}, or conceptome serve {bundle}")


def test_describe_counts_what_people_wrote(copy):
    for dictionary, concept in ((recorded(copy)["dictionary_id"], 1), ("another", 2), ("another", 3)):
        with atlas.Annotations.beside(copy, dictionary) as store:
            store.save(atlas.Annotation(concept, "Ada", f"key-of-{concept:04d}"))
    place = copy.with_name("copy.atlas.annotations.sqlite")
    expected = f"  annotations: 1 concepts, and 2 of other dictionaries, which are not shown ({place})"
    assert expected in atlas.describe(copy).splitlines()


def test_is_atlas(bundle, tmp_path):
    assert atlas.is_atlas(bundle)
    assert not atlas.is_atlas(tmp_path)
