import json
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from conceptome.core import CheckpointError
from conceptome.encoders.checkpoint import LARGEST_DICTIONARY, read_dictionary, read_torch_zip


def saved(obj, path):
    torch.save(obj, path)
    return path


class RunsOnLoad:
    def __init__(self, mark: Path, call):
        self.mark, self.call = mark, call

    def __reduce__(self):
        return self.call, (str(self.mark),) if self.call is not eval else (f"open({str(self.mark)!r}, 'w')",)


def test_reads_what_torch_reads(tmp_path):
    rng = np.random.default_rng(0)
    dtypes = [torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool]
    tensors = {str(dtype): torch.from_numpy(rng.integers(0, 2, (3, 4))).to(dtype) for dtype in dtypes}
    tensors |= {
        "transposed": torch.randn(3, 4).T,
        "slice": torch.arange(10)[2:8:3],
        "scalar": torch.tensor(3.5),
    }
    found = read_torch_zip(saved(OrderedDict(tensors), tmp_path / "model.pt"))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype


def test_reads_arrays_and_plain_containers(tmp_path):
    nested = defaultdict(dict)
    nested["key"]["list"] = [1, 2.5, None, True, "text", (b"", b"bytes")]
    arrays = {
        "object": np.array(["a", None, 3], dtype=object),
        "text": np.array(["ab", "c"]),
        "number": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "empty": np.zeros(0),
    }
    found = read_torch_zip(
        saved({**arrays, "nested": nested, "scalar": np.float64(2.5)}, tmp_path / "model.pt")
    )
    assert found["nested"] == nested
    assert found["scalar"] == 2.5
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_passes_over_tables(tmp_path):
    history = {"elbo": pd.DataFrame({"elbo": [1.0, 2.0]}, index=pd.RangeIndex(2, name="epoch"))}
    found = read_torch_zip(saved({"history": history, "kept": 1}, tmp_path / "model.pt"))
    assert found["kept"] == 1
    assert type(found["history"]["elbo"]).__name__ == "Placeholder"


@pytest.mark.parametrize("call", [eval, Path.touch, torch.load, np.load], ids=lambda call: call.__name__)
def test_refuses_programs_and_does_not_run_them(tmp_path, call):
    mark = tmp_path / "mark"
    path = saved({"weights": torch.zeros(2), "hostile": RunsOnLoad(mark, call)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"could run code\. Nothing was run") as caught:
        read_torch_zip(path)
    assert call.__name__ in str(caught.value) or "getattr" in str(caught.value)
    assert not mark.exists()


def test_the_hostile_file_is_hostile(tmp_path):
    mark = tmp_path / "mark"
    path = saved({"hostile": RunsOnLoad(mark, eval)}, tmp_path / "model.pt")
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(Vtouch {mark}\ntR.",
        b"cbuiltins\nexec\n(Vopen('{mark}', 'w')\ntR.",
        b"cnumpy\nload\n(V{mark}\ntR.",
        b"ctorch\nload\n(V{mark}\ntR.",
        b"ccollections\nOrderedDict.fromkeys.__self__\n.",
        b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
        b"cpandas\nread_pickle\n(V{mark}\ntR.",
    ],
)
def test_no_handwritten_pickle_reaches_anything(tmp_path, program):
    mark = tmp_path / "mark"
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", program.replace(b"{mark}", str(mark).encode()))
    try:
        found = read_torch_zip(path)
    except CheckpointError:
        found = None
    assert found is None or type(found).__name__ == "Placeholder"
    assert not mark.exists()


