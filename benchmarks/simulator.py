"""Tell whether concepts recover known gene programmes, beside what others would do, as these get harder.

Run ``python benchmarks/simulator.py --runs FILE.jsonl --figure FILE.png``. Each step and seed takes a minute
of processor time. Every step adds a difficulty to the one before; the last goes back to the second and
lets programmes add up rather than multiply. On the same cells are measured

- dictionaries of an embedding (scVI, and principal components of log-normalised expression, 20 coordinates
  each): TopK autoencoders, and on scVI neurons, PCA, ICA, NMF and k-means as well. Genes are scored by
  substitution; by the same, but only those that are higher where the unit is active; and by differential
  expression (Wilcoxon) of the unit's cells against all others. TopK's on scVI also by masking;
- NMF, PCA and ICA of log-normalised expression itself, whose loadings are the gene scores. They are told the
  number of programmes, or given twice as many components.

For each method the MCC of activation with its chance level, and precision at 10, see
``conceptome.evaluation.recovery``. `readout` is what a linear regression of the activities on the embedding
reaches on the other half of the cells: how much of them the encoder has kept. Every step and seed is
written down in `--runs` when it ends and is not repeated.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")

import argparse
import json
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from sklearn.decomposition import NMF, PCA, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

import conceptome as cm
from conceptome.core import Dictionary, Embeddings, Encoder
from conceptome.evaluation import recovery
from simulator_figure import draw

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
N_PROGRAMMES = 12
WIDTH = 20
N_PAIRS = 32
EASY = cm.data.SimulationOptions(
    n_genes=1000,
    genes_per_programme=30,
    n_programmes=N_PROGRAMMES,
    n_rare=0,
    overlap=0.0,
    correlation=0.0,
    library_size=3000.0,
    expression_sd=1.0,
    dispersion=0.2,
    n_batches=1,
    batch_sd=0.0,
    n_donors=1,
    donor_sd=0.0,
)
STEPS: dict[str, dict[str, Any]] = {
    "easy": {},
    "entangled, rare": {"overlap": 0.3, "correlation": 0.8, "n_rare": 2, "rare_rate": 0.02},
    "noisy": {"library_size": 1000.0, "dispersion": 0.4, "expression_sd": 1.75},
    "batches": {"n_batches": 2, "batch_sd": 0.3, "n_donors": 4, "donor_sd": 0.15},
}
ADDITIVE = "additive"
TOPK = cm.dictionaries.TopK(2 * N_PROGRAMMES, k=3)

Row = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """Simulated cells of one step and seed."""

    step: str
    seed: int
    adata: AnnData

    @classmethod
    def simulated(cls, step: str, seed: int) -> Trial:
        """Draw the cells of a step: the changes of all steps up to it."""
        options = EASY
        for name, changes in STEPS.items():
            options = replace(options, **changes)
            if name == step or (step == ADDITIVE and name == "entangled, rare"):
                break
        if step == ADDITIVE:
            options = replace(options, mixing="additive")
        return cls(step, seed, cm.data.simulate(options, seed=seed))

    def row(self, method: str, units: Any, *, sign: str = "positive", **scores: Any) -> Row:  # noqa: ANN401
        """Measure the units of a method, and each of its gene scores."""
        found = recovery(self.adata, units, sign=sign, seed=self.seed)
        table = found.programmes
        kind = self.adata.uns["simulation"]["kind"][table["programme"]]
        row: Row = {"method": method, **found.summary()}
        row |= {f"mcc_{name}": each.mean() for name, each in table["correlation"].groupby(kind)}
        for name, values in scores.items():
            measured = recovery(self.adata, units, sign=sign, scores=values, n_null=1).programmes
            row[f"precision_{name}"] = measured["precision"].mean()
            row[f"chance_{name}"] = measured["precision_null"].mean()
        return row

    def expression(self) -> list[Row]:
        """Measure factorisations of log-normalised expression."""
        counts = sp.csr_array(self.adata.X).astype(np.float64)
        per_cell = 1e4 / np.maximum(cm.data.library_size(self.adata), 1)
        values = sp.csr_array(sp.diags_array(per_cell) @ counts).log1p().toarray()
        rows = []
        for n in (N_PROGRAMMES, 2 * N_PROGRAMMES):
            nmf = NMF(n, init="nndsvda", random_state=self.seed)
            rows.append(
                self.row(
                    f"NMF of expression, {n}", nmf.fit_transform(values), loadings=self.named(nmf.components_)
                )
            )
            pca = PCA(n, random_state=self.seed)
            rows.append(
                self.row(
                    f"PCA of expression, {n}",
                    pca.fit_transform(values),
                    sign="either",
                    loadings=self.named(pca.components_),
                )
            )
            ica = FastICA(n, whiten="unit-variance", max_iter=1000, random_state=self.seed)
            rows.append(
                self.row(
                    f"ICA of expression, {n}",
                    ica.fit_transform(values),
                    sign="either",
                    loadings=self.named(ica.mixing_.T),
                )
            )
        return rows

    def named(self, loadings: np.ndarray) -> pd.DataFrame:
        """Name the genes of loadings."""
        return pd.DataFrame(loadings, columns=self.adata.var_names)

    def encoders(self) -> dict[str, Encoder]:
        """Fit the encoders; scVI is told the batch."""
        batch_key = "batch" if self.adata.obs["batch"].nunique() > 1 else None
        scvi = cm.encoders.ScviOptions(n_latent=WIDTH)
        linear = cm.encoders.LinearOptions(n_components=WIDTH)
        return {
            "scVI": cm.encoders.fit("scvi", self.adata, batch_key=batch_key, seed=self.seed, options=scvi),
            "linear": cm.encoders.fit("linear", self.adata, seed=self.seed, options=linear),
        }

    def dictionaries(self, name: str, embeddings: Embeddings) -> dict[str, Dictionary]:
        """Train autoencoders and fit baselines on all cells."""
        n, seed = N_PROGRAMMES, self.seed
        found: dict[str, Dictionary] = {
            "TopK": cm.dictionaries.train(embeddings, TOPK, seed=seed, progress=False)
        }
        if name == "scVI":
            found["neurons"] = cm.dictionaries.NeuronDictionary.fit(embeddings)
            found["PCA"] = cm.dictionaries.PcaDictionary.fit(embeddings, n_components=n)
            found["ICA"] = cm.dictionaries.IcaDictionary.fit(embeddings, seed=seed)
            found["NMF"] = cm.dictionaries.NmfDictionary.fit(embeddings, n_components=n, seed=seed)
            found["k-means"] = cm.dictionaries.KMeansDictionary.fit(embeddings, n_clusters=n, seed=seed)
        return found

    def embedding(self, name: str, encoder: Encoder) -> list[Row]:
        """Measure the dictionaries of an encoder."""
        embeddings = encoder.embed(self.adata)
        rows = [{"method": f"readout, {name}", "mcc": self.readout(embeddings.values)}]
        for kind, dictionary in self.dictionaries(name, embeddings).items():
            activations = dictionary.encode(embeddings)
            units = recovery(self.adata, activations, n_null=1).programmes["unit"]
            concepts = [int(unit) for unit in units if unit >= 0]
            pairs = cm.counterfactuals.match(
                activations,
                embeddings,
                dictionary=dictionary,
                n_pairs=N_PAIRS,
                concepts=concepts,
                seed=self.seed,
            )
            expression = cm.attribution.differential_expression(self.adata, activations, concepts=concepts)
            scores = {}
            for way in ("substitute", "mask") if (name, kind) == ("scVI", "TopK") else ("substitute",):
                found = cm.attribution.attribute(
                    self.adata, encoder, dictionary, pairs, intervention=way, n_bootstrap=200, seed=self.seed
                )
                scores[way] = found.scores()
            higher = expression.scores("log_fold_change").loc[scores["substitute"].index] > 0
            scores["higher"] = scores["substitute"].where(higher)
            scores["de"] = expression.scores()
            row = self.row(f"{kind}, {name}", activations, **scores)
            rows.append(row | {"attributable": float((found.n_pairs > 0).mean())})
        return rows

    def readout(self, values: np.ndarray) -> float:
        """Correlate the activities with what a linear regression on half of the cells says of the other."""
        truth = self.adata.obsm["programmes"]
        read = LinearRegression().fit(values[::2], truth[::2]).predict(values[1::2])
        return float(np.mean([np.corrcoef(*both)[0, 1] for both in zip(read.T, truth[1::2].T, strict=True)]))

    def measure(self) -> Row:
        """Measure everything."""
        start = time.process_time()
        rows = self.expression()
        for name, encoder in self.encoders().items():
            rows += self.embedding(name, encoder)
        return {
            "step": self.step,
            "seed": self.seed,
            "cpu_seconds": time.process_time() - start,
            "rows": rows,
        }


def summary(trials: list[Row]) -> dict[str, Any]:
    """Compute mean and standard deviation over seeds: by step, method and measure."""
    table = pd.DataFrame(
        [{"step": trial["step"], **row} for trial in trials for row in trial["rows"]]
    ).set_index(["step", "method"])
    result: dict[str, Any] = {}
    for (step, method), rows in table.groupby(level=["step", "method"]):
        measures = {
            name: {"mean": float(values.mean()), "sd": float(values.std(ddof=1))}
            for name, values in rows.items()
            if values.notna().any()
        }
        result.setdefault(step, {})[method] = measures
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    trials = [json.loads(line) for line in args.runs.read_text().splitlines()] if args.runs.exists() else []
    done = {(trial["step"], trial["seed"]) for trial in trials}
    for seed in range(args.seeds):
        for step in (*STEPS, ADDITIVE):
            if (step, seed) not in done:
                trials.append(Trial.simulated(step, seed).measure())
                with args.runs.open("a") as file:
                    file.write(json.dumps(trials[-1]) + "\n")
                print(step, seed, f"{trials[-1]['cpu_seconds']:.0f} s", flush=True)
    found = summary(trials)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["simulator"] = {
        "n_seeds": args.seeds,
        "n_cells": EASY.n_cells,
        "n_genes": EASY.n_genes,
        "steps": found,
    }
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    if args.figure:
        draw(found, steps=[*STEPS, ADDITIVE]).savefig(args.figure, dpi=150, bbox_inches="tight")


if __name__ == "__main__":
    main()
