"""Read an .h5ad file, and say clearly why one cannot be read."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path

import anndata
import h5py
from anndata import AnnData

from conceptome.core import InputError
from conceptome.data.wording import nearest, some

_TABLE = "Make an AnnData of it with anndata.{} (cells x genes; else transpose) and call .write_h5ad(...)."
CONVERSIONS = {
    ".csv": _TABLE.format("io.read_csv(path)"),
    ".tsv": _TABLE.format("io.read_text(path)"),
    ".txt": _TABLE.format("io.read_text(path)"),
    ".mtx": "Convert the folder with scanpy.read_10x_mtx(folder).write_h5ad(...).",
    ".loom": "Convert it with scanpy.read_loom(path).write_h5ad(...).",
    ".h5": "Convert a 10x file with scanpy.read_10x_h5(path).write_h5ad(...); rename an AnnData to .h5ad.",
    ".rds": "Convert it in R with anndataR::write_h5ad(object, path).",
    ".h5seurat": "Convert it in R with SeuratDisk::Convert(path, dest = 'h5ad').",
    ".zarr": "Convert it with anndata.read_zarr(path).write_h5ad(...).",
}


def read(path: Path | str, *, backed: bool = False) -> AnnData:
    """Read an AnnData from an ``.h5ad`` file.

    Parameters
    ----------
    path
        File written by anndata 0.7 or later.
    backed
        Leave ``X`` in the file and read it in pieces when needed.

    Returns
    -------
    The AnnData as it is in the file; `validate` says whether it can be used.

    Raises
    ------
    InputError
        If there is no such file, or it is of another kind, incomplete, or written in an unreadable way.
    """
    path = Path(path)
    _require_file(path)
    _require_hdf5(path)
    _require_anndata(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* names are not unique", category=UserWarning)
            return anndata.read_h5ad(path, backed="r" if backed else None)
    except MemoryError:
        msg = f"{path} does not fit into memory. Read it with backed=True, or take fewer cells."
        raise InputError(msg) from None
    except Exception as error:
        reason = " ".join(str(error).split())
        msg = (
            f"anndata {version('anndata')} cannot read {path} ({type(error).__name__}: {reason}). The file "
            "is damaged or of a format that it does not know: copy it again, or rewrite it with the anndata "
            "that made it."
        )
        raise InputError(msg) from error


def _require_file(path: Path) -> None:
    suffix = path.suffixes[-2] if path.suffix == ".gz" and len(path.suffixes) > 1 else path.suffix
    if not path.exists():
        _refuse_absent(path)
    if suffix.lower() in CONVERSIONS:
        msg = f"{path} is not an .h5ad file but {suffix}. {CONVERSIONS[suffix.lower()]}"
        raise InputError(msg)
    if path.is_dir():
        inside = sorted(file.name for file in path.glob("*.h5ad"))
        advice = f"It contains {some(inside)}: name one of them." if inside else "Name an .h5ad file."
        msg = f"{path} is a folder. {advice}"
        raise InputError(msg)
    if suffix.lower() != ".h5ad":
        msg = f"{path} does not end in .h5ad. Write the AnnData with adata.write_h5ad(...)."
        raise InputError(msg)


def _refuse_absent(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        msg = f"{path} does not exist, and neither does the folder {folder}."
        raise InputError(msg)
    present = sorted(file.stem for file in folder.glob("*.h5ad"))
    near = nearest(path.stem, present)
    advice = f"Did you mean {near}.h5ad?" if near else f"The .h5ad files in that folder: {some(present)}."
    msg = f"{path} does not exist. {advice}"
    raise InputError(msg)


def _require_hdf5(path: Path) -> None:
    if h5py.is_hdf5(path):
        return
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        msg = f"{path} cannot be opened ({error.strerror})."
        raise InputError(msg) from error
    if not start:
        kind = "is empty: copy or download it again"
    elif start.startswith(b"version https://git-lfs"):
        kind = "is a Git LFS pointer, not the data: run git lfs pull"
    elif start.lstrip().lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        kind = "is a web page, not the data: the download failed"
    elif start.startswith(b"\x1f\x8b"):
        kind = "is compressed: run gunzip on it"
    else:
        kind = f"is no HDF5 file (it begins with {start[:16]!r}): write it with adata.write_h5ad(...)"
    msg = f"{path} {kind}."
    raise InputError(msg)


def _require_anndata(path: Path) -> None:
    try:
        with h5py.File(path) as file:
            keys = sorted(file)
    except OSError as error:
        msg = f"{path} is incomplete or damaged ({error}). Copy or download it again."
        raise InputError(msg) from error
    missing = [key for key in ("obs", "var") if key not in keys]
    if missing:
        msg = (
            f"{path} is an HDF5 file but no AnnData: it lacks {' and '.join(missing)} and has {some(keys)}. "
            "Write the AnnData with adata.write_h5ad(...)."
        )
        raise InputError(msg)