def test_one_file_cannot_change_the_reader_for_the_next(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        # BUILD with a state for attributes: tries to set Placeholder.poison = 1
        archive.writestr("model/data.pkl", b"cpandas\nFrame\n(N(dVpoison\nI1\nstb.")
    with pytest.raises(CheckpointError):
        read_torch_zip(path)
    history = pd.DataFrame({"a": [1]})
    found = read_torch_zip(saved({"history": history}, tmp_path / "good.pt"))
    assert not hasattr(found["history"], "poison")


def test_refuses_a_tensor_larger_than_its_numbers(tmp_path):
    tensor = torch.zeros(1).expand(1_000_000_000)
    with pytest.raises(CheckpointError, match="a tensor of shape"):
        read_torch_zip(saved({"bomb": tensor}, tmp_path / "model.pt"))


def test_refuses_a_small_file_of_many_large_tensors(tmp_path):
    numbers = torch.zeros(100_000)
    tied = {str(i): numbers.view(-1) for i in range(10)}
    assert len(read_torch_zip(saved(tied, tmp_path / "tied.pt"))) == 10
    many = {str(i): numbers.view(-1) for i in range(1000)}
    with pytest.raises(CheckpointError, match="it names the same numbers again and again"):
        read_torch_zip(saved(many, tmp_path / "model.pt"))


def test_reads_numbers_once_however_often_they_are_named(tmp_path):
    """A list of one storage a thousand times, under two types and two names."""
    storage = b"(X\x07\x00\x00\x00storagectorch\n%s\nX\x01\x00\x00\x00%sX\x03\x00\x00\x00cpuK\x01tQ"
    again = [storage % (kind, key) for kind in (b"FloatStorage", b"BFloat16Storage") for key in (b"0", b"1")]
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02](" + b"".join(again) * 1000 + b"e.")
        for key in "01":
            archive.writestr(f"model/data/{key}", bytes(100_000))
    tracemalloc.start()
    found = read_torch_zip(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert len(found) == 4000
    assert all(numbers is found[number % 4] for number, numbers in enumerate(found))


def test_a_few_bytes_of_a_torch_file_ask_for_no_memory(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "model/data.pkl", b"\x80\x02}r\xff\xff\xff\x3f."
        )  # puts into place 2**30 of the memo
    tracemalloc.start()
    assert read_torch_zip(path) == {}
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_reads_a_list_of_lists_of_itself_once(tmp_path):
    nested = [1.0]
    for _ in range(100):
        nested = [nested, nested]
    found = read_torch_zip(saved(nested, tmp_path / "model.pt"))
    for _ in range(100):
        assert found[0] is found[1]
        found = found[0]
    assert found == [1.0]


def test_refuses_compressed_entries(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(CheckpointError, match=r"is compressed, which torch\.save never does"):
        read_torch_zip(path)


def test_refuses_the_format_before_zip(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError) as caught:
        read_torch_zip(tmp_path / "model.pt")
    assert str(caught.value) == (
        f"{tmp_path / 'model.pt'} cannot be read (BadZipFile: File is not a zip file). It is damaged, cut "
        "short, or not in the zip format of torch.save. Copy or save it again."
    )


def test_refuses_a_path_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        read_torch_zip(tmp_path / "model.pt")
    message = f"There is no file {tmp_path / 'model.pt'}. Give the file or folder that was saved."
    assert str(caught.value) == message


def pickled(obj, path, protocol=None):
    path.write_bytes(pickle.dumps(obj, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda items: defaultdict(float, items)])
def test_reads_dictionaries_of_plain_values(tmp_path, protocol, kind):
    table = {"a": 1, "b": 2.5, "c": "text", "d": np.int16(7), "e": np.float64(0.1), "f": np.float32(0.5)}
    found = read_dictionary(pickled(kind(table), tmp_path / "table.pkl", protocol))
    assert found == {"a": 1, "b": 2.5, "c": "text", "d": 7, "e": 0.1, "f": 0.5}
    assert [type(value) for value in found.values()] == [int, float, str, int, float, float]


def test_reads_dictionaries_of_older_numpy(tmp_path):
    content = pickle.dumps({"a": np.float64(2.5)}, protocol=2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in content
    (tmp_path / "table.pkl").write_bytes(content)
    assert read_dictionary(tmp_path / "table.pkl") == {"a": 2.5}


def test_leaves_out_the_gaps_of_a_table(tmp_path):
    table = {"a": 1, "b": None, None: 2, float("nan"): 3, "c": float("nan")}
    found = read_dictionary(pickled(table, tmp_path / "table.pkl"))
    assert list(found) == ["a", "c"]
    assert np.isnan(found["c"])


def test_reads_dictionaries_in_json(tmp_path):
    table = {"a": 1, "b": 2.5, "c": "text"}
    (tmp_path / "table.json").write_text(json.dumps(table))
    assert read_dictionary(tmp_path / "table.json") == table


@pytest.mark.parametrize("call", [eval, Path.touch, torch.load, np.load], ids=lambda call: call.__name__)
def test_refuses_dictionaries_with_programs_and_does_not_run_them(tmp_path, call):
    mark = tmp_path / "mark"
    path = pickled({"a": 1, "b": RunsOnLoad(mark, call)}, tmp_path / "table.pkl")
    with pytest.raises(CheckpointError, match=r"could run code\. Nothing was run"):
        read_dictionary(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(Vtouch {mark}\ntR.",
        b"cnumpy\nload\n(V{mark}\ntR.",
        b"cnumpy.core.multiarray\nscalar.__globals__\n.",
        b"ccollections\ndefaultdict.__init__\n.",
        b"cbuiltins\ngetattr\n(cbuiltins\nint\nV__class__\ntR.",
        b"(Vtouch {mark}\nios\nsystem\n.",
        b"\x80\x02\x82\x01.",  # the extension registry
        b"Pname\n.",  # a persistent id
    ],
)
def test_no_handwritten_dictionary_reaches_anything(tmp_path, program):
    mark = tmp_path / "mark"
    (tmp_path / "table.pkl").write_bytes(program.replace(b"{mark}", str(mark).encode()))
    with pytest.raises(CheckpointError):
        read_dictionary(tmp_path / "table.pkl")
    assert not mark.exists()


def test_one_dictionary_cannot_change_the_reader_for_the_next(tmp_path):
    # BUILD with attributes: tries to give numpy's scalar other defaults
    (tmp_path / "table.pkl").write_bytes(
        b"\x80\x02cnumpy.core.multiarray\nscalar\nN}X\x05\x00\x00\x00poisonK\x01s\x86b."
    )
    with pytest.raises(CheckpointError):
        read_dictionary(tmp_path / "table.pkl")
    assert read_dictionary(pickled({"a": np.float64(1.5)}, tmp_path / "good.pkl")) == {"a": 1.5}


def test_a_few_bytes_ask_for_no_memory(tmp_path):
    (tmp_path / "table.pkl").write_bytes(b"\x80\x02}r\xff\xff\xff\x3f.")  # puts into place 2**30 of the memo
    tracemalloc.start()
    assert read_dictionary(tmp_path / "table.pkl") == {}
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


OTHER_THINGS = [
    ([1, 2], "holds list, expected a dictionary"),
    ({"a": [1]}, "maps str to list, expected a dictionary from names to numbers or texts"),
    ({"a": True}, "maps str to bool, expected"),
    ({"a": {"b": 1}}, "maps str to dict, expected"),
]


@pytest.mark.parametrize(("table", "what"), [*OTHER_THINGS, ({1: 2}, "maps int to int, expected")])
def test_refuses_pickles_of_other_things(tmp_path, table, what):
    with pytest.raises(CheckpointError, match=what):
        read_dictionary(pickled(table, tmp_path / "table.pkl"))


@pytest.mark.parametrize(("table", "what"), OTHER_THINGS)
def test_refuses_json_of_other_things(tmp_path, table, what):
    (tmp_path / "table.json").write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match=what):
        read_dictionary(tmp_path / "table.json")


@pytest.mark.parametrize("content", [b"", b"\x80", b"{", b"[" * 100_000])
def test_refuses_damaged_dictionaries(tmp_path, content):
    for name in ("table.pkl", "table.json"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="It is damaged, cut short, or neither a pickle nor JSON"):
            read_dictionary(tmp_path / name)


def test_refuses_dictionaries_of_absurd_size(tmp_path):
    with (tmp_path / "table.pkl").open("wb") as file:
        file.truncate(LARGEST_DICTIONARY + 1)
    with pytest.raises(CheckpointError, match=r"has 67,108,865 bytes, expected at most 67,108,864\."):
        read_dictionary(tmp_path / "table.pkl")
