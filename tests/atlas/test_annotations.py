import json
import multiprocessing
import sqlite3
import threading
import time
from dataclasses import replace

import pytest

from conceptome.atlas import Annotation, Annotations, StaleRevisionError, annotation_file, csv_text
from conceptome.core import BundleError, InputError

FIRST = Annotation(
    concept=3, author="Ada", key="first-save", label="NK cells", interpretability=4, notes="GNLY"
)

NO_TEXT = "a character that is no text (a zero or half a surrogate pair). Remove it."


@pytest.fixture
def store(tmp_path):
    with Annotations.beside(tmp_path / "demo.atlas", "dictionary-1") as store:
        yield store


def test_what_was_saved_is_read(store):
    assert store.newest()["revision"] == []
    revision, is_new = store.save(FIRST)
    assert is_new
    assert store.path.name == "demo.atlas.annotations.sqlite"
    assert {name: column[0] for name, column in store.newest().items()} == revision
    assert (revision["label"], revision["interpretability"], revision["confidence"]) == ("NK cells", 4, None)


def test_the_same_save_sent_twice_counts_once(store):
    first, _ = store.save(FIRST)
    again, is_new = store.save(FIRST)
    assert not is_new
    assert again == first
    assert store.history()["revision"] == [first["revision"]]


def test_a_later_revision_supersedes_and_the_earlier_stays(store):
    first, _ = store.save(FIRST)
    second, _ = store.save(replace(FIRST, label="NK", key="second-save", supersedes=first["revision"]))
    assert store.history(3)["label"] == ["NK", "NK cells"]
    assert store.newest()["revision"] == [second["revision"]]


def test_nobody_overwrites_what_they_have_not_seen(store):
    first, _ = store.save(FIRST)
    with pytest.raises(StaleRevisionError) as caught:
        store.save(replace(FIRST, author="Bob", key="other-save"))
    assert str(caught.value) == (
        "Ada has written about concept 3 in the meantime. Look at that first, then save again as superseding "
        f"revision {first['revision']}."
    )
    assert caught.value.current == first
    with pytest.raises(StaleRevisionError) as caught:
        store.save(replace(FIRST, concept=4, key="third-save", supersedes=99))
    assert str(caught.value) == "There is no revision 99 of concept 4."
    assert len(store.history()["revision"]) == 1


def test_another_dictionary_has_its_own(store):
    store.save(FIRST)
    other = Annotations(store.path, "dictionary-2")
    assert other.newest()["revision"] == []
    other.save(replace(FIRST, key="for-the-other"))
    assert len(store.history()["revision"]) == len(other.history()["revision"]) == 1
    other.save(replace(FIRST, concept=4, key="another-concept"))
    assert (store.counts(), other.counts()) == ((1, 2), (2, 1))


def test_revisions_cannot_be_changed_or_deleted(store):
    store.save(FIRST)
    with sqlite3.connect(store.path) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="revisions are never changed"):
            connection.execute("UPDATE revisions SET label = ''")
        with pytest.raises(sqlite3.IntegrityError, match="revisions are never deleted"):
            connection.execute("DELETE FROM revisions")
    connection.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interpretability": 5}, "interpretability is 5, expected 0 to 4, or nothing."),
        ({"confidence": -1}, "confidence is -1, expected 0 to 4, or nothing."),
        ({"label": "x" * 201}, "label has 201 characters, at most 200 are kept."),
        ({"notes": "x\x00"}, f"notes holds {NO_TEXT}"),
        ({"author": "\ud800"}, f"author holds {NO_TEXT}"),
        ({"author": " "}, "author is empty. Say who writes this."),
        ({"key": "short"}, "key is 'short', expected 8 to 64 letters, digits, - or _."),
    ],
)
def test_what_cannot_be_kept_is_refused(changes, message):
    with pytest.raises(InputError) as caught:
        replace(FIRST, **changes)
    assert str(caught.value) == message


def save_many(path, who):
    store = Annotations(path, "dictionary-1")
    for number in range(25):
        store.save(
            Annotation(concept=who * 100 + number, author=f"rater {who}", key=f"rater-{who}-{number:04d}")
        )


def test_many_writers_lose_nothing(store):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=save_many, args=(store.path, who)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(store.history()["revision"]) == 100


def test_a_file_of_another_kind_is_left_alone(store):
    store.path.write_text("my notes")
    with pytest.raises(BundleError, match="cannot be used"):
        store.save(FIRST)
    assert store.path.read_text() == "my notes"


def test_a_newer_file_is_refused(store):
    store.save(FIRST)
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    store.close()
    with pytest.raises(BundleError) as caught:
        store.newest()
    assert str(caught.value) == f"{store.path} has version 2; this Conceptome reads 1."


