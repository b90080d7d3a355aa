"""Read what ``torch.save`` and ``pickle.dump`` wrote without running anything that the file asks for.

A pickle is a program. These readers know a dozen harmless names and supply their own meaning for each:
tensors and arrays are rebuilt as numpy arrays from their raw bytes, tables of the training history become
empty placeholders, and any other name is refused before it is looked up. Neither torch nor scvi-tools is
imported.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conceptome.core import CheckpointError

BFLOAT16 = "bfloat16"
STORAGE_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
PLAIN_NUMBERS = "fiub"
PLAIN_KINDS = f"{PLAIN_NUMBERS}U"
MOST_REPEATS = 16
"""Tensors may share their numbers, as tied weights do; all that is read has at most so many file sizes."""
LARGEST_DICTIONARY = 2**26
"""Bytes; the dictionaries of published models have about one million."""


def read_torch_zip(path: Path) -> Any:  # noqa: ANN401  (whatever plain object was saved)
    """Read a file that ``torch.save`` wrote.

    Parameters
    ----------
    path
        File in torch's zip format.

    Returns
    -------
    The saved object: plain containers, with numpy arrays for tensors and arrays.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, in torch's older format, or names anything that could run code.
    """
    if not path.is_file():
        msg = f"There is no file {path}. Give the file or folder that was saved."
        raise CheckpointError(msg)
    try:
        with zipfile.ZipFile(path) as archive:
            return _plain(_Reader(archive, path).load(), {})
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged or hostile file provokes is the file's fault
        msg = (
            f"{path} cannot be read ({type(error).__name__}: {error}). It is damaged, cut short, or not in "
            "the zip format of torch.save. Copy or save it again."
        )
        raise CheckpointError(msg) from error


def read_dictionary(path: Path) -> dict[str, int | float | str]:
    """Read a dictionary of numbers and texts.

    Parameters
    ----------
    path
        Pickle or, if its name ends in ``.json``, JSON.

    Returns
    -------
    The dictionary; numpy's scalars become numbers of Python. Entries without a name (None or NaN) or a value
    (None), as tables with gaps leave them, are left out.

    Raises
    ------
    CheckpointError
        If the file is too large, damaged, holds anything else, or names anything that could run code.
    """
    if path.stat().st_size > LARGEST_DICTIONARY:
        msg = f"{path} has {path.stat().st_size:,} bytes, expected at most {LARGEST_DICTIONARY:,}."
        raise CheckpointError(msg)
    content = path.read_bytes()
    try:
        read = json.loads(content) if path.suffix == ".json" else _DictionaryReader(content, path).load()
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged or hostile file provokes is the file's fault
        msg = (
            f"{path} cannot be read ({type(error).__name__}: {error}). It is damaged, cut short, or neither "
            "a pickle nor JSON. Copy or download it again."
        )
        raise CheckpointError(msg) from error
    if not isinstance(read, dict):
        msg = f"{path} holds {type(read).__name__}, expected a dictionary."
        raise CheckpointError(msg)
    table = {key: value for key, value in read.items() if not _is_gap(key) and value is not None}
    for key, value in table.items():
        if type(key) is not str or type(value) not in (int, float, str):
            found = f"{type(key).__name__} to {type(value).__name__}"
            msg = f"{path} maps {found}, expected a dictionary from names to numbers or texts."
            raise CheckpointError(msg)
    return table


def _is_gap(name: object) -> bool:
    return name is None or (isinstance(name, float) and math.isnan(name))


class _Array:
    """A numpy array while its pickle is read; the state gives it its value."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.code == "O":
            flat = np.empty(len(content), dtype=object)
            flat[:] = content
        else:
            flat = np.frombuffer(content, dtype=dtype.numpy())
        self.value = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


class _DType:
    """A numpy dtype as its text; nothing but plain numbers, text and objects."""

    def __init__(self, code: str) -> None:
        self.code = "O" if code.startswith("O") else code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] == ">":
            msg = "array of big-endian numbers"
            raise ValueError(msg)

    def numpy(self) -> np.dtype[Any]:
        dtype = np.dtype(self.code)
        if dtype.kind not in PLAIN_KINDS:
            msg = f"array of type {self.code!r}"
            raise ValueError(msg)
        return dtype


