"""Time the effects of single-gene edits on a transformer, exact and prescreened, against the usual ways.

Run ``python benchmarks/attribution_transformer.py --data FILE.h5ad --encoder DIR``, with an encoder that
``benchmarks/small_scgpt.py`` trained, for recall and speed; and again without an encoder, for speed alone, on
12 layers of 512 coordinates with random weights, where recall would mean nothing.

The peers put every edited cell through ``torch.nn.TransformerEncoder`` in float32, eight at once: a loop over
the genes that differ, and Captum's FeatureAblation over all tokens of both cells, its total extrapolated from
some of them. All ways take turns and are measured by the processor's time; ratios are those of medians.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import anndata as ad
import numpy as np
import torch
from captum.attr import FeatureAblation
from scipy.stats import spearmanr
from torch import nn

import conceptome as cm
from conceptome.core import Edits, Pairs
from conceptome.data import symbols
from conceptome.encoders import ScgptEncoder
from conceptome.encoders.scgpt_files import ScgptModel
from conceptome.encoders.scgpt_network import ScgptNetwork, ScgptSizes
from small_scgpt import attended
from transformer_forward import RESULTS, peer_network, random_network

AT_ONCE = 8
TOPS, SCREENS = (20, 50), (50, 100, 200)
REDONE = (16, 50)  # strongest estimates that are measured in their place
SHARPENED = (4, 16)


@dataclass(frozen=True)
class Peer:
    """PyTorch's own encoder with the weights of ours, from values to the embedding."""

    network: ScgptNetwork
    encoder: nn.TransformerEncoder
    tokens: torch.Tensor

    @classmethod
    def of(cls, network: ScgptNetwork, tokens: torch.Tensor) -> Peer:
        """Take the weights of our network."""
        return cls(network, peer_network(network.sizes, network), tokens)

    def embed(self, values: torch.Tensor) -> torch.Tensor:
        """Embed cells of the same tokens."""
        x = self.network.inputs(self.tokens.expand(len(values), -1), values)
        with torch.inference_mode():
            return nn.functional.normalize(self.encoder(x)[:, 0], dim=1)


def random_encoder(genes: list[str], *, n_layers: int, d_embed: int) -> ScgptEncoder:
    vocabulary = ("<pad>", "<cls>", "<eoc>", *genes)
    sizes = ScgptSizes(len(vocabulary), d_embed, n_heads=8, d_hidden=d_embed, n_layers=n_layers)
    weights = {name: array.numpy() for name, array in random_network(sizes).state_dict().items()}
    return ScgptEncoder(ScgptModel(sizes, vocabulary, "<pad>", -2.0, weights))


def network_of(encoder: ScgptEncoder) -> ScgptNetwork:
    return ScgptNetwork.from_weights(encoder.model.sizes, dict(encoder.model.weights))


def edits_between(adata: ad.AnnData, encoder: ScgptEncoder, factual: int, counterfactual: int) -> Edits:
    """Return the substitution of every gene that differs, of cell 0 of the pair."""
    old, new = encoder.expression(adata[[factual, counterfactual]]).toarray()
    gene = np.flatnonzero((old != new) & encoder.known(adata))
    return Edits.single(np.zeros(len(gene), dtype=np.int64), gene, new[gene])


def longest_pair(adata: ad.AnnData, encoder: ScgptEncoder, longest: int) -> tuple[int, int]:
    """Return two cells of nearly the largest number of tokens that the model takes."""
    n_tokens = np.diff(encoder.expression(adata)[:, np.flatnonzero(encoder.known(adata))].indptr)
    first, second = np.argsort(np.where(n_tokens < longest, -n_tokens, 0))[:2]
    return int(first), int(second)


def ablate(peer: Peer, values: torch.Tensor, n_features: int) -> None:
    """Ablate the first tokens one by one and the rest together, as Captum does."""
    mask = torch.arange(values.shape[1]).clamp(max=n_features - 1)[None]
    weight = torch.ones(peer.network.sizes.d_embed)
    ablation = FeatureAblation(partial(objective, peer, weight))
    ablation.attribute(values, torch.zeros_like(values), feature_mask=mask, perturbations_per_eval=AT_ONCE)


