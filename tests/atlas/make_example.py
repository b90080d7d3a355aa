"""Make the example bundle of this schema version: python tests/atlas/make_example.py

Run it once after `SCHEMA_VERSION` was raised, commit the new folder beside the older ones, and leave those.
Every table has rows; the numbers are made up so that a test can tell each of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from conceptome import atlas
from conceptome.atlas.schema import SCHEMA_VERSION
from conceptome.core import (
    ENRICHMENT_COLUMNS,
    Activations,
    Attributions,
    DifferentialExpression,
    Enrichment,
    Evaluation,
    Pairs,
)

N_CELLS, N_CONCEPTS = 12, 3
GENES = pd.Index(["CD3E", "GNLY", "MS4A1", "LYZ"])
DICTIONARY = "example00001"
CELLS = pd.Index([f"cell-{number}" for number in range(N_CELLS)])


def example_contents() -> atlas.Contents:
    """Put together what the example holds: cell i activates concept i % 3 with i + 1."""
    values = np.zeros((N_CELLS, N_CONCEPTS))
    values[np.arange(N_CELLS), np.arange(N_CELLS) % 3] = np.arange(1, N_CELLS + 1)
    values[11] = [0.5, 0.25, 12]
    corner = np.array([[0, 0], [10, 0], [0, 10]])
    return atlas.Contents(
        activations=Activations(sp.csr_array(values), CELLS, DICTIONARY),
        obs=pd.DataFrame(
            {
                "cell_type": pd.Categorical([*(["T", "NK", "B"] * 4)[:11], None]),
                "donor": ["d1", "d2"] * 6,
                "depth": np.arange(1000.0, 1000.0 + N_CELLS),
            }
        ),
        layout=corner[np.arange(N_CELLS) % 3] + np.arange(N_CELLS)[:, None] / 10,
        genes=pd.DataFrame(
            {
                "name": GENES,
                "symbol": GENES,
                "ensembl": [f"ENSG{number:011d}" for number in range(4)],
                "aliases": ["T3E", "NKG5 LAG2", "CD20", ""],
            }
        ),
        concepts=pd.DataFrame(
            {
                "concept": range(N_CONCEPTS),
                "auto_name": ["T cells", "NK cells (GNLY)", "B cells"],
                "module": [1, 1, None],
                "stability": [0.9, 0.5, np.nan],
                "top_genes": ["CD3E", "GNLY", ""],
            }
        ),
        directions=np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]),
        **_genes_and_pairs(),
        **_terms(),
        modules=pd.DataFrame(
            {
                "module": [1],
                "n_concepts": [2],
                "share": [0.6],
                "correlation": [0.3],
                "label": ["T"],
                "label_f1": [0.7],
            }
        ),
        evaluation=_evaluation(),
        verdicts=pd.DataFrame(
            {
                "metric": ["r2"],
                "label_key": [""],
                "evidence": ["not judged"],
                "reason": ["3 seeds are needed."],
            }
        ),
        expression=sp.csr_array(np.arange(N_CELLS * 4).reshape(N_CELLS, 4) % 5),
        roles={"cell_type": "label", "donor": "donor", "depth": "depth"},
        title="example",
        facts={"Cells": N_CELLS, "Encoder": "none"},
        provenance={"created": "2026-11-23T00:00:00+00:00", "versions": {"conceptome": "0.1.0"}},
        missing={"stability": "One seed was trained. Run again with --n-seeds 5."},
    )


def _genes_and_pairs() -> dict[str, object]:
    score = np.array([[0.5, 0.1, 0.0, -0.2], [0.0, 0.8, 0.0, 0.0], [np.nan, 0.0, 0.0, 0.0]])
    zeros = np.zeros_like(score)
    drives = np.abs(np.nan_to_num(score)) > 0.15
    names = ("se", "effect_act", "effect_pre", "sign_consistency", "p", "q", "null_attribution", "null_se")
    attributions = Attributions(
        attribution=score,
        ci_low=score - 0.05,
        ci_high=score + 0.05,
        n_differing=np.full(score.shape, 7),
        drives=drives,
        floor=np.array([0.15, 0.15, np.nan]),
        null_driver_rate=np.array([0.0, 0.01, np.nan]),
        n_pairs=np.array([8, 8, 0]),
        status=np.array(["ok", "ok", "not attributable: 2 pairs"], dtype=object),
        concepts=np.arange(N_CONCEPTS),
        genes=GENES,
        dictionary_id=DICTIONARY,
        encoder_id="example",
        **dict.fromkeys(names, zeros),
    )
    columns = ("log_fold_change", "score", "p", "q", "t", "p_t", "q_t")
    de = DifferentialExpression(
        **dict.fromkeys(columns, score), concepts=np.arange(N_CONCEPTS), genes=GENES, dictionary_id=DICTIONARY
    )
    pairs = Pairs(
        concept=np.array([0, 0, 1]),
        pair=np.array([0, 1, 0]),
        factual=np.array([0, 3, 1]),
        counterfactual=np.array([1, 2, 2]),
        activation=np.array([1.0, 4.0, 2.0]),
        distance=np.array([0.1, 0.2, 0.3]),
        distance_percentile=np.array([1.0, 2.0, 3.0]),
        library_ratio=np.array([1.0, np.nan, 1.2]),
        matched=np.array(["donor", "", "cell_type,donor"], dtype=object),
        cell_ids=CELLS,
        dictionary_id=DICTIONARY,
    )
    changes = pd.DataFrame(
        {
            "concept": [0, 0, 1],
            "number": [0, 0, 0],
            "rank": [1, 2, 1],
            "gene": [0, 3, 1],
            "factual_value": [4.0, 0.0, 9.0],
            "counterfactual_value": [0.0, 3.0, 1.0],
            "effect_act": [0.5, -0.2, 0.8],
            "effect_pre": [0.5, -0.2, 0.8],
            "n_differing": [3, 3, 2],
        }
    )
    return {"attributions": attributions, "de": de, "pairs": pairs, "changes": changes}


def _terms() -> dict[str, object]:
    row = [
        "GO",
        "GO:1",
        "T cell activation",
        20,
        0.9,
        0.6,
        2.1,
        1e-5,
        1e-3,
        1e-3,
        1e-2,
        False,
        "CD3E;GNLY",
        "",
    ]
    table = pd.DataFrame([[0, *row], [1, *row]], columns=list(ENRICHMENT_COLUMNS))
    calibration = pd.DataFrame(
        {
            "control": ["null"],
            "flag": [""],
            "alpha": [0.05],
            "rate": [0.04],
            "n_tests": [100],
            "ci_low": [0.01],
            "ci_high": [0.1],
        }
    )
    curve = {
        **{"concept": 0, "collection": "GO", "term": "GO:1", "n_genes": 4, "peak": 2, "es": 0.6},
        "rank": np.array([0, 2, 4], "<u4"),
        "value": np.array([0, 0.6, 0], "<f4"),
        "hits": np.array([0, 1], "<u4"),
    }
    theme = {"concept": 0, "theme": 0, "collection": "GO", "term": "GO:1", "similarity": 1.0, "nes": 2.1}
    words = {"q_global": 0.01, "theme_name": "T cells", "name": "T cell activation", "basis": "by hand"}
    return {
        "enrichment": Enrichment(table, DICTIONARY, calibration, "z"),
        "enrichment_de": Enrichment(table.assign(nes=-1.5), DICTIONARY),
        "curves": pd.DataFrame([curve]),
        "themes": pd.DataFrame([theme | words]),
    }


def _evaluation() -> Evaluation:
    measure = {"dictionary": "topk", "metric": "r2", "label_key": "", "label": ""}
    unit = {"dictionary": "topk", "label_key": "cell_type", "label": "NK", "unit": 1, "threshold": 0.5}
    return Evaluation(
        pd.DataFrame([measure | {"value": 0.9, "sd": np.nan, "low": np.nan, "high": np.nan}]),
        pd.DataFrame([unit | {"f1_validation": 0.8, "f1": 0.75, "f1_chance": 0.2}]),
        DICTIONARY,
    )


if __name__ == "__main__":
    place = Path(__file__).with_name(f"v{SCHEMA_VERSION}.atlas")
    sys.stdout.write(f"{atlas.write(place, example_contents(), overwrite=True)}\n")
