"""Time attribution through scVI beside FeatureAblation of Captum and plain loops.

Run ``python benchmarks/attribution.py --data pbmc3k.h5ad``. Every gene of a factual takes its
counterfactual's value, one at a time, and one concept's activation is read. All have the same trained
weights, the same pairs and one thread, and are measured by the processor's time. The peers run in float32
torch, Captum at the best of several batch sizes:

- ``captum``: FeatureAblation with the counterfactual as baseline, all genes;
- ``loop``: all edited copies of a cell as one batch, all genes;
- ``loop over changed genes``: the same for genes whose values differ, the others being 0 by definition.

The concept is the one whose pairs differ in a middling number of genes: with fewer, ours is faster.

With ``--whole`` it also times a whole attribution: 512 concepts x 64 pairs x all genes, statistics included.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import anndata as ad
import numpy as np
import scanpy as sc
import torch
from captum.attr import FeatureAblation

import conceptome as cm
from conceptome.attribution.edit_effects import open_probe

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
BATCHES = (16, 128, 1024)
N_PAIRS = 64


class Peer(torch.nn.Module):
    """scVI's encoder and a TopK dictionary as one torch module: counts to one concept's activation."""

    def __init__(self, layer: cm.core.HiddenLayer, rule: cm.core.ConceptRule, concept: int) -> None:
        super().__init__()
        known = layer.column >= 0
        by_gene = np.zeros((len(known), layer.by_gene.shape[1]))
        by_gene[known] = layer.by_gene[layer.column[known]]
        arrays = {
            "by_gene": by_gene,
            "readout": layer.readout,
            "constant": layer.constant,
            "weights": rule.weights.T,
            "biases": rule.biases,
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)).float())
        self.k, self.concept = rule.k, concept
        self.register_buffer("bias", torch.zeros(by_gene.shape[1]))

    def calibrate(self, counts: np.ndarray, first: np.ndarray) -> None:
        """Find the bias of the first layer from a cell whose pre-activation is known."""
        moved = np.log1p(counts) @ self.by_gene.double().numpy()
        self.bias = torch.from_numpy(first - moved).float()

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """Return the activation of the concept in every row."""
        hidden = torch.relu(torch.log1p(counts) @ self.by_gene + self.bias)
        pre = (hidden @ self.readout + self.constant) @ self.weights + self.biases
        top = torch.topk(pre, self.k, dim=1)
        active = torch.zeros_like(pre).scatter(1, top.indices, torch.relu(top.values))
        return active[:, self.concept]


def all_copies(x: torch.Tensor, other: torch.Tensor, genes: torch.Tensor) -> torch.Tensor:
    """Build a cell once per gene, with that gene's value taken from the other cell."""
    copies = x.repeat(len(genes), 1)
    copies[torch.arange(len(genes)), genes] = other[genes]
    return copies


