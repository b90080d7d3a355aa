"""Against gseapy.prerank with real collections, on tie-free rankings."""

import gseapy
import numpy as np
import pandas as pd
import pytest

from conceptome.enrichment import GeneSets, gsea, read_gmt

N_PERMUTATIONS = 1000
FILES = {
    "hallmark": ("hallmark_msigdb_v2024.1.Hs.symbols.gmt", 1),
    "go-bp": ("gobp_msigdb_v2023.1.Hs.max300genes.symbols.gmt.gz", 120),  # every 120th term
}


@pytest.mark.parametrize("collection", FILES)
def test_scores_and_p_are_those_of_gseapy(shared, collection):
    """ES to 1e-6; NES and counted p within the Monte-Carlo error of two runs."""
    file, step = FILES[collection]
    whole = read_gmt(shared / "data/genesets" / file)
    chosen = range(0, len(whole), step)
    sets = GeneSets(
        collection, *(tuple(row[at] for at in chosen) for row in (whole.terms, whole.names, whole.members))
    )
    rng = np.random.default_rng(0)
    genes = sorted({gene for members in whole.members for gene in members})
    scores = pd.Series(rng.standard_t(4, len(genes)), index=genes)
    scores[list(sets.members[3])] += 1
    ours = gsea(scores.to_frame(0).T, sets, n_permutations=N_PERMUTATIONS, calibrate=False).table
    ours = ours.set_index("term")
    options = {"permutation_num": N_PERMUTATIONS, "threads": 1, "seed": 1, "outdir": None, "no_plot": True}
    lists = dict(zip(sets.terms, map(list, sets.members), strict=True))
    peer = gseapy.prerank(rnk=scores, gene_sets=lists, min_size=10, max_size=500, **options).res2d
    peer = peer.set_index("Term").astype({"ES": float, "NES": float, "NOM p-val": float})
    assert set(peer.index) == set(ours.index)
    peer = peer.loc[ours.index]
    assert (ours["es"] - peer["ES"]).abs().max() < 1e-6
    same_sign = N_PERMUTATIONS / 2
    assert (ours["nes"] / peer["NES"] - 1).abs().max() < 4 * 0.5 * np.sqrt(2 / same_sign)
    p = ((ours["p_empirical"] + peer["NOM p-val"]) / 2).clip(1 / same_sign, 1)
    error = (ours["p_empirical"] - peer["NOM p-val"]) / np.sqrt(
        2 * p * (1 - p).clip(1 / same_sign) / same_sign
    )
    assert error.abs().max() < 4.5
    assert 0.6 < error[p.between(0.05, 0.95)].std() < 1.4
