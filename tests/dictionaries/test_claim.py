"""A folder belongs to one task, and to one process at a time."""

import subprocess
import sys
import threading

import pytest

from conceptome.core import CheckpointError
from conceptome.dictionaries.claim import claim, held

TASK = {"task": "sweep", "seed": 0, "sizes": (8, 4)}
HOLD = """
import sys
from conceptome.dictionaries.claim import held

with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def take(path, task=TASK):
    with held(path) as folder:
        claim(folder, task)
    return folder


def test_a_folder_is_made_and_found_again(tmp_path):
    folder = take(tmp_path / "a" / "b")
    (folder / "result").write_text("1")
    assert take(folder) == folder
    assert (folder / "result").read_text() == "1"


def test_another_task_is_refused_by_its_differences(tmp_path):
    folder = take(tmp_path / "a")
    with pytest.raises(CheckpointError) as error:
        take(folder, {**TASK, "seed": 3, "k": 2})
    assert str(error.value) == (
        f"{folder} holds the results of another task: seed was 0 and is 3; k was None and is 2. Name another "
        "folder, or go on with what it was begun with."
    )


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError) as error:
        take(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds other files and no task.json, expected a new or empty folder. Name another folder."
    )
    with pytest.raises(CheckpointError, match="is a file, expected a new or empty folder"):
        take(tmp_path / "thesis.tex")
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.tex"]


def test_files_with_a_dot_do_not_count(tmp_path):
    """Such as the lock of a process that was killed before it wrote its task."""
    (tmp_path / ".lock").touch()
    (tmp_path / ".DS_Store").touch()
    assert (take(tmp_path) / "task.json").is_file()


def test_a_damaged_note_is_named(tmp_path):
    folder = take(tmp_path / "a")
    (folder / "task.json").write_text('{"task": ')
    with pytest.raises(CheckpointError, match=r"task\.json cannot be read .* Name another folder, or remove"):
        take(folder)


def test_another_process_keeps_a_folder_until_it_ends(tmp_path):
    folder = tmp_path / "a"
    with held(folder), held(folder):
        assert [item.name for item in folder.iterdir()] == [".lock"]
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(CheckpointError) as error:
            take(folder)
    finally:
        other.kill()
        other.communicate()
    assert str(error.value) == (
        f"{folder} is in use by another conceptome process. Wait for it, or name another folder."
    )
    assert take(folder) == folder


def test_who_comes_at_the_same_moment_waits_or_goes_on(tmp_path):
    """The results of one never look to the other like files of somebody else."""
    messages, barrier = [], threading.Barrier(2)

    def work(number):
        for attempt in range(50):
            barrier.wait()
            try:
                with held(tmp_path / str(attempt)) as folder:
                    claim(folder, TASK)
                    (folder / f"result{number}").touch()
            except CheckpointError as error:
                messages.append(str(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("is in use by another conceptome process" in message for message in messages)
    assert len(list(tmp_path.glob("*/result*"))) == 100 - len(messages)
    assert all((folder / "task.json").is_file() for folder in tmp_path.iterdir())