def typical(adata: ad.AnnData, pairs: cm.core.Pairs) -> int:
    """Find the concept with all pairs in which the cells differ in a middling number of genes."""
    n_differing = np.diff((adata.X[pairs.factual] != adata.X[pairs.counterfactual]).indptr)
    concepts, n_pairs = np.unique(pairs.concept, return_counts=True)
    whole = concepts[n_pairs == N_PAIRS]
    means = [n_differing[pairs.concept == concept].mean() for concept in whole]
    return int(whole[np.argsort(means)[len(means) // 2]])


def timed(function: Callable[..., Any], *arguments: object) -> tuple[float, Any]:
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, result


def compare(adata: ad.AnnData, *, n_genes: int | None, repeats: int, n_peer_pairs: int) -> dict[str, Any]:
    """Time all of them on the pairs of one concept."""
    if n_genes is not None:
        normalised = sc.pp.log1p(sc.pp.normalize_total(adata, target_sum=1e4, copy=True), copy=True)
        variable = sc.pp.highly_variable_genes(normalised, n_top_genes=n_genes, inplace=False)
        adata = adata[:, variable["highly_variable"].to_numpy()].copy()
    options = cm.encoders.ScviOptions(max_epochs=10)
    encoder = cm.encoders.fit("scvi", adata, seed=0, options=options)
    embeddings = encoder.embed(adata)
    dictionary = cm.dictionaries.train(embeddings, cm.dictionaries.TopK(n_concepts=160, k=8), seed=0)
    activations = dictionary.encode(embeddings)
    pairs = cm.counterfactuals.match(activations, embeddings, dictionary=dictionary, n_pairs=N_PAIRS, seed=0)
    concept = typical(adata, pairs)
    pairs = pairs.of(concept)
    probe = open_probe(adata, encoder, dictionary, pairs)
    (effects,) = probe.effects([pairs], concept)  # compiles

    cells = adata[np.unique([pairs.factual, pairs.counterfactual])]
    layer, rule = encoder.hidden_layer(cells), dictionary.concept_rule(concept)
    peer = Peer(layer, rule, concept)
    peer.calibrate(cells.X[[0]].toarray()[0], layer.first[0])
    dense = [
        torch.from_numpy(adata.X[rows].toarray()).float() for rows in (pairs.factual, pairs.counterfactual)
    ]
    ablation = FeatureAblation(peer)

    def captum(pair: int, batch: int) -> np.ndarray:
        x, other = (part[[pair]] for part in dense)
        return ablation.attribute(x, baselines=other, perturbations_per_eval=batch).numpy()[0]

    def loop(pair: int, *, changed_only: bool) -> np.ndarray:
        x, other = (part[pair] for part in dense)
        genes = torch.nonzero(x != other).ravel() if changed_only else torch.arange(len(x))
        effect = np.zeros(len(x))
        effect[genes.numpy()] = (peer(x[None]) - peer(all_copies(x, other, genes))).numpy()
        return effect

    with torch.inference_mode():
        best = min(BATCHES, key=lambda batch: min(timed(captum, 0, batch)[0] for _ in range(3)))
        seconds: dict[str, list[float]] = {name: [] for name in ("ours", "captum", "loop", "changed")}
        differences = []
        for turn in range(repeats):
            seconds["ours"].append(timed(probe.effects, [pairs], concept)[0] / len(pairs))
            for name, work in (
                ("captum", lambda pair: captum(pair, best)),
                ("loop", lambda pair: loop(pair, changed_only=False)),
                ("changed", lambda pair: loop(pair, changed_only=True)),
            ):
                taken = [timed(work, (turn * n_peer_pairs + i) % len(pairs)) for i in range(n_peer_pairs)]
                seconds[name].append(sum(each[0] for each in taken) / n_peer_pairs)
                for i, (_, found) in enumerate(taken):
                    expected = effects.act[(turn * n_peer_pairs + i) % len(pairs)]
                    differences.append(float(np.nanmax(np.abs(found - expected))))
    per_pair = {name: median(values) for name, values in seconds.items()}
    return {
        "n_genes": adata.n_vars,
        "concept": concept,
        "n_differing": float(effects.differs.sum(axis=1).mean()),
        "n_pairs": len(pairs),
        "captum_batch": best,
        "milliseconds_per_pair": {name: 1e3 * value for name, value in per_pair.items()},
        "ratios": {name: per_pair[name] / per_pair["ours"] for name in ("captum", "loop", "changed")},
        "largest_difference": max(differences),
        "largest_effect": float(np.nanmax(np.abs(effects.act))),
    }


def whole(adata: ad.AnnData, *, n_concepts: int, n_workers: int) -> dict[str, Any]:
    """Time the attribution of a whole dictionary."""
    encoder = cm.encoders.fit("scvi", adata, seed=0, options=cm.encoders.ScviOptions(max_epochs=10))
    embeddings = encoder.embed(adata)
    dictionary = cm.dictionaries.train(embeddings, cm.dictionaries.TopK(n_concepts=n_concepts, k=16), seed=0)
    activations = dictionary.encode(embeddings)
    start = time.perf_counter()
    pairs = cm.counterfactuals.match(  # [Claye25]'s rule, which leaves hardly a concept without 64 pairs
        activations,
        embeddings,
        pairing="nearest",
        library_size=cm.data.library_size(adata),
        n_pairs=64,
        seed=0,
    )
    matched = time.perf_counter() - start
    workers = cm.attribution.LocalWorkers(n_workers) if n_workers > 1 else None
    start = time.perf_counter()
    found = cm.attribution.attribute(adata, encoder, dictionary, pairs, workers=workers)
    return {
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "n_concepts": n_concepts,
        "n_attributable": int((found.n_pairs > 0).sum()),
        "n_pairs": len(pairs),
        "n_null_pairs": len(pairs.null) if pairs.null else 0,
        "n_workers": n_workers,
        "match_seconds": matched,
        "attribute_seconds": time.perf_counter() - start,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--n-genes", type=int, nargs="+", default=[4000, 0], help="0 = all genes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--n-peer-pairs", type=int, default=2, help="pairs a peer does in each turn")
    parser.add_argument("--only-whole", action="store_true", help="time nothing but a whole attribution")
    parser.add_argument("--whole", action="store_true", help="time a whole attribution too")
    parser.add_argument("--n-workers", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    adata = cm.data.read(args.data)
    entry: dict[str, Any] = {}
    for n_genes in [] if args.only_whole else args.n_genes:
        found = compare(adata, n_genes=n_genes or None, repeats=args.repeats, n_peer_pairs=args.n_peer_pairs)
        entry[f"scVI, {found['n_genes']:,} genes"] = found
        print(json.dumps(found, indent=1), flush=True)
    if args.whole or args.only_whole:
        entry["whole"] = whole(adata, n_concepts=512, n_workers=args.n_workers)
        print(json.dumps(entry["whole"], indent=1))
    versions = {name: importlib.metadata.version(name) for name in ("captum", "torch", "numpy", "numba")}
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    previous = results.get("attribution", {})
    results["attribution"] = previous | entry | {"versions": versions, "n_cpus": os.cpu_count()}
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
