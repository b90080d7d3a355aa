"""Train a small model of scGPT's architecture on one data set: a transformer whose attention was learnt.

Run ``python benchmarks/small_scgpt.py --data FILE.h5ad --out FOLDER``. The folder has the published layout,
so that ``conceptome.encoders.load("scgpt", FOLDER)`` reads it. As scGPT learns, so does the model: of each
cell a part of the genes is left out, and <cls> alone has to predict the bins of all genes; of the genes that
stay some are masked and predicted at their own positions. No label is used. For want of time the embeddings
of the genes start from the principal axes of their bins instead of at random.

It is no foundation model: it knows the genes and cells of one data set, so that what it says of biology
counts for little. It is there to measure methods on learnt attention, which random weights do not have.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc
import torch
from scipy.sparse.linalg import svds
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from conceptome.core import Csr
from conceptome.data import raw_counts, symbols
from conceptome.encoders import ScgptEncoder
from conceptome.encoders.scgpt_network import ScgptNetwork, ScgptSizes
from conceptome.encoders.scgpt_tokens import ScgptTokeniser
from conceptome.encoders.sequences import Sequences

SPECIAL = ("<pad>", "<cls>", "<eoc>")
PAD, CLS = 0, 1
PAD_VALUE, MASK_VALUE = -2.0, -1.0
UNIT = 10.0  # bins per unit of the loss
SHOWN, MASKED = (0.25, 0.75), 0.2  # shares of a cell's genes


def tokenised(adata: ad.AnnData, genes: np.ndarray) -> tuple[list[str], Csr]:
    """Return the vocabulary and the bins of every cell, as the encoder will read them."""
    vocabulary = [*SPECIAL, *symbols(adata)[genes]]
    tokeniser = ScgptTokeniser(CLS, PAD_VALUE, max_length=1200, binning="deterministic", seed=0)
    tokens = np.arange(len(SPECIAL), len(vocabulary))
    return vocabulary, tokeniser.binned(raw_counts(adata)[:, genes], tokens, adata.obs_names)


def batches(binned: Csr, *, n_cells: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, Sequences]]:
    """Yield cells of similar length, in random order, each with a part of its genes."""
    length = np.diff(binned.indptr) * rng.uniform(0.9, 1.1, binned.shape[0])
    order = np.argsort(length)
    groups = np.array_split(order, -(-len(order) // n_cells))
    for group in rng.permutation(len(groups)):
        share, rows = rng.uniform(*SHOWN), []
        for cell in groups[group]:
            own = slice(binned.indptr[cell], binned.indptr[cell + 1])
            shown = np.flatnonzero(rng.random(own.stop - own.start) < share)
            rows.append((binned.indices[own][shown] + len(SPECIAL), binned.data[own][shown]))
        tokens = [np.concatenate([[CLS], row]) for row, _ in rows]
        values = [np.concatenate([[PAD_VALUE], row]) for _, row in rows]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in tokens])])
        yield groups[group], Sequences(indptr, np.concatenate(tokens), np.concatenate(values))


def axes(binned: Csr, d_embed: int, rng: np.random.Generator) -> torch.Tensor:
    """Return a start for the embeddings of genes: the principal axes of their bins, and some noise."""
    values = binned.toarray() - binned.mean(axis=0)
    values /= values.std(axis=0) + 0.1
    _, strength, rows = svds(values, k=32, random_state=0)
    start = rng.normal(0, 0.3, (len(SPECIAL) + binned.shape[1], d_embed))
    start[len(SPECIAL) :, :32] += 20 * (rows * strength[:, None] / strength.max()).T
    return torch.from_numpy(start.astype(np.float32))


def losses(
    network: ScgptNetwork,
    sequences: Sequences,
    target: torch.Tensor,
    weight: torch.Tensor,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the errors of predicting all genes from <cls>, and masked genes where they stand."""
    every = np.arange(len(sequences))
    longest = int(sequences.lengths.max())
    tokens, bins = map(torch.from_numpy, sequences.padded(every, longest, pad_token=PAD, pad_value=PAD_VALUE))
    gene = tokens >= len(SPECIAL)
    masked = gene & torch.from_numpy(rng.random(gene.shape) < MASKED)
    values = torch.where(masked, MASK_VALUE, bins)
    n_layers = network.sizes.n_layers
    hidden = network(network.inputs(tokens, values), tokens != PAD, n_layers=n_layers)
    vocabulary = network.encoder(torch.arange(len(SPECIAL), network.sizes.n_tokens))
    of_cell = network.mvc_decoder(vocabulary, hidden[:, 0]).T
    of_gene = network.decoder(hidden[masked][None])[0]
    return ((of_cell - target).square() * weight).mean(), (of_gene - bins[masked] / UNIT).square().mean()


