"""Time the enrichment of a dictionary against gseapy.prerank on the same rankings and gene sets.

Run ``python benchmarks/gsea.py --gmt FILE``. Both get one thread and the same number of permutations; time is
the processor's, so that other work on the machine counts little. Ours scores `--concepts` rankings in one
call and the time is divided by their number, as a dictionary is enriched at once; gseapy scores one ranking.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", RAYON_NUM_THREADS="1")

import gseapy
import numpy as np
import pandas as pd

from conceptome.enrichment import GeneSets, gsea, read_gmt

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"


def rankings(sets: GeneSets, *, n_genes: int, n_concepts: int, seed: int) -> pd.DataFrame:
    """Draw tie-free rankings in which every concept favours three of the terms."""
    rng = np.random.default_rng(seed)
    named = list(dict.fromkeys(gene for members in sets.members for gene in members))[:n_genes]
    genes = named + [f"other-{number}" for number in range(n_genes - len(named))]
    scores = pd.DataFrame(rng.standard_t(4, size=(n_concepts, n_genes)), columns=genes)
    for concept in range(n_concepts):
        for term in rng.choice(len(sets), size=3, replace=False):
            scores.loc[concept, scores.columns.isin(sets.members[term])] += 1.0
    return scores


def run(gmt: Path, *, n_genes: int, n_concepts: int, n_permutations: int) -> dict[str, Any]:
    """Time both and compare what they say of the first concept."""
    sets = read_gmt(gmt)
    scores = rankings(sets, n_genes=n_genes, n_concepts=n_concepts, seed=0)
    start = time.process_time()
    ours = gsea(scores, sets, n_permutations=n_permutations, calibrate=False).table
    ours_s = (time.process_time() - start) / n_concepts
    start = time.process_time()
    peer = gseapy.prerank(
        rnk=scores.loc[0],
        gene_sets=dict(zip(sets.terms, map(list, sets.members), strict=True)),
        min_size=10,
        max_size=500,
        permutation_num=n_permutations,
        threads=1,
        seed=1,
        outdir=None,
        no_plot=True,
    )
    peer_s = time.process_time() - start
    return {
        "ratio": peer_s / ours_s,
        "ours_s_per_concept": ours_s,
        "gseapy_s_per_concept": peer_s,
        "n_genes": n_genes,
        "n_terms": ours["term"].nunique(),
        "n_concepts": n_concepts,
        "n_permutations": n_permutations,
        "collection": sets.collection,
        "versions": {name: importlib.metadata.version(name) for name in ("conceptome", "gseapy", "numpy")},
        **agreement(ours[ours["concept"] == 0].set_index("term"), peer.res2d.set_index("Term")),
    }


def agreement(ours: pd.DataFrame, peer: pd.DataFrame) -> dict[str, float]:
    """Compare ES, NES and the counted p; the latter in units of its Monte-Carlo error."""
    peer = peer.loc[ours.index]
    p_peer = peer["NOM p-val"].astype(float)
    p = (ours["p_empirical"] + p_peer) / 2
    same_sign = 1 / ours.groupby(np.sign(ours["es"]))["p_empirical"].transform("min")
    clear = p.between(0.02, 0.98)
    standardised = (ours["p_empirical"] - p_peer)[clear] / np.sqrt(2 * p * (1 - p) / same_sign)[clear]
    return {
        "largest_es_difference": float((ours["es"] - peer["ES"].astype(float)).abs().max()),
        "nes_correlation": float(np.corrcoef(ours["nes"], peer["NES"].astype(float))[0, 1]),
        "standardised_p_difference_sd": float(standardised.std()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gmt", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=13_714)
    parser.add_argument("--concepts", type=int, default=64)
    parser.add_argument("--permutations", type=int, default=1000)
    args = parser.parse_args()
    result = run(args.gmt, n_genes=args.genes, n_concepts=args.concepts, n_permutations=args.permutations)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(results | {"gsea": result}, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
