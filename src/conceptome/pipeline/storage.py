"""Records to files and back, exactly: zarr for arrays over cells, parquet for tables, JSON for the rest."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from conceptome.core import (
    CURVES,
    Activations,
    Attributions,
    BundleError,
    DifferentialExpression,
    Embeddings,
    Faithfulness,
    Pairs,
)
from conceptome.evaluation import SeedStability

FAITHFULNESS = ("faithfulness.parquet", "faithfulness_curves.parquet")

_META = b"conceptome"


def write_table(frame: pd.DataFrame, path: Path, **meta: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write a table as parquet, with JSON facts in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _META: json.dumps(meta).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def read_table(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a table and the facts written with it.

    Raises
    ------
    BundleError
        If the file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        msg = f"{path} cannot be read ({error}). Run again to make it anew."
        raise BundleError(msg) from None
    meta = json.loads((table.schema.metadata or {}).get(_META, b"{}"))
    return table.to_pandas(), meta


def write_arrays(path: Path, arrays: Mapping[str, Any], **attributes: str | float) -> None:
    """Write arrays, CSR matrices and texts into one zarr store, in AnnData's encodings."""
    import zarr
    from anndata.io import write_elem

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr 3 warns of the text type that AnnData chose
        store = zarr.open_group(str(path), mode="w")
        store.attrs.update(attributes)
        for name, array in arrays.items():
            write_elem(store, name, array)