class _Reader(pickle._Unpickler):
    """An unpickler whose callables are the methods below, a placeholder, and OrderedDict.

    The one in Python: that in C allocates whatever room for references a few bytes of the file ask for.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive = archive
        self._path = path
        (entry,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        self._folder = entry.removesuffix("data.pkl")
        self._room = MOST_REPEATS * path.stat().st_size
        self._storages: dict[tuple[str, str], np.ndarray] = {}
        byte_order = f"{self._folder}byteorder"
        if byte_order in archive.namelist() and self._bytes("byteorder") != b"little":
            msg = "saved on a big-endian machine"
            raise ValueError(msg)
        super().__init__(io.BytesIO(self._bytes("data.pkl")))
        # made anew for each file, so that no file can change what the next one meets
        self._placeholder = type(
            "Placeholder", (), {"__new__": _ignore_arguments, "__setstate__": _ignore_state}
        )
        self._known: dict[tuple[str, str], Any] = {
            **_harmless(),
            ("collections", "OrderedDict"): OrderedDict,  # takes the state that torch gives it
            ("builtins", "dict"): "dict",
            ("builtins", "bytes"): self._no_bytes,
            ("builtins", "slice"): self._placeholder,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("numpy", "ndarray"): "ndarray",
            ("numpy._core.multiarray", "_reconstruct"): self._array,
        }

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Give this reader's own meaning of a name, or refuse it."""
        module = _modern(module)
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        if module.split(".")[0] == "pandas":
            return self._placeholder
        return _look_up(self._known, module, name, self._path)

    def persistent_load(self, pid: Any) -> np.ndarray:  # noqa: ANN401
        """Read the raw numbers of a tensor, once however many tensors share them."""
        _, dtype, key, _, _ = pid
        if (dtype, key) not in self._storages:
            content = self._bytes(f"data/{key}")
            if dtype == BFLOAT16:  # the upper half of a float32, which numpy lacks
                numbers = (np.frombuffer(content, dtype="<u2").astype("<u4") << 16).view("<f4")
            else:
                numbers = np.frombuffer(content, dtype=dtype)
            self._storages[dtype, key] = numbers
        return self._storages[dtype, key]

    def _bytes(self, name: str) -> bytes:
        entry = self._archive.getinfo(self._folder + name)
        if entry.compress_type != zipfile.ZIP_STORED:
            msg = f"{entry.filename} is compressed, which torch.save never does"
            raise ValueError(msg)
        self._take_room(entry.file_size)
        return self._archive.read(entry)

    def _tensor(
        self, storage: np.ndarray, offset: int, shape: Sequence[int], stride: Sequence[int], *_: object
    ) -> np.ndarray:
        n_numbers, size = int(np.prod(shape, dtype=object)), storage.itemsize
        if n_numbers > storage.size:
            msg = f"a tensor of shape {tuple(shape)} over {storage.size} numbers"
            raise ValueError(msg)
        self._take_room(n_numbers * size)
        strides = tuple(step * size for step in stride)
        view = np.ndarray(tuple(shape), storage.dtype, storage.data, offset * size, strides)
        return view.copy()

    def _take_room(self, n_bytes: int) -> None:
        self._room -= n_bytes
        if self._room < 0:
            msg = "it names the same numbers again and again"
            raise ValueError(msg)

    def _array(self, *_: object) -> _Array:
        return _Array()

    def _no_bytes(self) -> bytes:
        return b""


class _DictionaryReader(pickle._Unpickler):
    """An unpickler for one flat dictionary; in Python, as `_Reader` is."""

    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(content))
        self._path = path
        self._known: dict[tuple[str, str], Any] = {
            **_harmless(),
            ("collections", "OrderedDict"): lambda *_: {},
            **{("builtins", name): name for name in ("int", "float", "str")},
        }

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Give this reader's own meaning of a name, or refuse it."""
        return _look_up(self._known, _modern(module), name, self._path)


def _harmless() -> dict[tuple[str, str], Any]:
    """Return the names that plain numbers need, made anew so that no file changes what the next one meets."""
    return {
        ("collections", "defaultdict"): lambda *_: {},
        ("_codecs", "encode"): lambda text, _: text.encode("latin-1"),
        ("numpy", "dtype"): lambda code, *_: _DType(code),
        ("numpy._core.multiarray", "scalar"): lambda dtype, content: np.frombuffer(
            content, dtype=dtype.numpy()
        )[0].item(),
    }


def _modern(module: str) -> str:
    return module.replace("__builtin__", "builtins").replace("numpy.core.", "numpy._core.")


def _look_up(known: dict[tuple[str, str], Any], module: str, name: str, path: Path) -> Any:  # noqa: ANN401
    if (module, name) not in known:
        msg = (
            f"{path} asks for {module}.{name}, which a saved model does not need and which could "
            "run code. Nothing was run. If you trust its source, load it there and save it without that."
        )
        raise CheckpointError(msg)
    return known[module, name]


def _ignore_arguments(cls: type, *_: object) -> object:
    return object.__new__(cls)


def _ignore_state(_self: object, _state: object) -> None:
    return None


def _plain(saved: Any, known: dict[int, Any]) -> Any:  # noqa: ANN401
    """Put the values of arrays in the place of their readers.

    What is saved once and named often is converted once: a file of a kilobyte can name it 2**40 times.
    """
    if id(saved) in known:
        return known[id(saved)]
    plain = saved
    if isinstance(saved, _Array):
        plain = saved.value
    elif isinstance(saved, dict):
        plain = {key: _plain(value, known) for key, value in saved.items()}
    elif isinstance(saved, list | tuple):
        convert: Callable[[Any], Any] = type(saved)
        plain = convert(_plain(value, known) for value in saved)
    known[id(saved)] = plain
    return plain