def objective(peer: Peer, weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return peer.embed(values) @ weight


def speed(
    adata: ad.AnnData,
    encoder: ScgptEncoder,
    pair: tuple[int, int],
    *,
    n_timed: int,
    repeats: int,
) -> dict[str, Any]:
    """Time every way to get the effects of one pair."""
    edits = edits_between(adata, encoder, *pair)
    cell = adata[[pair[0]]]
    network = network_of(encoder)
    in_cells = encoder.expression(adata[list(pair)])[:, np.flatnonzero(encoder.known(adata))]
    n_tokens, n_union = int(np.diff(in_cells.indptr)[0]), int((in_cells.sum(axis=0) > 0).sum())
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(3, network.sizes.n_tokens, (1, n_tokens + 1)))
    values = torch.from_numpy(rng.integers(1, 51, (1, n_tokens + 1)).astype(np.float32))
    peer, cotangent = Peer.of(network, tokens), rng.normal(size=encoder.d_embed)
    timed = edits.take(rng.permutation(len(edits))[:n_timed])
    many = values.expand(AT_ONCE, -1)
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "captum": (AT_ONCE + 1, partial(ablate, peer, values, AT_ONCE)),  # the unedited cell too
        "loop": (AT_ONCE, partial(peer.embed, many)),
        "exact": (len(timed), partial(encoder.embed_edits, cell, timed)),
        "estimate": (1, partial(encoder.estimate_edits, cell, edits, cotangent=cotangent)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, (count, way) in ways.items():
            start = time.process_time()
            way()
            if turn:  # the first turn warms up
                seconds[name].append((time.process_time() - start) / count)
    typical = {name: median(times) for name, times in seconds.items()}
    whole = {
        "captum": n_union * typical["captum"],
        "loop": len(edits) * typical["loop"],
        "exact": len(edits) * typical["exact"],
        "estimate": typical["estimate"],
    }
    for redone in REDONE:
        whole[f"estimate_{redone}_redone"] = typical["estimate"] + min(redone, len(edits)) * typical["exact"]
    return {
        "seconds": typical,
        "seconds_per_pair": whole,
        "exact_per_edit": typical["captum"] / typical["exact"],
        "ratios": {
            name: {of: whole[of] / whole[name] for of in ("captum", "loop", "exact")}
            for name in whole
            if name not in {"captum", "loop"}
        },
        "estimate_in_forwards_of_exact": typical["estimate"] / typical["exact"],
        "n_tokens": n_tokens,
        "n_union": n_union,
        "n_edits": len(edits),
    }


def sharing(adata: ad.AnnData, encoder: ScgptEncoder, pairs: Pairs) -> dict[str, float]:
    """Count how many of the edits of all concepts are the same."""
    values = encoder.expression(adata)[:, np.flatnonzero(encoder.known(adata))].toarray()
    asked, unique, union = 0, set(), 0
    for factual, counterfactual in zip(pairs.factual.tolist(), pairs.counterfactual.tolist(), strict=True):
        new = values[counterfactual]
        gene = np.flatnonzero(values[factual] != new)
        union += int(((values[factual] > 0) | (new > 0)).sum())
        asked += len(gene)
        unique |= {(factual, *edit) for edit in zip(gene.tolist(), new[gene].tolist(), strict=True)}
    return {
        "n_concepts": len(np.unique(pairs.concept)),
        "n_pairs": len(pairs),
        "tokens_of_both_cells": union,
        "edits_that_differ": asked,
        "unique_edits": len(unique),
    }


def recall(
    adata: ad.AnnData, encoder: ScgptEncoder, pairs: Pairs, cotangents: dict[int, np.ndarray]
) -> dict[str, float]:
    """Compare estimated and exact effects on pre-activations, in whole pairs.

    A model with even attention passes any such test, which is why attention is reported beside it.
    """
    found: dict[str, list[float]] = {}
    for row in range(len(pairs)):
        edits = edits_between(adata, encoder, int(pairs.factual[row]), int(pairs.counterfactual[row]))
        cell, cotangent = adata[[int(pairs.factual[row])]], cotangents[int(pairs.concept[row])]
        before = encoder.embed_edits(cell, Edits.noop(1))
        z = {
            "exact": encoder.embed_edits(cell, edits),
            "estimate": encoder.estimate_edits(cell, edits, cotangent=cotangent),
        }
        effect = {name: (before - after) @ cotangent for name, after in z.items()}
        finite = np.isfinite(effect["estimate"])  # the others are measured in any case
        order = {
            "exact": np.argsort(-np.abs(effect["exact"])),
            "estimate": np.argsort(np.where(finite, -np.abs(effect["estimate"]), -np.inf)),
        }
        found.setdefault("not_finite", []).append(int((~finite).sum()))
        for redone in REDONE:
            mixed = np.where(finite, effect["estimate"], effect["exact"])
            mixed[order["estimate"][:redone]] = effect["exact"][order["estimate"][:redone]]
            add_correlations(found, effect["exact"], mixed, suffix=f"_{redone}_redone")
        effect = {name: values[finite] for name, values in effect.items()}
        for screen in SCREENS:
            for top in TOPS:
                kept = np.isin(order["exact"][:top], order["estimate"][:screen]).mean()
                found.setdefault(f"top_{top}_within_{screen}", []).append(float(kept))
        add_correlations(found, effect["exact"], effect["estimate"], suffix="")
        found.setdefault("n_edits", []).append(len(edits))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    worst = {
        f"lowest_{name}": float(np.min(values))
        for name, values in found.items()
        if name not in {"n_edits", "not_finite"}
    }
    keys = {f"keys_attended_{n}": share for n, share in enumerate(attended(encoder, adata[:20]))}
    return {"n_pairs": len(pairs), **means, **worst, **keys}


def add_correlations(
    found: dict[str, list[float]], exact: np.ndarray, other: np.ndarray, *, suffix: str
) -> None:
    """Append Pearson's and Spearman's correlation."""
    found.setdefault(f"r{suffix}", []).append(float(np.corrcoef(exact, other)[0, 1]))
    found.setdefault(f"rank_r{suffix}", []).append(float(spearmanr(exact, other)[0]))


def sharpened(encoder: ScgptEncoder, factor: float) -> ScgptEncoder:
    """Multiply all queries, so that attention is less even: to strain the estimate, no trained model."""
    d_embed, weights = encoder.d_embed, {name: array.copy() for name, array in encoder.model.weights.items()}
    for name, array in weights.items():
        if "self_attn.qkv" in name:
            array[:d_embed] *= factor
    return ScgptEncoder(replace(encoder.model, weights=weights), options=encoder.options)


def measure_small(adata: ad.AnnData, folder: Path, *, n_concepts: int, **settings: int) -> dict[str, Any]:
    """Measure sharing, recall and speed on the small trained model."""
    small = ScgptEncoder.load(folder)
    embeddings = small.embed(adata)
    options = cm.dictionaries.TopK(n_concepts=160, k=8)
    dictionary = cm.dictionaries.train(embeddings, options, seed=0, progress=False)
    activations = dictionary.encode(embeddings)
    often = np.flatnonzero((activations.frequency() > 0.02) & (activations.frequency() < 0.5)).tolist()
    pairs = cm.counterfactuals.match(activations, embeddings, dictionary=dictionary, concepts=often)
    drawn = np.random.default_rng(0).permutation(np.unique(pairs.concept))[:n_concepts]
    some = np.isin(pairs.concept, drawn) & (pairs.pair < 2)
    first = (int(pairs.factual[0]), int(pairs.counterfactual[0]))
    cotangents = {k: dictionary.concept_rule(k).weights[k] for k in drawn.tolist()}
    return {
        "sharing": sharing(adata, small, pairs),
        "recall_small": recall(adata, small, pairs.take(some), cotangents),
        **{
            f"recall_sharpened_x{factor}": recall(
                adata, sharpened(small, factor), pairs.take(some), cotangents
            )
            for factor in SHARPENED
        },
        "speed_small": speed(adata, small, first, n_timed=200, **settings),
    }


def measure_large(adata: ad.AnnData, **settings: int) -> dict[str, Any]:
    """Measure speed at the size of scGPT, with random weights."""
    large = random_encoder(list(dict.fromkeys(symbols(adata))), n_layers=12, d_embed=512)
    pair = longest_pair(adata, large, longest=1200)
    return {"speed_12x512_random": speed(adata, large, pair, n_timed=4, **settings)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="folder of the small trained model; else the large one")
    parser.add_argument("--concepts", type=int, default=6, help="whose recall is measured, in two pairs each")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    adata = ad.read_h5ad(args.data)
    adata.var_names_make_unique()
    settings = {"repeats": args.repeats}
    if args.encoder:
        result = measure_small(adata, args.encoder, n_concepts=args.concepts, **settings)
    else:
        result = measure_large(adata, **settings)
    result["threads"] = torch.get_num_threads()
    result["processor"] = torch.backends.cpu.get_cpu_capability()
    names = ("conceptome", "torch", "captum", "numpy")
    result["versions"] = {name: importlib.metadata.version(name) for name in names}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["attribution_transformer"] = {**results.get("attribution_transformer", {}), **result}
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
