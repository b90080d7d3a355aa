"""Train a small model of scGPT's architecture on one data set.

Run ``python benchmarks/small_scgpt.py --data FILE.h5ad --out FOLDER``. The folder has the published layout,
so that ``conceptome.encoders.load("scgpt", FOLDER)`` reads it. As scGPT learns, so does the model: of each
cell a part of the genes is left out, and <cls> alone has to predict the bins of all genes; of the genes that
stay some are masked and predicted at their own positions. No label is used. To make many steps in little
time, most of them see short sequences; the last part sees sequences of a cell's usual length.

``--supervise cell_type`` has <cls> tell a label instead, which takes minutes, not hours: the network then
attends to what tells cell types apart, and to nothing else. The head is not saved.

It is no foundation model: it knows the genes and cells of one data set, so that what it says of biology
counts for little. Whether it has learnt anything, the last lines that are printed tell: how well neighbours
agree on a label, beside the same network untrained, and how even attention is. On two busy cores 6.5 minutes
were too few: neighbours agreed hardly better than before. Give it more before you rest anything on it.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc
import torch
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
SHORT, LONG = (0.05, 0.35), (0.4, 1.0)  # shares of a cell's genes that are shown
LAST_PART = 0.75  # of the time, from which on sequences are long
MASKED = 0.2


def tokenised(adata: ad.AnnData, genes: np.ndarray) -> tuple[list[str], Csr]:
    """Return the vocabulary and the bins of every cell, as the encoder will read them."""
    vocabulary = [*SPECIAL, *symbols(adata)[genes]]
    tokeniser = ScgptTokeniser(CLS, PAD_VALUE, max_length=1200, binning="deterministic", seed=0)
    tokens = np.arange(len(SPECIAL), len(vocabulary))
    return vocabulary, tokeniser.binned(raw_counts(adata)[:, genes], tokens, adata.obs_names)


def batches(
    binned: Csr, *, n_cells: int, shown: tuple[float, float], rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, Sequences]]:
    """Yield cells of similar length, in random order, each with a part of its genes."""
    length = np.diff(binned.indptr) * rng.uniform(0.9, 1.1, binned.shape[0])
    order = np.argsort(length)
    groups = np.array_split(order, -(-len(order) // n_cells))
    for group in rng.permutation(len(groups)):
        share, rows = rng.uniform(*shown), []
        for cell in groups[group]:
            own = slice(binned.indptr[cell], binned.indptr[cell + 1])
            kept = np.flatnonzero(rng.random(own.stop - own.start) < share)
            rows.append((binned.indices[own][kept] + len(SPECIAL), binned.data[own][kept]))
        tokens = [np.concatenate([[CLS], row]) for row, _ in rows]
        values = [np.concatenate([[PAD_VALUE], row]) for _, row in rows]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in tokens])])
        yield groups[group], Sequences(indptr, np.concatenate(tokens), np.concatenate(values))


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


def label_losses(
    network: ScgptNetwork, head: nn.Module, sequences: Sequences, classes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross-entropy of telling a label from <cls>, and the share of wrong answers."""
    every, longest = np.arange(len(sequences)), int(sequences.lengths.max())
    tokens, bins = map(torch.from_numpy, sequences.padded(every, longest, pad_token=PAD, pad_value=PAD_VALUE))
    hidden = network(network.inputs(tokens, bins), tokens != PAD, n_layers=network.sizes.n_layers)
    told = head(hidden[:, 0])
    wrong = (told.argmax(dim=1) != classes).float().mean()
    return nn.functional.cross_entropy(told, classes), wrong.detach()


def train(
    network: ScgptNetwork,
    binned: Csr,
    *,
    classes: np.ndarray | None,
    minutes: float,
    n_cells: int,
    rate: float,
    seed: int,
) -> list[tuple[float, float]]:
    """Train for some minutes; return the two errors of each epoch."""
    rng, start, history = np.random.default_rng(seed), time.monotonic(), []
    head = nn.Linear(network.sizes.d_embed, 1 if classes is None else int(classes.max()) + 1)
    optimiser = torch.optim.AdamW([*network.parameters(), *head.parameters()], weight_decay=0.01)
    weight = torch.from_numpy(1 / (binned.toarray().var(axis=0) / UNIT**2 + 0.01)).float()
    spent = 0.0
    while spent < minutes:
        epoch = []
        shown = SHORT if spent < LAST_PART * minutes else LONG
        for number, (cells, sequences) in enumerate(batches(binned, n_cells=n_cells, shown=shown, rng=rng)):
            spent = (time.monotonic() - start) / 60
            if spent >= minutes:
                break
            warming = (number + 1) / 100 if not history else 1.0
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, warming, max(0.02, 2 * (1 - spent / minutes)))
            if classes is None:
                target = torch.from_numpy(binned[cells].toarray().astype(np.float32)) / UNIT
                found = losses(network, sequences, target, weight, rng)
            else:
                found = label_losses(network, head, sequences, torch.from_numpy(classes[cells]))
            optimiser.zero_grad()
            sum(found).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            epoch.append([float(loss.detach()) for loss in found])
        of_cell, of_gene = np.mean(epoch, axis=0)
        history.append((float(of_cell), float(of_gene)))
        names = ("from <cls>", "masked") if classes is None else ("cross-entropy", "wrong")
        print(f"{spent:5.1f} min  {names[0]} {of_cell:.4f}  {names[1]} {of_gene:.4f}", flush=True)
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