def journal(path):
    with sqlite3.connect(path) as connection:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.close()
    return mode


def test_network_file_systems_get_a_plain_journal(store, monkeypatch, caplog):
    monkeypatch.setattr(annotation_file, "file_system", lambda folder: "nfs4")
    store.save(FIRST)
    assert journal(store.path) == "delete"
    assert "lies on a network file system (nfs4); saving is slower there." in caplog.text


def test_a_file_that_moved_to_a_network_changes_its_journal_and_back(store, monkeypatch):
    store.save(FIRST)
    store.close()
    with monkeypatch.context() as moved:
        moved.setattr(annotation_file, "file_system", lambda folder: "nfs4")
        assert store.newest()["label"] == ["NK cells"]
        store.close()
        assert journal(store.path) == "delete"
    store.newest()
    store.close()
    assert journal(store.path) == "wal"


def test_local_file_systems_get_a_write_ahead_log(store):
    store.save(FIRST)
    assert journal(store.path) == "wal"
    assert annotation_file.file_system(store.path.parent) != ""


def test_find_looks_into_label_category_and_notes(store):
    store.save(FIRST)
    assert store.find("gnl") == [(3, "NK cells", "GNLY")]
    assert store.find("nothing") == []


def test_export_as_csv_and_json(store, tmp_path):
    store.save(replace(FIRST, notes="=HYPERLINK(1)"))
    assert store.export(tmp_path / "all.csv") == 1
    assert "'=HYPERLINK(1)" in (tmp_path / "all.csv").read_text()
    store.export(tmp_path / "all.json")
    found = json.loads((tmp_path / "all.json").read_text())
    assert (found["dictionary_id"], found["revisions"][0]["notes"]) == ("dictionary-1", "=HYPERLINK(1)")
    with pytest.raises(InputError) as caught:
        store.export(tmp_path / "all.xlsx")
    assert str(caught.value) == f"{tmp_path / 'all.xlsx'} ends in '.xlsx', expected .csv or .json."


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"])
def test_formulas_are_never_run(text):
    assert csv_text({"x": [text]}).split("\n", 1)[1].lstrip('"').startswith("'")


def test_numbers_and_lists_are_written_plainly():
    table = {"x": [-1.5, None], "genes": [["CD3E", "CD8A"], []]}
    assert csv_text(table) == "x,genes\n-1.5,CD3E;CD8A\n,\n"


def test_saves_that_come_together_are_each_judged_alone(store):
    store.save(replace(FIRST, key="held-by-another"))
    Annotations(store.path, "dictionary-2").save(replace(FIRST, key="used-elsewhere"))
    drafts = [
        *(replace(FIRST, concept=8, author=f"rater {who}", key=f"same-concept-{who}") for who in range(8)),
        *(replace(FIRST, concept=20 + who, key=f"own-concept-{who}") for who in range(8)),
        replace(FIRST, concept=9, key="used-elsewhere"),
    ]
    found = []

    def save(draft):
        try:
            found.append(store.save(draft)[0]["concept"])
        except InputError as error:
            found.append(type(error))

    threads = [threading.Thread(target=save, args=(draft,)) for draft in drafts]
    with store._lock:  # the disk is busy: all but the first wait and are saved in one go
        for thread in threads:
            thread.start()
        while len(store._waiting) < len(drafts) - 1:
            time.sleep(0.001)
    for thread in threads:
        thread.join(timeout=20)
    assert [found.count(concept) for concept in (8, *range(20, 28))] == [1] * 9
    assert (found.count(StaleRevisionError), found.count(InputError)) == (7, 1)
    assert sorted(store.newest()["concept"]) == [3, 8, *range(20, 28)]


def test_a_disk_that_fails_fails_every_save_that_waits_for_it(store, monkeypatch):
    store.save(FIRST)
    monkeypatch.setattr(store, "_add", lambda connection, annotation: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.save(replace(FIRST, concept=5, key="never-kept"))
    monkeypatch.undo()
    assert store.save(replace(FIRST, concept=5, key="kept-now"))[1]


def test_what_cannot_be_written_can_still_be_read(store, monkeypatch):
    store.save(FIRST)
    store.close()
    monkeypatch.setattr(annotation_file.os, "access", lambda place, mode: place != store.path.parent)
    assert store.obstacle == f"{store.path.parent} cannot be written by this user."
    assert store.newest()["label"] == ["NK cells"]
    with pytest.raises(BundleError, match="attempt to write a readonly database"):
        store.save(replace(FIRST, concept=4, key="second-save"))
    assert [path.name for path in store.path.parent.iterdir()] == [store.path.name]
