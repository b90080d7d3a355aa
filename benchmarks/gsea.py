"""Time the enrichment of a dictionary against gseapy.prerank and blitzgsea on the same rankings and terms.

Run ``NUMBA_NUM_THREADS=1 python benchmarks/gsea.py --gmt FILE``; blitzgsea is left out where it is not
installed. All get that number of threads (blitzgsea: two processes at least, for one fails) and as many
permutations. Ours scores `--concepts` rankings in one call, tie-free ones and then as many with ties, and
the time is divided by their number, as a dictionary is enriched at once; the peers score one ranking.
gseapy would take minutes: it scores every 16th and every 8th term, and a line through the two gives its
time for all. Ratios are of the processor's time, so that other work on the machine counts little. What each
says of permuted rankings tells its calibration.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(
    {f"{name}_NUM_THREADS": os.getenv("NUMBA_NUM_THREADS", "1") for name in ("OMP", "NUMBA", "RAYON")}
)

import gseapy
import numpy as np
import pandas as pd

from conceptome.enrichment import GeneSets, gsea, read_gmt

THREADS = int(os.environ["NUMBA_NUM_THREADS"])
RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
PEERS = (*(["blitzgsea"] if importlib.util.find_spec("blitzgsea") else []), "gseapy")  # the slowest last
SIZES = {"min_size": 10, "max_size": 500}
ALPHAS = (0.05, 0.01, 0.001)
N_NULL = 4
STEPS = (16, 8)  # every 16th and every 8th term
PERMUTATIONS = 1000


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


def timed(work: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return what the work makes, and the seconds of the clock and of the processor, children included."""
    wall, before = time.perf_counter(), os.times()
    result = work()
    after = os.times()
    return result, {"wall_s": time.perf_counter() - wall, "cpu_s": sum(after[:4]) - sum(before[:4])}


def ours(scores: pd.DataFrame, sets: GeneSets) -> pd.DataFrame:
    return gsea(scores, sets, n_permutations=PERMUTATIONS, calibrate=False, **SIZES).table


def with_gseapy(scores: pd.Series, lists: dict[str, list[str]]) -> pd.DataFrame:
    options = {"permutation_num": PERMUTATIONS, "threads": THREADS, "seed": 1, "outdir": None}
    found = gseapy.prerank(rnk=scores, gene_sets=lists, no_plot=True, **SIZES, **options).res2d
    found = found.set_index("Term")[["ES", "NES", "NOM p-val"]].astype(float)
    return found.set_axis(["es", "nes", "p"], axis=1)


def with_blitzgsea(scores: pd.Series, lists: dict[str, list[str]]) -> pd.DataFrame:
    import blitzgsea

    signature = scores.rename_axis("gene").reset_index(name="value")
    options = {"permutations": PERMUTATIONS, "processes": max(THREADS, 2), "center": False}  # one fails
    found = blitzgsea.gsea(signature, lists, signature_cache=False, seed=1, **SIZES, **options)
    return found[["es", "nes", "pval"]].astype(float).set_axis(["es", "nes", "p"], axis=1)


