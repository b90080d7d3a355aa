"""Effects in single pairs on disk: one zarr store, written concept by concept."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from conceptome.core import BundleError, PairEffects
from conceptome.pipeline.storage import read_arrays, write_arrays

PER_PAIR = ("concept", "pair", "activation")
PER_ENTRY = ("gene", "act", "pre")
TYPES = {"gene": np.int32, "act": np.float32, "pre": np.float32}
CHUNK_ENTRIES = 2**20


def save_pair_effects(parts: Iterable[PairEffects], path: Path, *, genes: pd.Index) -> None:
    """Write effects into a new zarr store without holding more than one part of them.

    Parameters
    ----------
    parts
        Effects, such as concept by concept.
    path
        The store; an older one is replaced.
    genes
        Genes of all parts.
    """
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr 3 warns of the text type that AnnData chose
        write_arrays(path, {"genes": genes.to_numpy(dtype=str)})
        store = zarr.open_group(str(path), mode="a")
        entries = {
            name: store.create_array(name, shape=(0,), chunks=(CHUNK_ENTRIES,), dtype=TYPES[name])
            for name in PER_ENTRY
        }
        rows: dict[str, list[np.ndarray]] = {name: [] for name in (*PER_PAIR, "length")}
        for part in parts:
            for name in PER_PAIR:
                rows[name].append(getattr(part, name))
            rows["length"].append(np.diff(part.indptr))
            for name, array in entries.items():
                array.append(getattr(part, name).astype(TYPES[name]))
        for name in PER_PAIR:
            kind = np.float64 if name == "activation" else np.int64
            store.create_array(name, data=np.concatenate([np.zeros(0, kind), *rows[name]]))
        lengths = np.concatenate([np.zeros(1, np.int64), *rows["length"]])
        store.create_array("indptr", data=np.cumsum(lengths))


def load_pair_effects(path: Path) -> PairEffects:
    """Read what `save_pair_effects` wrote.

    Raises
    ------
    BundleError
        If the store is missing or damaged.
    """
    try:
        arrays, _ = read_arrays(path)
        genes = pd.Index(arrays.pop("genes").astype(object))
        return PairEffects(**arrays, genes=genes)
    except (OSError, KeyError, TypeError, ValueError) as error:
        msg = f"{path} cannot be read ({error}). Run again to make it anew."
        raise BundleError(msg) from None