def train(
    network: ScgptNetwork, binned: Csr, *, minutes: float, n_cells: int, rate: float, seed: int
) -> list[tuple[float, float]]:
    """Train for some minutes; return the two errors of each epoch."""
    rng, start, history = np.random.default_rng(seed), time.monotonic(), []
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    weight = torch.from_numpy(1 / (binned.toarray().var(axis=0) / UNIT**2 + 0.01)).float()
    spent = 0.0
    while spent < minutes:
        epoch = []
        for number, (cells, sequences) in enumerate(batches(binned, n_cells=n_cells, rng=rng)):
            spent = (time.monotonic() - start) / 60
            if spent >= minutes:
                break
            warming = (number + 1) / 100 if not history else 1.0
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, warming, max(0.02, 2 * (1 - spent / minutes)))
            target = torch.from_numpy(binned[cells].toarray().astype(np.float32)) / UNIT
            found = losses(network, sequences, target, weight, rng)
            optimiser.zero_grad()
            sum(found).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            epoch.append([float(loss.detach()) for loss in found])
        of_cell, of_gene = np.mean(epoch, axis=0)
        history.append((float(of_cell), float(of_gene)))
        print(f"{spent:5.1f} min  from <cls> {of_cell:.4f}  masked {of_gene:.4f}", flush=True)
    return history


def write(network: ScgptNetwork, vocabulary: list[str], folder: Path) -> None:
    """Write the three files under the published names."""
    sizes = network.sizes
    folder.mkdir(parents=True, exist_ok=True)
    args = {
        **{"embsize": sizes.d_embed, "nheads": sizes.n_heads, "d_hid": sizes.d_hidden},
        **{"nlayers": sizes.n_layers, "pad_token": SPECIAL[PAD], "pad_value": int(PAD_VALUE)},
    }
    (folder / "args.json").write_text(json.dumps(args, indent=2))
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(vocabulary)}))
    weights = {name.replace("self_attn.qkv", "self_attn.Wqkv"): w for name, w in network.state_dict().items()}
    torch.save(weights, folder / "best_model.pt")


def neighbours_agree(encoder: ScgptEncoder, adata: ad.AnnData, labels: str) -> float:
    """Return how often the 15 nearest cells of nine tenths tell the label of a cell of the tenth."""
    values, known = encoder.embed(adata).values, adata.obs[labels].astype(str)
    return float(cross_val_score(KNeighborsClassifier(15), values, known, cv=10).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=1200)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--cells", type=int, default=16, help="per step")
    parser.add_argument("--labels", default="cell_type", help="column of obs, for the check alone")
    args = parser.parse_args()

    torch.manual_seed(0)
    adata = ad.read_h5ad(args.data)
    variable = sc.experimental.pp.highly_variable_genes(adata, n_top_genes=args.genes, inplace=False)
    vocabulary, binned = tokenised(adata, np.flatnonzero(variable["highly_variable"]))
    network = ScgptNetwork(ScgptSizes(len(vocabulary), d_embed=128, n_heads=4, d_hidden=128, n_layers=4))
    network.encoder.embedding.weight.data = axes(binned, 128, np.random.default_rng(0))
    train(network, binned, minutes=args.minutes, n_cells=args.cells, rate=args.rate, seed=0)
    write(network, vocabulary, args.out)
    encoder = ScgptEncoder.load(args.out)
    ways = {"trained": encoder, "weights permuted": encoder.reinitialised(seed=0)}
    print(json.dumps({name: neighbours_agree(way, adata, args.labels) for name, way in ways.items()}))


if __name__ == "__main__":
    main()
