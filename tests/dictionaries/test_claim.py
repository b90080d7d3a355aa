"""A folder belongs to one task."""

import pytest

from conceptome.core import CheckpointError
from conceptome.dictionaries.claim import claim

TASK = {"task": "sweep", "seed": 0, "sizes": (8, 4)}


def test_a_folder_is_made_and_found_again(tmp_path):
    folder = claim(tmp_path / "a" / "b", TASK)
    (folder / "result").write_text("1")
    assert claim(folder, TASK) == folder
    assert (folder / "result").read_text() == "1"


def test_another_task_is_refused_by_its_differences(tmp_path):
    folder = claim(tmp_path / "a", TASK)
    with pytest.raises(CheckpointError) as error:
        claim(folder, {**TASK, "seed": 3, "k": 2})
    assert str(error.value) == (
        f"{folder} holds the results of another task: seed was 0 and is 3; k was None and is 2. Name another "
        "folder, or go on with what it was begun with."
    )


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError) as error:
        claim(tmp_path, TASK)
    assert str(error.value) == (
        f"{tmp_path} holds other files and no task.json, expected a new or empty folder. Name another folder."
    )
    with pytest.raises(CheckpointError, match="is a file, expected a new or empty folder"):
        claim(tmp_path / "thesis.tex", TASK)
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_note_is_named(tmp_path):
    folder = claim(tmp_path / "a", TASK)
    (folder / "task.json").write_text('{"task": ')
    with pytest.raises(CheckpointError, match=r"task\.json cannot be read .* Name another folder, or remove"):
        claim(folder, TASK)
