import numpy as np
import pandas as pd
import pytest
from scipy import stats

from conceptome.core import ENRICHMENT_COLUMNS, InputError
from conceptome.enrichment import GeneSets, read_network, ulm

N_GENES = 600
GENES = [f"G{number:04d}" for number in range(N_GENES)]


@pytest.fixture(scope="module")
def scores():
    values = np.random.default_rng(0).standard_t(4, size=(4, N_GENES))
    values[0, :30] += 1.5
    values[0, 30:60] -= 1.5
    values[1] = np.where(np.abs(values[1]) < 1, 0.0, values[1].round(1))
    return pd.DataFrame(values, columns=GENES)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    rng = np.random.default_rng(1)
    rows = [("TF", gene, 1) for gene in GENES[:30]] + [("TF", gene, -1) for gene in GENES[30:60]]
    for number in range(25):
        for gene in rng.choice(GENES, size=rng.integers(5, 80), replace=False):
            rows.append((f"R{number:02d}", gene, round(rng.normal(), 2)))
    path = tmp_path_factory.mktemp("nets") / "net.csv"
    pd.DataFrame(rows, columns=["source", "target", "weight"]).to_csv(path, index=False)
    return read_network(path)


def test_equals_least_squares_gene_by_gene(scores, network):
    table = ulm(scores, network).table
    assert tuple(table.columns) == ENRICHMENT_COLUMNS
    assert len(table) == 4 * len(network)
    for row in table.itertuples():
        at = network.terms.index(row.term)
        x = pd.Series(network.weights[at], index=network.members[at]).reindex(GENES).fillna(0.0)
        fit = stats.linregress(x, scores.loc[row.concept])
        assert row.es == pytest.approx(fit.slope / fit.stderr, rel=1e-9)
        assert row.p == pytest.approx(fit.pvalue, rel=1e-7)
    assert table["nes"].isna().all()
    assert table["p_empirical"].isna().all()


def test_equals_decoupler(scores, network):
    """Golden: ``decoupler.mt.ulm(scores, edges, tmin=5)`` of decoupler 2.2.0 on these scores and edges."""
    golden = pd.DataFrame(
        [
            [8.239356808575426, 0.8953272534877661, -0.589523551407091, 0.7414885069866554],
            [0.3711311841161117, 0.3958561613463687, 0.1383892235670056, -1.0160797075342405],
        ],
        columns=["TF", "R00", "R07", "R24"],
    )
    found = ulm(scores, network, calibrate=False).table.pivot(index="concept", columns="term", values="es")
    np.testing.assert_allclose(found.loc[[0, 1], golden.columns], golden, rtol=1e-11)


def test_signs_of_targets_count(scores, network):
    top = ulm(scores, network).table.groupby("concept").head(1).set_index("concept")
    assert top.loc[0, "term"] == "TF"
    assert top.loc[0, "es"] > 8
    plain = GeneSets("plain", network.terms, network.terms, network.members)
    unsigned = ulm(scores, plain).table.query("concept == 0 and term == 'TF'")
    assert unsigned["es"].abs().item() < 4


def test_keeps_its_level_and_sees_no_order(scores, network):
    result = ulm(scores, network)
    rate = result.calibration.set_index("alpha").loc[0.05]
    assert 0.03 < rate["rate"] < 0.075  # Student's t is not exact for few weights and heavy tails
    assert rate["n_tests"] == 2000
    shuffled = scores.iloc[::-1, np.random.default_rng(2).permutation(N_GENES)]
    pd.testing.assert_frame_equal(ulm(shuffled, network).table, result.table, check_exact=True)


def test_a_flat_ranking_has_no_signal(scores):
    flat = scores * 0.0
    table = ulm(flat, {"t": GENES[:20]}).table
    assert (table[["es", "p"]] == [0, 1]).all(axis=None)
    assert table["no_signal"].all()


def test_missing_genes_and_sizes(scores, network):
    partial = scores.copy()
    partial.loc[2, GENES[:40]] = np.nan
    partial.loc[3] = np.nan
    table = ulm(partial, network).table
    assert set(table["concept"]) == {0, 1, 2}
    assert table.query("concept == 2 and term == 'TF'")["size"].item() == 20
    with pytest.raises(InputError, match="No term of net has 300 to 2000 scored genes"):
        ulm(scores, network, min_size=300)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\nx,y\n", "has no column source or tf or regulator; it has a, b. Rename one."),
        (
            "source,target,weight\nA,x,high\n",
            "1 edges have a weight that is no finite number; expected such as 1, -1 or 0.5.",
        ),
        (
            "source,target,weight\nA,x,1\nA,x,-1\n",
            "gives 1 edges two weights (A to x). Keep one for each.",
        ),
    ],
)
def test_networks_that_are_none_are_refused(tmp_path, text, message):
    path = tmp_path / "net.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_network(path)
    assert message in str(error.value)
    with pytest.raises(InputError, match=r"There is no network at .*none\.csv; expected a table"):
        read_network(tmp_path / "none.csv")


def test_real_networks(shared):
    folder = shared / "data/genesets"
    collectri = read_network(folder / "collectri_human.csv.gz")
    assert len(collectri) == 1186
    assert sum(map(len, collectri.members)) == 43_178
    assert {weight for row in collectri.weights for weight in row} == {1.0, -1.0}
    dorothea = read_network(folder / "dorothea_hs.csv.gz", levels="AB")
    assert 0 < len(dorothea) < 300