def check(encoder: ScgptEncoder, adata: ad.AnnData, labels: str) -> dict[str, float]:
    """Say whether embeddings separate labels, whether they differ at all, and whether attention chooses."""
    values, known = encoder.embed(adata).values, adata.obs[labels].astype(str)
    agree = cross_val_score(KNeighborsClassifier(15), values, known, cv=10).mean()
    return {
        "15 nearest cells tell the label": float(agree),
        "mean cosine of two cells": float((values.mean(axis=0) ** 2).sum()),
        **{f"keys attended, layer {n}": share for n, share in enumerate(attended(encoder, adata[:20]))},
    }


def attended(encoder: ScgptEncoder, adata: ad.AnnData) -> list[float]:
    """Return the perplexity of <cls>'s attention in each layer, as a share of the keys; 1 = it is even."""
    network = ScgptNetwork.from_weights(encoder.model.sizes, dict(encoder.model.weights))
    columns = np.flatnonzero(encoder.known(adata))
    tokens = np.array([encoder.model.vocabulary.index(name) for name in symbols(adata)[columns]])
    tokeniser = ScgptTokeniser(CLS, PAD_VALUE, max_length=1200, binning="deterministic", seed=0)
    sequences = tokeniser.cells(raw_counts(adata)[:, columns], tokens, adata.obs_names)
    shares = []
    for cell in range(adata.n_obs):
        length = int(sequences.lengths[cell])
        arrays = sequences.padded(np.array([cell]), length, pad_token=PAD, pad_value=PAD_VALUE)
        x, real, own = (
            network.inputs(*map(torch.from_numpy, arrays)),
            torch.ones(1, length, dtype=torch.bool),
            [],
        )
        for layer in network.first_layers(network.sizes.n_layers):
            q, k, _ = layer.self_attn.split(x)
            weight = (q[:, :, :1] @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)
            own.append(float(torch.special.entr(weight).sum(dim=-1).exp().mean()) / length)
            x = layer(x, real, only_cls=False)
        shares.append(own)
    return np.mean(shares, axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=1200)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--cells", type=int, default=16, help="per step")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--supervise", metavar="COLUMN", help="labels that <cls> has to tell")
    parser.add_argument("--labels", default="cell_type", help="column of obs, for the check alone")
    args = parser.parse_args()

    torch.manual_seed(0)
    adata = ad.read_h5ad(args.data)
    variable = sc.experimental.pp.highly_variable_genes(adata, n_top_genes=args.genes, inplace=False)
    vocabulary, binned = tokenised(adata, np.flatnonzero(variable["highly_variable"]))
    sizes = ScgptSizes(
        len(vocabulary), d_embed=args.width, n_heads=4, d_hidden=args.width, n_layers=args.layers
    )
    network = ScgptNetwork(sizes)
    nn.init.normal_(network.encoder.embedding.weight, std=0.5)
    for layer in network.first_layers(args.layers):
        nn.init.xavier_uniform_(layer.self_attn.qkv.weight)
    untrained = copy.deepcopy(network)
    classes = None
    if args.supervise:
        classes = adata.obs[args.supervise].astype("category").cat.codes.to_numpy().astype(np.int64)
    options = {"minutes": args.minutes, "n_cells": args.cells, "rate": args.rate, "seed": 0}
    train(network, binned, classes=classes, **options)
    write(network, vocabulary, args.out)
    encoder = ScgptEncoder.load(args.out)
    write(untrained, vocabulary, args.out / "untrained")
    ways = {"trained": encoder, "untrained": ScgptEncoder.load(args.out / "untrained")}
    print(json.dumps({name: check(way, adata, args.labels) for name, way in ways.items()}, indent=2))


if __name__ == "__main__":
    main()
