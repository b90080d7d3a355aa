"""Tell whether the summary of a dictionary's concept cards ranks settings as known programmes do.

Run ``python benchmarks/card_score.py --runs FILE.jsonl``; each seed takes a minute. Simulated cells of the
step "noisy" of simulator.py (1,000 cells, 12 programmes, of which 6 are cell types) are embedded by the
linear encoder, 20 coordinates. Nine TopK autoencoders of several sizes and numbers of active concepts, and
five baselines, are ranked by ``conceptome.evaluation.rank_dictionaries`` without any knowledge of programmes:
held-out R2, stability over two seeds, faithfulness of the genes on 16 pairs per concept, and F1 for cell
types. Gene sets are not tested: the only ones that exist here are the programmes themselves. Families without
a seed (neurons, PCA) have no stability and are left out, NMF for want of cells in which its units are silent.

The ranking is held against recovery: MCC, precision at 10 of the substitution scores of the matched units,
and the mean of both ranks, among all settings and among those of TopK alone. The summary as it was at first,
a plain mean over concepts, stands beside as `plain`. Its form was changed once; the first seeds are those
that led to the change, and are reported apart from the others.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr, t

import conceptome as cm
from conceptome import dictionaries as families
from conceptome.core import Dictionary, Evaluation
from conceptome.evaluation import measure_fidelity
from conceptome.evaluation.ranking import CARD_PARTS
from conceptome.evaluation.rows import COLUMNS, measured
from simulator import EASY, N_PROGRAMMES, RESULTS, STEPS, WIDTH

N_CELLS = 1000
N_PAIRS = 16
LOOKED_AT = 3
KEPT = (
    "summary",
    "plain",
    "r2",
    "l0",
    "part_stability",
    "part_faithfulness",
    "part_label",
    "mcc",
    "precision",
)
TRUTHS = ("mcc", "precision", "recovery")

Row = dict[str, Any]


def trained(n: int, k: int) -> Callable[..., Dictionary]:
    """Return what trains an autoencoder of some size."""
    return lambda z, seed: families.train(z, families.TopK(n, k=k), seed=seed, progress=False)


def random_sae(n: int, k: int) -> Callable[..., Dictionary]:
    """Return what fits a decoder to a random encoder."""
    return lambda z, seed: families.RandomSaeDictionary.fit(z, n_concepts=n, k=k, seed=seed)


def clusters(n: int) -> Callable[..., Dictionary]:
    """Return what clusters the cells."""
    return lambda z, seed: families.KMeansDictionary.fit(z, n_clusters=n, seed=seed)


SETTINGS: dict[str, Callable[..., Dictionary]] = {
    **{f"TopK {n}/{k}": trained(n, k) for n in (12, 24, 48) for k in (1, 3, 6)},
    **{f"random SAE {n}/{k}": random_sae(n, k) for n, k in ((24, 3), (48, 6))},
    **{f"k-means {n}": clusters(n) for n in (12, 24)},
    "ICA 12": lambda z, seed: families.IcaDictionary.fit(z, n_components=N_PROGRAMMES, seed=seed),
}


@dataclass(frozen=True)
class Cells:
    """Simulated cells of one seed and what the encoder says of them."""

    seed: int
    adata: Any
    encoder: Any
    embeddings: Any
    read: Any

    @classmethod
    def simulated(cls, seed: int) -> Cells:
        """Draw the cells and fit the encoder."""
        options = replace(EASY, n_cells=N_CELLS, **STEPS["entangled, rare"], **STEPS["noisy"])
        adata = cm.data.simulate(options, seed=seed)
        encoder = cm.encoders.fit(
            "linear", adata, seed=seed, options=cm.encoders.LinearOptions(n_components=WIDTH)
        )
        embeddings = encoder.embed(adata)
        read, _ = cm.evaluation.read_cells(
            adata, None, embeddings, label_keys=["cell_type"], group_key=None, batch_key=None, seed=seed
        )
        return cls(seed, adata, encoder, embeddings, read)

    def measure(self, make: Callable[..., Dictionary]) -> tuple[pd.DataFrame, Evaluation, dict[str, float]]:
        """Return cards, fidelity and recovery of one setting."""
        same = [make(self.embeddings, seed=self.seed + number) for number in range(2)]
        stability = cm.evaluation.measure_seeds(same, self.embeddings, seed=self.seed)
        dictionary = same[0]
        activations = dictionary.encode(self.embeddings)
        pairs = cm.counterfactuals.match(activations, self.embeddings, n_pairs=N_PAIRS, seed=self.seed)
        kept, held_out = cm.counterfactuals.hold_out(pairs, seed=self.seed)
        found = cm.attribution.attribute(
            self.adata, self.encoder, dictionary, kept, n_bootstrap=50, seed=self.seed
        )
        faithful = cm.attribution.faithfulness(
            self.adata,
            self.encoder,
            dictionary,
            held_out,
            {"substitute": found.scores()},
            n_genes=50,
            n_random=2,
            every=10,
            seed=self.seed,
        )
        cards = cm.evaluation.card_scores(
            self.read, dictionary, stability=stability, faithfulness=faithful, seed=self.seed
        )
        return cards, self.fidelity(dictionary), self.recovery(activations, found.scores())

    def fidelity(self, dictionary: Dictionary) -> Evaluation:
        """Measure what the ranking reads of an evaluation."""
        heldout = self.read.heldout_by(dictionary, seed=self.seed)
        values = measure_fidelity(
            dictionary, self.read.z, activations=dictionary.encode(self.read.z), heldout=heldout
        )
        rows = [measured(dictionary.kind, name, [value]) for name, value in values.items()]
        return Evaluation(pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(), dictionary.dictionary_id)

    def recovery(self, activations: Any, scores: pd.DataFrame) -> dict[str, float]:  # noqa: ANN401
        """Measure how well the programmes are recovered; a unit without pairs names no gene."""
        every = scores.reindex(range(activations.n_concepts))
        found = cm.evaluation.recovery(self.adata, activations, scores=every, n_null=1, seed=self.seed)
        table = found.programmes
        return {"mcc": float(table["correlation"].mean()), "precision": float(table["precision"].mean())}


def run(seed: int) -> Row:
    """Rank all settings on the cells of one seed."""
    start = time.process_time()
    cells, cards, evaluations, truth = Cells.simulated(seed), {}, {}, {}
    for name, make in SETTINGS.items():
        cards[name], evaluations[name], truth[name] = cells.measure(make)
    table = cm.evaluation.rank_dictionaries(cards, evaluations).set_index("dictionary")
    table = table.join(pd.DataFrame(truth).T)
    table["recovery"] = table[["mcc", "precision"]].rank().mean(axis=1)
    plain = pd.DataFrame({name: each[[*CARD_PARTS]].mean() for name, each in cards.items()}).T.dropna(axis=1)
    table["plain"] = plain.assign(r2=table["r2"].clip(lower=0)).mean(axis=1)
    rows = table.reset_index().astype(object).where(table.reset_index().notna(), None)
    seconds = time.process_time() - start
    return {"seed": seed, "cpu_seconds": seconds, "rows": rows.to_dict("records")}


def agreement(tables: list[pd.DataFrame]) -> dict[str, Any]:
    """Correlate each ranking with each truth within a seed; mean over seeds with a 95% interval (t)."""
    result: dict[str, Any] = {}
    for by in ("summary", "plain", "r2", "l0", "part_faithfulness"):
        for truth in TRUTHS:
            found = np.array([spearmanr(table[by], table[truth]).statistic for table in tables])
            margin = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5)
            mean = float(found.mean())
            result.setdefault(by, {})[truth] = {"mean": mean, "low": mean - margin, "high": mean + margin}
    return result


def both(tables: list[pd.DataFrame]) -> dict[str, Any]:
    """Return the agreement among all settings, and among those of TopK alone."""
    own = [table[table["dictionary"].str.startswith("TopK")] for table in tables]
    return {"all": agreement(tables), "TopK": agreement(own)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=LOOKED_AT + 5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    done = [json.loads(line) for line in args.runs.read_text().splitlines()] if args.runs.exists() else []
    for seed in range(len(done), args.seeds):
        done.append(run(seed))
        with args.runs.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
        print(seed, f"{done[-1]['cpu_seconds']:.0f} s", flush=True)
    tables = [pd.DataFrame(each["rows"]) for each in done]
    results = json.loads(RESULTS.read_text())
    results["card_score"] = {
        "n_cells": N_CELLS,
        "n_settings": len(SETTINGS),
        "looked_at": both(tables[:LOOKED_AT]),
        "held_out": both(tables[LOOKED_AT:]),
        "settings": pd.concat(tables[LOOKED_AT:]).groupby("dictionary")[[*KEPT]].mean().T.to_dict(),
    }
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
