"""Time embedding by our scGPT module against ``torch.nn.TransformerEncoder`` of the same size.

Run ``python benchmarks/transformer_forward.py``. Both have the same random weights, the same cells of
`--tokens` tokens and the same threads; the peer runs in float32 without gradients (its fast path), then reads
position 0. The two take turns, and the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from conceptome.encoders.scgpt_network import ScgptNetwork, ScgptSizes, expected_shapes

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"


def random_network(sizes: ScgptSizes) -> ScgptNetwork:
    """Build a network with random weights of a usual scale."""
    rng = np.random.default_rng(0)
    scale = sizes.d_embed**-0.5
    weights = {
        name: (rng.normal(0, scale, shape) + ("norm" in name and name.endswith("weight"))).astype(np.float32)
        for name, shape in expected_shapes(sizes).items()
    }
    return ScgptNetwork.from_weights(sizes, weights)


def peer_network(sizes: ScgptSizes, network: ScgptNetwork) -> nn.TransformerEncoder:
    """Build PyTorch's encoder around the same weights."""
    layer = nn.TransformerEncoderLayer(
        sizes.d_embed, sizes.n_heads, sizes.d_hidden, dropout=0.0, batch_first=True
    )
    peer = nn.TransformerEncoder(layer, sizes.n_layers, enable_nested_tensor=False)
    weights = network.transformer_encoder.state_dict()
    peer.load_state_dict(
        {
            name.replace("qkv.weight", "in_proj_weight").replace("qkv.bias", "in_proj_bias"): tensor
            for name, tensor in weights.items()
        }
    )
    return peer.eval()


def run(sizes: ScgptSizes, *, n_cells: int, n_tokens: int, repeats: int, device: str) -> dict[str, Any]:
    """Time the peer, ours in float32, and ours in bfloat16, in turn."""
    network = random_network(sizes).to(device)
    fast = random_network(sizes).bfloat16_products().to(device)
    peer = peer_network(sizes, network).to(device)
    rng = np.random.default_rng(1)
    tokens = torch.from_numpy(rng.integers(0, sizes.n_tokens, (n_cells, n_tokens))).to(device)
    values = torch.from_numpy(rng.integers(1, 51, (n_cells, n_tokens)).astype(np.float32)).to(device)
    real = torch.ones(n_cells, n_tokens, dtype=torch.bool, device=device)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "peer": lambda: peer(network.inputs(tokens, values), src_key_padding_mask=~real)[:, 0],
        "float32": lambda: network.pool(tokens, values, real, layer=sizes.n_layers, pooling="cls"),
        "bfloat16": lambda: fast.pool(tokens, values, real, layer=sizes.n_layers, pooling="cls"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    with torch.inference_mode():
        for turn in range(repeats + 1):
            for name, way in ways.items():
                start = time.perf_counter()
                results[name] = nn.functional.normalize(way().float(), dim=1).cpu()
                if turn:  # the first turn warms up
                    seconds[name].append(time.perf_counter() - start)
    typical = {name: median(times) / n_cells for name, times in seconds.items()}
    return {
        "float32_ratio": typical["peer"] / typical["float32"],
        "bfloat16_ratio": typical["peer"] / typical["bfloat16"],
        "seconds_per_cell": typical,
        "float32_largest_difference": float((results["peer"] - results["float32"]).abs().max()),
        "bfloat16_smallest_cosine": float((results["peer"] * results["bfloat16"]).sum(dim=1).min()),
        "n_layers": sizes.n_layers,
        "d_embed": sizes.d_embed,
        "n_tokens": n_tokens,
        "n_cells": n_cells,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name()
        if device == "cuda"
        else torch.backends.cpu.get_cpu_capability(),
        "versions": {name: importlib.metadata.version(name) for name in ("conceptome", "torch", "numpy")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=1200)
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    sizes = ScgptSizes(n_tokens=5000, d_embed=512, n_heads=8, d_hidden=512, n_layers=args.layers)
    result = run(sizes, n_cells=args.cells, n_tokens=args.tokens, repeats=args.repeats, device=args.device)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[f"transformer_forward_{args.device}"] = result
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
