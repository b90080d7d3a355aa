import json

import pytest

from conceptome.core import BundleError
from conceptome.pipeline.folder import RunFolder, checksum, write_text


def write_stage(folder, name="embed", digest="d1", text="result"):
    with folder.writing(name, digest) as (scratch, entry):
        (scratch / "file.txt").write_text(text)
        (scratch / "sub").mkdir()
        (scratch / "sub" / "a.bin").write_bytes(b"\x00\x01")
        entry |= {"message": "done", "seconds": 0.1}


def test_a_finished_stage_is_kept_and_known_after_reopening(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        write_stage(folder)
    again = RunFolder(tmp_path / "run")
    assert again.is_done("embed", "d1")
    assert not again.is_done("embed", "d2")
    assert not again.is_done("train", "d1")
    assert not (tmp_path / "run" / ".partial").exists()


@pytest.mark.parametrize("damage", ["change", "remove", "inside a folder"])
def test_a_damaged_result_is_not_vouched_for(tmp_path, damage):
    folder = RunFolder(tmp_path)
    write_stage(folder)
    if damage == "change":
        (tmp_path / "file.txt").write_text("other")
    elif damage == "remove":
        (tmp_path / "file.txt").unlink()
    else:
        (tmp_path / "sub" / "a.bin").write_bytes(b"\x00\x02")
    assert not folder.is_done("embed", "d1")


def test_an_interrupted_stage_leaves_the_finished_one_and_no_rest(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.locked():
        write_stage(folder)
    with pytest.raises(KeyboardInterrupt), folder.locked(), folder.writing("train", "d2") as (scratch, _):
        (scratch / "half.txt").write_text("half")
        raise KeyboardInterrupt
    again = RunFolder(tmp_path)
    assert again.is_done("embed", "d1")
    assert not again.is_done("train", "d2")
    assert not list(tmp_path.rglob("half.txt"))


def test_a_repeated_stage_removes_files_it_no_longer_writes(tmp_path):
    folder = RunFolder(tmp_path)
    write_stage(folder)
    with folder.writing("embed", "d2") as (scratch, entry):
        (scratch / "new.txt").write_text("new")
        entry |= {"message": "done", "seconds": 0.1}
    assert not (tmp_path / "file.txt").exists()
    assert not (tmp_path / "sub").exists()
    assert RunFolder(tmp_path).is_done("embed", "d2")


def test_a_folder_with_other_things_is_refused_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BundleError) as error:
        RunFolder(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} is neither empty nor a run folder (no manifest.json). Choose another folder."
    )
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(BundleError, match=r"out is a file; a run needs a folder\. Choose another name\.$"):
        RunFolder(tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"stages": {}}', '"x"', '{"schema_version": 1, "stages": {"embed": {"digest": "d"}}}'],
)
def test_a_damaged_manifest_says_so(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(
        BundleError, match=r"manifest\.json is damaged .*\. Remove the folder and run again\.$"
    ):
        RunFolder(tmp_path)


def test_another_schema_version_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": 99, "stages": {}}))
    with pytest.raises(
        BundleError, match=r"has schema version 99, this Conceptome reads 1\. Use another --out\.$"
    ):
        RunFolder(tmp_path)


def test_a_second_process_is_kept_out(tmp_path):
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    with first.locked():
        (tmp_path / ".partial").mkdir()
        with pytest.raises(BundleError, match="is in use by another conceptome process"), second.locked():
            pass
        assert (tmp_path / ".partial").exists(), "the second process must not clean up after the first"
    with second.locked():
        pass


def test_checksum_sees_names_and_content(tmp_path):
    for name, content in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).mkdir()
        write_text(tmp_path / name / ("f" if name != "b" else "g"), content)
    assert len({checksum(tmp_path / name) for name in "abc"}) == 3


def test_existing_demands_a_run(tmp_path):
    with pytest.raises(BundleError) as error:
        RunFolder.existing(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} is no run folder: it has no manifest.json. "
        f"Make one with: conceptome run DATA.h5ad --out {tmp_path}"
    )
