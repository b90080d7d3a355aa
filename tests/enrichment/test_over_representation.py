import gseapy
import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from conceptome.core import ENRICHMENT_COLUMNS, InputError
from conceptome.enrichment import GeneSets, ora

N_GENES = 800
GENES = [f"G{number:04d}" for number in range(N_GENES)]


@pytest.fixture(scope="module")
def selected():
    rng = np.random.default_rng(0)
    chosen = (rng.random((3, N_GENES)) < 0.05).astype(float)
    chosen[0, :25] = 1
    chosen[2] = 0
    return pd.DataFrame(chosen, columns=GENES)


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(1)
    members = {
        f"t{n:02d}": list(rng.choice(GENES, size=size, replace=False)) for n, size in enumerate([10, 40] * 15)
    }
    return GeneSets.from_mapping({"planted": [*GENES[:40], "X1", "X2"], **members}, collection="toy")


def test_equals_fishers_exact_test(selected, sets):
    table = ora(selected, sets).table
    assert tuple(table.columns) == ENRICHMENT_COLUMNS
    for row in table.query("concept < 2").itertuples():
        chosen = set(selected.columns[selected.loc[row.concept] == 1])
        term = set(sets.genes_of(row.term)) & set(GENES)
        hits = len(chosen & term)
        rest = [len(term) - hits, N_GENES - len(chosen | term)]
        expected = fisher_exact([[hits, len(chosen) - hits], rest], alternative="greater")
        assert row.p == pytest.approx(expected.pvalue, rel=1e-9)
        assert row.no_signal == (hits == 0)
        assert set(filter(None, row.leading_edge.split(";"))) == chosen & term
    best = table.iloc[0]
    assert (best["concept"], best["term"], best["size"]) == (0, "planted", 40)
    assert best["es"] > 3
    assert best["overlap"] == pytest.approx(40 / 42)
    assert (table.query("concept == 2")["p"] == 1).all()


def test_equals_gseapy(selected, sets):
    chosen = list(selected.columns[selected.loc[0] == 1])
    lists = {term: [gene for gene in sets.genes_of(term) if gene in GENES] for term in sets.terms}
    peer = gseapy.enrich(chosen, lists, background=GENES, outdir=None, no_plot=True).results.set_index("Term")
    ours = ora(selected, sets).table.query("concept == 0").set_index("term").loc[peer.index]
    assert np.allclose(ours["p"], peer["P-value"], rtol=1e-9)
    everything = ora(selected.iloc[[0]], lists).table
    hit = ~everything["no_signal"]  # gseapy leaves terms without a hit out of its correction
    assert set(everything.loc[hit, "term"]) == set(peer.index)


def test_only_measured_genes_are_the_universe(selected, sets):
    partial = selected.copy()
    partial.iloc[0, 100:500] = np.nan
    alone = ora(selected.iloc[[0]].drop(columns=GENES[100:500]), sets).table.drop(columns="q_global")
    found = ora(partial, sets).table.query("concept == 0").drop(columns="q_global").reset_index(drop=True)
    pd.testing.assert_frame_equal(found, alone)


def test_drivers_of_attributions(demo_records):
    record, sets = demo_records.attributions, demo_records.gene_sets
    supporting = ora(record, sets).table
    opposing = ora(record, sets, drivers="opposing").table
    both = ora(record, sets, drivers="both").table
    for name, table in (("supporting", supporting), ("opposing", opposing), ("both", both)):
        for row in table[~table["no_signal"]].itertuples():
            genes = record.genes_of(row.concept, n=None).set_index("gene").loc[row.leading_edge.split(";")]
            assert genes["drives"].all()
            if name != "both":
                assert ((genes["attribution"] > 0) == (name == "supporting")).all()
    assert (~both["no_signal"]).sum() > 0
    assert supporting["q_global"].between(0, 1).all()


def test_a_selection_of_other_values_is_refused(selected, sets):
    with pytest.raises(InputError) as error:
        ora(selected * 2, sets)
    assert str(error.value) == (
        "The selection holds other values than 0, 1 and NaN; expected 1 where a gene is selected."
    )
    with pytest.raises(InputError, match="No term of toy has 100 to 2000 scored genes"):
        ora(selected, sets, min_size=100)
