import pytest

from conceptome.core import InputError, writing_whole


def test_replaces_a_file_in_one_step(tmp_path):
    path = tmp_path / "a file.txt"
    path.write_text("before")
    with writing_whole(path) as stream:
        stream.write("naïve")
        assert path.read_text() == "before"
    assert path.read_text(encoding="utf-8") == "naïve"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_older_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), writing_whole(path) as stream:
        stream.write("half")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_says_where_nothing_can_be_written(tmp_path):
    with pytest.raises(InputError, match="is a folder, expected the name of a file"), writing_whole(tmp_path):
        pass
    with pytest.raises(InputError, match="nowhere is no folder"), writing_whole(tmp_path / "nowhere" / "x"):
        pass
