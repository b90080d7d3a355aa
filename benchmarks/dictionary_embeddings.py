"""Make the two real embeddings on which `dictionary_fidelity.py` compares dictionaries.

Run ``python benchmarks/dictionary_embeddings.py --shared DIR --out DIR``; it takes 13 minutes of one core.
`papalexi_scvi`: scVI, fitted here with its defaults, on 20,729 THP-1 cells. `pbmc_random_scgpt`: a *randomly
initialised* scGPT of `--layers` layers (weights as PyTorch draws them, the published vocabulary) on blood
cells of four data sets. It tells no more of biology than a random projection and stands for the shape of a
transformer's embedding: 512 wide, of length 1, most of it constant. Each is written as ``NAME.npy``,
``NAME.csv`` (a row per cell) and ``NAME.json`` (what it looks like). What is there is not made again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch
from sklearn.neighbors import NearestNeighbors

from conceptome.encoders import ScgptEncoder, ScgptOptions, ScviEncoder
from conceptome.encoders.scgpt_files import SPECIAL, ScgptModel
from conceptome.encoders.scgpt_network import ScgptNetwork, ScgptSizes

PAPALEXI = "papalexi2021_thp1_crisprko_299genes_raw"
PBMC = {
    "pbmc3k": "pbmc3k_10x_raw",
    "pbmc4k": "pbmc4k_10x_2000x4060_raw",
    "donorA": "pbmc_donorA_10x_raw",
    "kang": "kang2018_ctrl_5donors_2511genes_raw",
}
VOCABULARY = "scgpt_default_gene_vocab.json.gz"
N_NEIGHBOURS = 15


def papalexi_scvi(data: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Embed Papalexi's cells by an scVI fitted on them."""
    cells = ad.read_h5ad(data / f"{PAPALEXI}.h5ad")
    embedded = ScviEncoder.fit(cells, seed=0).embed(cells)
    columns = cells.obs[["perturbation", "batch"]].astype(str)
    return embedded.values, columns


def random_scgpt(vocabulary: Path, *, n_layers: int, max_length: int) -> ScgptEncoder:
    """Make a 512-wide scGPT with the weights that PyTorch draws from seed 0."""
    with gzip.open(vocabulary, "rt") as file:
        index = json.load(file)
    tokens = sorted(index, key=index.__getitem__)
    tokens += [token for token in SPECIAL if token not in index]
    sizes = ScgptSizes(n_tokens=len(tokens), d_embed=512, n_heads=8, d_hidden=512, n_layers=n_layers)
    torch.manual_seed(0)
    weights = {name: tensor.detach().numpy() for name, tensor in ScgptNetwork(sizes).state_dict().items()}
    model = ScgptModel(sizes, tuple(tokens), "<pad>", -2.0, weights)
    return ScgptEncoder(model, options=ScgptOptions(max_length=max_length))


def pbmc_random_scgpt(data: Path, *, n_layers: int, max_length: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Embed the blood cells of four data sets by one random scGPT."""
    encoder = random_scgpt(data / "vocab" / VOCABULARY, n_layers=n_layers, max_length=max_length)
    values, columns = [], []
    for name, file in PBMC.items():
        cells = ad.read_h5ad(data / f"{file}.h5ad")
        values.append(encoder.embed(cells).values)
        described = cells.obs[["cell_type_harmonized"]].astype(str).assign(dataset=name)
        columns.append(described.set_index(name + ":" + cells.obs_names))
    return np.concatenate(values), pd.concat(columns)


def description(values: np.ndarray, columns: pd.DataFrame) -> dict[str, Any]:
    """Describe the spectrum, and how far each column of the cells shows in the embedding.

    `between` is the share of variance between the groups; `neighbours` the share of a cell's 15 nearest that
    are of its group; each beside what shuffled labels give.
    """
    centred = values - values.mean(axis=0, dtype=np.float64)
    share = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    share = np.clip(share / share.sum(), 1e-30, None)
    near = NearestNeighbors(n_neighbors=N_NEIGHBOURS + 1).fit(centred).kneighbors(return_distance=False)
    rng = np.random.default_rng(0)
    result: dict[str, Any] = {
        "n_cells": len(values),
        "d_embed": values.shape[1],
        "variance_of_squared_length": float((centred**2).sum() / (values.astype(np.float64) ** 2).sum()),
        "effective_rank": float(np.exp(-(share * np.log(share)).sum())),
        "variance_in_leading": {str(n): float(share[:n].sum()) for n in (1, 5, 50) if n <= len(share)},
    }
    for column in map(str, columns):
        codes = pd.factorize(columns[column])[0]
        for name, labels in ((column, codes), (f"{column}, shuffled", rng.permutation(codes))):
            result[name] = {
                "between": between_groups(centred, labels),
                "neighbours": float((labels[near] == labels[:, None]).mean()),
            }
    return result


def between_groups(centred: np.ndarray, labels: np.ndarray) -> float:
    """Compute the share of variance between groups."""
    sizes = np.bincount(labels)
    sums = np.zeros((len(sizes), centred.shape[1]))
    np.add.at(sums, labels, centred)
    return float(((sums**2).sum(axis=1) / sizes).sum() / (centred**2).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/*.h5ad and data/vocab/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=300)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data, size = args.shared / "data", {"n_layers": args.layers, "max_length": args.max_length}
    for make, settings in ((papalexi_scvi, {}), (pbmc_random_scgpt, size)):
        file = args.out / f"{make.__name__}.npy"
        if file.exists():
            continue
        start = time.perf_counter()
        values, columns = make(data, **settings)
        seconds = time.perf_counter() - start
        described = {**settings, "seconds": seconds, **description(values, columns)}
        columns.to_csv(file.with_suffix(".csv"), index_label="cell")
        file.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")
        np.save(file, values)
        print(file.name, json.dumps(described, indent=2), flush=True)


if __name__ == "__main__":
    main()