def read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a store of `write_arrays`: the arrays by name, and the attributes."""
    import zarr
    from anndata.io import read_elem

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = zarr.open_group(str(path), mode="r")
        return {name: read_elem(store[name]) for name in store}, dict(store.attrs)


def create_embeddings(path: Path, part: Embeddings, cell_ids: pd.Index, *, chunk_cells: int) -> None:
    """Make a zarr store for the embeddings of all cells; `write_embeddings` fills it.

    Parameters
    ----------
    path
        The store; an older one is replaced.
    part
        Embeddings of some cells; they tell coordinates, precision and encoder.
    cell_ids
        All cells.
    chunk_cells
        Cells in a chunk of the store.
    """
    import zarr

    ids = cell_ids.to_numpy(dtype=str)
    attributes = {"encoder_id": part.encoder_id, "encoder_name": part.encoder_name}
    write_arrays(path, {"cell_ids": ids}, **attributes)
    values = zarr.open_group(str(path), mode="a").create_array(
        "values",
        shape=(len(ids), part.d_embed),
        chunks=(min(chunk_cells, len(ids)), part.d_embed),
        dtype=part.values.dtype,
    )
    values.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def write_embeddings(path: Path, rows: slice, values: np.ndarray) -> None:
    """Write the embeddings of some cells into a store of `create_embeddings`."""
    import zarr

    zarr.open_array(str(path / "values"), mode="r+")[rows] = values


def load_embeddings(path: Path) -> Embeddings:
    """Read a store of `create_embeddings`."""
    arrays, attributes = read_arrays(path)
    return Embeddings(
        arrays["values"], _names(arrays["cell_ids"]), attributes["encoder_id"], attributes["encoder_name"]
    )


def save_activations(record: Activations, path: Path) -> None:
    """Write activations as zarr, CSR."""
    arrays = {"values": record.values, "cell_ids": record.cell_ids.to_numpy(dtype=str)}
    write_arrays(path, arrays, dictionary_id=record.dictionary_id, scale=float(record.scale))


def load_activations(path: Path) -> Activations:
    """Read what `save_activations` wrote."""
    arrays, attributes = read_arrays(path)
    return Activations(
        sp.csr_array(arrays["values"]),
        _names(arrays["cell_ids"]),
        attributes["dictionary_id"],
        float(attributes["scale"]),
    )


def _names(values: np.ndarray) -> pd.Index[str]:
    names: pd.Index[str] = pd.Index(np.asarray(values, dtype=object))
    return names


def save_pairs(record: Pairs, folder: Path) -> None:
    """Write ``pairs.parquet`` and, where there are null pairs, ``pairs_null.parquet``."""
    meta = {
        "dictionary_id": record.dictionary_id,
        "not_attributable": {str(k): v for k, v in record.not_attributable.items()},
        "n_dropped": {str(k): int(v) for k, v in record.n_dropped.items()},
    }
    write_table(record.to_frame(), folder / "pairs.parquet", **meta)
    if record.null is not None:
        write_table(record.null.to_frame(), folder / "pairs_null.parquet", dictionary_id=record.dictionary_id)


def load_pairs(folder: Path, cell_ids: pd.Index[str]) -> Pairs:
    """Read what `save_pairs` wrote; cell ids become positions in `cell_ids` again."""
    null_path = folder / "pairs_null.parquet"
    return replace(
        _read_pairs(folder / "pairs.parquet", cell_ids),
        null=_read_pairs(null_path, cell_ids) if null_path.exists() else None,
    )


def _read_pairs(path: Path, cell_ids: pd.Index[str]) -> Pairs:
    frame, meta = read_table(path)
    return Pairs(
        concept=frame["concept"].to_numpy(),
        pair=frame["pair"].to_numpy(),
        factual=cell_ids.get_indexer(pd.Index(frame["factual"])),
        counterfactual=cell_ids.get_indexer(pd.Index(frame["counterfactual"])),
        activation=frame["activation"].to_numpy(),
        distance=frame["distance"].to_numpy(),
        distance_percentile=frame["distance_percentile"].to_numpy(),
        library_ratio=frame["library_ratio"].to_numpy(),
        matched=frame["matched"].to_numpy(),
        cell_ids=cell_ids,
        dictionary_id=meta["dictionary_id"],
        not_attributable={int(k): v for k, v in meta.get("not_attributable", {}).items()},
        n_dropped={int(k): int(v) for k, v in meta.get("n_dropped", {}).items()},
    )


_ATTRIBUTION_MATRICES = (
    "attribution",
    "se",
    "ci_low",
    "ci_high",
    "effect_act",
    "effect_pre",
    "n_differing",
    "sign_consistency",
    "p",
    "q",
    "drives",
)


def save_attributions(record: Attributions, folder: Path) -> None:
    """Write ``attributions.parquet`` and ``attributions_null.parquet``."""
    meta = {
        "dictionary_id": record.dictionary_id,
        "encoder_id": record.encoder_id,
        "aggregate": record.aggregate,
        "noise_floor": float(record.noise_floor),
        "null_driver_rate": [None if np.isnan(rate) else float(rate) for rate in record.null_driver_rate],
    }
    frame = record.to_frame()
    if record.recall is not None and np.isfinite(record.recall).any():  # with a prescreen
        meta["recall"] = [[None if np.isnan(one) else float(one) for one in row] for row in record.recall]
    write_table(frame, folder / "attributions.parquet", **meta)
    null = frame[["concept", "gene"]].assign(
        attribution=record.null_attribution.ravel(), se=record.null_se.ravel()
    )
    write_table(null, folder / "attributions_null.parquet", dictionary_id=record.dictionary_id)


def load_attributions(folder: Path) -> Attributions:
    """Read what `save_attributions` wrote."""
    frame, meta = read_table(folder / "attributions.parquet")
    null, _ = read_table(folder / "attributions_null.parquet")
    genes = pd.Index(frame["gene"].cat.categories)
    shape = (-1, len(genes))
    first = frame.iloc[:: len(genes)]
    rates = [np.nan if rate is None else rate for rate in meta["null_driver_rate"]]
    recall = np.array(meta["recall"], dtype=float) if "recall" in meta else None
    return Attributions(
        **{name: frame[name].to_numpy().reshape(shape) for name in _ATTRIBUTION_MATRICES},
        null_attribution=null["attribution"].to_numpy().reshape(shape),
        null_se=null["se"].to_numpy().reshape(shape),
        floor=first["floor"].to_numpy(),
        null_driver_rate=np.array(rates, dtype=float),
        n_pairs=first["n_pairs"].to_numpy(),
        status=first["status"].astype(str).to_numpy(dtype=object),
        concepts=first["concept"].to_numpy(),
        genes=genes,
        dictionary_id=meta["dictionary_id"],
        encoder_id=meta["encoder_id"],
        intervention=str(frame["intervention"].iloc[0]),
        aggregate=meta["aggregate"],
        noise_floor=meta["noise_floor"],
        exact=frame["exact"].to_numpy().reshape(shape) if "exact" in frame else None,
        recall=recall,
    )


def save_de(record: DifferentialExpression, path: Path) -> None:
    """Write ``de.parquet``."""
    write_table(record.to_frame(), path, dictionary_id=record.dictionary_id)


def load_de(path: Path) -> DifferentialExpression:
    """Read what `save_de` wrote."""
    frame, meta = read_table(path)
    genes = pd.Index(frame["gene"].cat.categories)
    columns = ("log_fold_change", "score", "p", "q", "t", "p_t", "q_t")
    return DifferentialExpression(
        **{name: frame[name].to_numpy().reshape(-1, len(genes)) for name in columns},
        concepts=frame["concept"].to_numpy()[:: len(genes)],
        genes=genes,
        dictionary_id=meta["dictionary_id"],
    )


def save_stability(record: SeedStability, path: Path) -> None:
    """Write ``stability.parquet``, with the summary beside the rows."""
    summary = json.loads(record.summary.to_json(orient="records", double_precision=15))
    write_table(record.concepts, path, summary=summary, r2=list(record.r2))


def load_stability(path: Path) -> SeedStability:
    """Read what `save_stability` wrote."""
    table, meta = read_table(path)
    summary = pd.DataFrame(meta["summary"])
    numbers = summary.columns.difference(["by"])
    return SeedStability(table, summary.astype(dict.fromkeys(numbers, float)), tuple(meta["r2"]))


def save_faithfulness(record: Faithfulness, folder: Path) -> None:
    """Write ``faithfulness.parquet``, a row per factual and method, and ``faithfulness_curves.parquet``."""
    ids = {"dictionary_id": record.dictionary_id, "encoder_id": record.encoder_id}
    write_table(record.factuals, folder / FAITHFULNESS[0], methods=list(record.methods), **ids)
    names = ["method", "concept", "n_genes"]
    steps = np.arange(record.deletion.shape[2])
    index = pd.MultiIndex.from_product([record.methods, record.concepts, steps], names=names)
    curves = {name: getattr(record, name).ravel() for name in CURVES}
    write_table(pd.DataFrame(curves, index=index).reset_index(), folder / FAITHFULNESS[1], **ids)


def load_faithfulness(folder: Path) -> Faithfulness:
    """Read what `save_faithfulness` wrote."""
    table, meta = read_table(folder / FAITHFULNESS[0])
    curves, _ = read_table(folder / FAITHFULNESS[1])
    concepts = np.unique(curves["concept"].to_numpy(dtype=np.int64))
    shape = (len(meta["methods"]), len(concepts), -1)
    return Faithfulness(
        factuals=table,
        **{name: curves[name].to_numpy().reshape(shape) for name in CURVES},
        methods=tuple(meta["methods"]),
        concepts=concepts,
        dictionary_id=meta["dictionary_id"],
        encoder_id=meta["encoder_id"],
    )
