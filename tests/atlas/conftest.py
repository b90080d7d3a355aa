"""An atlas of real cells: the demo's, with principal components as concepts."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from conceptome import atlas


@pytest.fixture(scope="session")
def contents(demo_records):
    """Records of the demo as contents of an atlas."""
    cells, pairs = demo_records.adata, demo_records.pairs
    frame = pairs.to_frame()
    frame["number"] = frame.groupby("concept").cumcount()
    changes = frame[["concept", "number"]].assign(
        rank=1,
        gene=3,
        factual_value=2.0,
        counterfactual_value=0.0,
        effect_act=0.5,
        effect_pre=0.25,
        n_differing=9,
    )
    best = demo_records.enrichment.table.iloc[0]
    curve = {
        **{name: best[name] for name in ("concept", "collection", "term", "es")},
        "n_genes": 10,
        "peak": 2,
        "rank": np.array([0, 2, 10], "<u4"),
        "value": np.array([0, 0.5, 0], "<f4"),
        "hits": np.array([0, 1], "<u4"),
    }
    layout = demo_records.activations.values[:, [0, 1]].toarray().astype(float)
    layout[7] = np.nan
    return atlas.Contents(
        activations=demo_records.activations,
        obs=cells.obs.assign(batch=np.arange(len(cells)) % 2, depth=np.arange(len(cells), dtype=float)),
        layout=layout,
        genes=pd.DataFrame({"name": cells.var_names, "symbol": cells.var_names, "aliases": "also_called"}),
        concepts=pd.DataFrame(
            {
                "concept": np.arange(demo_records.activations.n_concepts),
                "auto_name": "<script>alert(1)</script>",
                "added_later": True,
            }
        ),
        directions=demo_records.dictionary.directions,
        pairs=pairs,
        changes=changes,
        attributions=demo_records.attributions,
        de=demo_records.de,
        enrichment=demo_records.enrichment,
        enrichment_de=demo_records.enrichment_de,
        curves=pd.DataFrame([curve]),
        expression=sp.csr_array(cells.X),
        roles={"cell_type": "label", "batch": "batch", "depth": "depth"},
        title="demo",
        facts={"Cells": len(cells)},
        provenance={"versions": {"conceptome": "test"}},
        missing={"stability": "One seed was trained. Run again with --n-seeds 5."},
    )


@pytest.fixture(scope="session")
def bundle(contents, tmp_path_factory):
    """An atlas on disk; to be read only."""
    return atlas.write(tmp_path_factory.mktemp("atlas") / "demo.atlas", contents)