def extrapolated(scores: pd.Series, lists: dict[str, list[str]]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return what gseapy says of every 8th term, and its time for all by the line through two runs."""
    runs = []
    for step in STEPS:
        some = dict(list(lists.items())[::step])
        runs.append(timed(lambda some=some: with_gseapy(scores, some)))
        print("gseapy", len(runs[-1][0]), runs[-1][1], flush=True)
    (few, few_s), (more, more_s) = runs
    n_tested = sum(
        SIZES["min_size"] <= scores.index.isin(genes).sum() <= SIZES["max_size"] for genes in lists.values()
    )
    steps = (n_tested - len(few)) / (len(more) - len(few))
    return more, {name: few_s[name] + steps * (more_s[name] - few_s[name]) for name in few_s}


def agreement(found: pd.DataFrame, peer: pd.DataFrame) -> dict[str, float]:
    """Compare with gseapy: ES, NES, and the counted p in units of the Monte-Carlo error of two runs."""
    found, peer = (
        found.loc[peer.index.intersection(found.index)],
        peer.loc[peer.index.intersection(found.index)],
    )
    p, smallest = (found["p"] + peer["p"]) / 2, 2 / PERMUTATIONS
    clear = p.between(0.02, 0.98)
    standardised = ((found["p"] - peer["p"]) / np.sqrt(2 * p * (1 - p) * smallest))[clear]
    return {
        "largest_es_difference": float((found["es"] - peer["es"]).abs().max()),
        "nes_correlation": float(np.corrcoef(found["nes"], peer["nes"])[0, 1]),
        "standardised_p_difference_sd": float(standardised.std()),
    }


def null_rates(p: np.ndarray) -> dict[str, float]:
    return {f"p <= {alpha}": float((p <= alpha).mean()) for alpha in ALPHAS}


def with_ties(scores: pd.DataFrame) -> pd.DataFrame:
    """Let small scores be 0, and somewhat larger ones equal their neighbours."""
    sparse = scores.where(scores.abs() > 0.4, 0.0)
    return sparse.where(sparse.abs() > 0.6, sparse.round(2))


def run(sets: GeneSets, *, n_genes: int, n_concepts: int) -> dict[str, Any]:
    """Time all, and compare what they say."""
    scores = rankings(sets, n_genes=n_genes, n_concepts=n_concepts, seed=0)
    tied = with_ties(scores)
    ours(scores.iloc[:2], sets)  # compiles
    table, seconds = timed(lambda: ours(scores, sets))
    first = table[table["concept"] == 0].set_index("term")
    found = {"ours": first.drop(columns="p").rename(columns={"p_empirical": "p"})}
    times = {"ours": {name: value / n_concepts for name, value in seconds.items()}}
    n_terms = table["term"].nunique()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    del table
    tied_seconds = timed(lambda: ours(tied, sets))[1]
    lists = dict(zip(sets.terms, map(list, sets.members), strict=True))
    work = {"gseapy": with_gseapy, "blitzgsea": with_blitzgsea}
    rng = np.random.default_rng(1)
    permuted = scores.iloc[:N_NULL].apply(lambda row: pd.Series(rng.permutation(row), row.index), axis=1)
    null = {"ours": ours(permuted, sets)["p"].to_numpy()}
    for name in PEERS[:-1]:
        null[name] = np.concatenate([work[name](row, lists)["p"] for _, row in permuted.iterrows()])
    print(times, tied_seconds, {name: null_rates(p) for name, p in null.items()}, flush=True)
    for name in PEERS[:-1]:
        found[name], times[name] = timed(lambda name=name: work[name](scores.loc[0], lists))
    found["gseapy"], times["gseapy"] = extrapolated(scores.loc[0], lists)
    return {
        "n_genes": n_genes,
        "n_concepts": n_concepts,
        "n_terms": n_terms,
        "n_permutations": PERMUTATIONS,
        "n_threads": THREADS,
        "collection": sets.collection,
        "seconds_per_concept": times,
        "ratio": {name: times[name]["cpu_s"] / times["ours"]["cpu_s"] for name in PEERS},
        "dictionary_s": seconds,
        "dictionary_peak_gib": peak,
        "tied_dictionary_s": tied_seconds,
        "tied_share": {"zero": float((tied == 0).mean(axis=None)), "of_all": share_tied(tied)},
        "against_gseapy": {
            name: agreement(found[name], found["gseapy"]) for name in found if name != "gseapy"
        },
        "on_permuted_genes": {name: null_rates(p) for name, p in null.items()},
        "versions": {
            name: importlib.metadata.version(name) for name in ("conceptome", "numpy", "numba", *PEERS)
        },
    }


def share_tied(scores: pd.DataFrame) -> float:
    return float(np.mean([row.duplicated(keep=False).mean() for _, row in scores.iloc[:8].iterrows()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gmt", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=13_714)
    parser.add_argument("--concepts", type=int, default=512)
    args = parser.parse_args()
    result = run(read_gmt(args.gmt), n_genes=args.genes, n_concepts=args.concepts)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(results | {"gsea": result}, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
