import gseapy
import numpy as np
import pandas as pd
import pytest

from conceptome.core import ENRICHMENT_COLUMNS, InputError
from conceptome.enrichment import GeneSets, gsea, running_sum
from conceptome.enrichment.engine import LISTED_P

N_GENES = 1500
GENES = [f"G{number:04d}" for number in range(N_GENES)]


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, N_GENES))
    values[0, :40] += 1.5  # concept 0 is supported by the first genes
    values[1, 40:80] -= 1.5
    return pd.DataFrame(values, index=[3, 5, 8], columns=GENES)


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(1)
    members = {"up": GENES[:40], "down": GENES[40:80], "half": [*GENES[10:30], *(f"X{n}" for n in range(20))]}
    for number, size in enumerate(rng.choice([10, 25, 40, 110], size=60)):
        members[f"random{number:02d}"] = list(rng.choice(GENES, size=size, replace=False))
    return GeneSets.from_mapping(members, collection="toy")


def rounded(scores):
    """Half of the scores exactly 0, the others tied in tenths."""
    return scores.where(scores.abs() > 0.7, 0.0).round(1)


def test_columns_and_what_is_found(scores, sets):
    table = gsea(scores, sets).table
    assert tuple(table.columns) == ENRICHMENT_COLUMNS
    assert len(table) == 3 * len(sets)
    best = table.groupby("concept").head(1).set_index("concept")
    assert best.loc[3, "term"] == "up"
    assert best.loc[3, "nes"] > 2
    assert best.loc[5, "term"] == "down"
    assert best.loc[5, "nes"] < -2
    assert (table.loc[table.q_global <= 0.05, "term"].isin(["up", "down", "half"])).all()
    half = table[table.term == "half"].iloc[0]
    assert (half["size"], half["overlap"]) == (20, 0.5)
    edge = best.loc[3, "leading_edge"].split(";")
    assert edge == list(running_sum(scores.loc[3], sets.genes_of("up")).leading_edge)
    assert list(scores.loc[3, edge]) == sorted(scores.loc[3, edge], reverse=True)


@pytest.mark.parametrize("prepare", [lambda scores: scores, rounded], ids=["tie-free", "tied"])
def test_scores_and_edges_equal_the_curve(scores, sets, prepare):
    ranked = prepare(scores)
    for row in gsea(ranked, sets, n_permutations=50).table.itertuples():
        curve = running_sum(ranked.loc[row.concept], sets.genes_of(row.term))
        assert row.es == pytest.approx(curve.es, abs=1e-12)
        assert set(row.leading_edge.split(";")) == (set(curve.leading_edge) if row.p <= LISTED_P else {""})


def test_agrees_with_gseapy_on_tie_free_rankings(scores, sets):
    """ES to 1e-6; NES and counted p within four Monte-Carlo errors of two runs, and of the right spread."""
    n_permutations = 2000
    ours = gsea(scores.iloc[[0]], sets, n_permutations=n_permutations, calibrate=False).table.set_index(
        "term"
    )
    peer = (
        gseapy.prerank(
            rnk=scores.iloc[0],
            gene_sets=dict(zip(sets.terms, map(list, sets.members), strict=True)),
            min_size=10,
            max_size=500,
            permutation_num=n_permutations,
            threads=1,
            seed=1,
            outdir=None,
            no_plot=True,
        )
        .res2d.set_index("Term")
        .loc[ours.index]
    )
    assert np.abs(ours["es"] - peer["ES"].astype(float)).max() < 1e-6
    p_peer = peer["NOM p-val"].astype(float)
    same_sign = n_permutations / 2
    p = ((ours["p_empirical"] + p_peer) / 2).clip(1 / same_sign, 1)
    error = (ours["p_empirical"] - p_peer) / np.sqrt(2 * p * (1 - p).clip(lower=1 / same_sign) / same_sign)
    assert error.abs().max() < 4.5
    assert 0.6 < error[p.between(0.05, 0.95)].std() < 1.4
    relative = ours["nes"] / peer["NES"].astype(float) - 1  # SD / mean of |null ES| is at most 0.5
    assert relative.abs().max() < 4 * 0.5 * np.sqrt(2 / same_sign)
    assert (ours["size"].to_numpy() == peer["Tag %"].str.split("/").str[1].astype(int).to_numpy()).all()


@pytest.mark.parametrize("prepare", [lambda scores: scores, rounded], ids=["tie-free", "tied"])
def test_permuting_genes_and_concepts_changes_nothing(scores, sets, prepare):
    ranked = prepare(scores)
    shuffled = ranked.iloc[::-1, np.random.default_rng(2).permutation(N_GENES)]
    one, other = gsea(ranked, sets), gsea(shuffled, sets)
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    pd.testing.assert_frame_equal(one.table, gsea(ranked, sets).table, check_exact=True)


def test_a_test_depends_on_its_own_ranking_and_term_alone(scores, sets):
    few = GeneSets.from_mapping({"up": GENES[:40]}, collection="toy")
    columns = ["concept", "term", "es", "nes", "p", "p_empirical", "leading_edge"]
    whole = gsea(scores, sets, calibrate=False).table
    alone = gsea(scores.iloc[[1]], few, calibrate=False).table[columns]
    expected = whole[(whole.concept == 5) & (whole.term == "up")][columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected, check_exact=True)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("size", [12, 40, 120])
def test_p_is_uniform_on_permuted_genes(size, tied):
    """500 permutations of one ranking; 3,000 shared null sets add 0.0056 to the binomial error of 0.0097."""
    rng = np.random.default_rng(size)
    values = rng.standard_t(4, N_GENES)
    if tied:
        values = np.where(rng.random(N_GENES) < 0.6, 0.0, values.round(1))
    permuted = pd.DataFrame([rng.permutation(values) for _ in range(500)], columns=GENES)
    table = gsea(permuted, {"term": GENES[:size]}, n_permutations=3000, calibrate=False).table
    margin = 2.6 * np.sqrt(0.05 * 0.95 / 500 + 0.0056**2)
    for p in (table["p"], table["p_empirical"]):
        rate = (p <= 0.05).mean()
        assert rate <= 0.05 + margin
        if not tied:
            assert rate >= 0.05 - margin


def test_terms_among_zeros_have_no_signal(scores):
    sparse = scores.copy()
    sparse.iloc[:, 100:200] = 0.0
    table = gsea(sparse, {"silent": GENES[100:130], "up": GENES[:40]}).table
    silent = table[table.term == "silent"]
    assert silent["no_signal"].all()
    assert (silent[["es", "nes", "p", "p_empirical"]] == [0, 0, 1, 1]).all(axis=None)
    assert (silent["leading_edge"] == "").all()
    assert not table.loc[table.term == "up", "no_signal"].any()


def test_nan_is_outside_the_universe_of_its_concept(scores, sets):
    partial = scores.copy()
    partial.loc[3, GENES[:20]] = np.nan
    partial.loc[5] = np.nan
    table = gsea(partial, sets).table
    assert set(table["concept"]) == {3, 8}
    up = table[table.term == "up"].set_index("concept")
    assert up.loc[3, ["size", "overlap"]].tolist() == [20, 0.5]
    assert up.loc[8, ["size", "overlap"]].tolist() == [40, 1.0]
    dropped = gsea(scores.loc[[3]].drop(columns=GENES[:20]), sets).table
    alone = table[table.concept == 3].drop(columns="q_global").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, dropped.drop(columns="q_global"), check_exact=True)


def test_nothing_attributable_gives_an_empty_table(scores, sets):
    result = gsea(scores * np.nan, sets)
    assert len(result.table) == 0
    assert tuple(result.table.columns) == ENRICHMENT_COLUMNS


def test_corrects_over_the_run_and_over_the_concept(scores, sets):
    from scipy.stats import false_discovery_control

    table = gsea(scores, sets).table
    assert np.allclose(table["q_global"], false_discovery_control(table["p"]))
    for _, rows in table.groupby("concept"):
        assert np.allclose(rows["q_concept"], false_discovery_control(rows["p"]))


def test_symbols_stand_for_other_gene_names(scores, sets):
    ensembl = scores.set_axis([f"ENSG{number:05d}" for number in range(N_GENES)], axis=1)
    expected = gsea(scores, sets).table
    pd.testing.assert_frame_equal(gsea(ensembl, sets, gene_names=GENES).table, expected, check_exact=True)
    by_index = pd.Series(GENES, index=ensembl.columns).iloc[::-1]
    pd.testing.assert_frame_equal(gsea(ensembl, sets, gene_names=by_index).table, expected, check_exact=True)
    two = pd.Series(GENES, index=ensembl.columns)
    two.iloc[100:140] = GENES[:40]  # two Ensembl ids of one symbol both belong to the term
    assert gsea(ensembl, {"up": GENES[:40]}, gene_names=two).table["size"].tolist() == [80, 80, 80]


def test_several_collections_keep_their_names(scores, sets):
    more = GeneSets.from_mapping({"up": GENES[:40]}, collection="more")
    table = gsea(scores, [sets, more]).table
    rows = table[(table.term == "up") & (table.concept == 3)]
    assert set(rows["collection"]) == {"toy", "more"}
    assert rows["p"].nunique() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"min_size": 600, "max_size": 700},
            "No term of toy has 600 to 700 scored genes: {known} of the {named} genes in the terms are "
            "among the 1500 scored genes (G0000, G0001, G0002 ...). Lower min_size, give gene_names where "
            "the scores name genes by another system, or find genes by alias and case with "
            "cm.enrichment.match_genes.",
        ),
        (
            {"min_size": 20, "max_size": 10},
            "min_size is 20 and max_size 10; expected 1 <= min_size <= max_size.",
        ),
        (
            {"n_permutations": 0},
            "n_permutations is 0 and seed 0; expected at least one permutation (1000 for usual work) and a "
            "seed of 0 or more.",
        ),
        ({"gene_names": ["A"]}, "gene_names has 1 entries for 1500 scored genes. Give one entry per gene."),
        (
            {"expression": pd.Series(1.0, index=GENES[1:])},
            "expression lacks 1 of the 1500 scored genes, such as ['G0000']. Give a Series with an entry for "
            "every gene, or a sequence in the order of the scores' genes.",
        ),
        (
            {"expression": [np.nan] + [1.0] * (N_GENES - 1)},
            "expression is no finite number for 1 of 1500 genes; give means over all cells.",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(scores, sets, change, message):
    with pytest.raises(InputError) as error:
        gsea(scores, sets, **change)
    named = {gene for genes in sets.members for gene in genes}
    assert str(error.value) == message.format(known=len(named & set(GENES)), named=len(named))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda scores: scores.replace(scores.iloc[0, 0], np.inf),
            "The scores hold 1 infinite values; expected finite ones, NaN where a gene was not measured. "
            "Clip them or rank by another statistic.",
        ),
        (
            lambda scores: scores.rename(columns={"G0001": "G0000"}),
            "The scores repeat the genes ['G0000']; expected each once. Make the names unique.",
        ),
        (
            lambda scores: scores.rename(index={5: 3}),
            "The scores repeat the concepts [3]; expected each once. Make the names unique.",
        ),
        (
            lambda scores: scores.assign(G0000="high"),
            "The scores hold entries that are no numbers; expected concepts x genes of floats.",
        ),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, sets, spoil, message):
    with pytest.raises(InputError) as error:
        gsea(spoil(scores), sets)
    assert str(error.value) == message


def test_collections_of_one_name_are_refused(scores, sets):
    with pytest.raises(InputError, match="expected at least one, each with a name of its own"):
        gsea(scores, [sets, sets])


def test_attributions_are_ranked_by_signal_to_noise(demo_records):
    record, sets = demo_records.attributions, demo_records.gene_sets
    options = {"min_size": 5, "n_permutations": 200, "calibrate": False}
    by_z = gsea(record, sets, **options)
    assert by_z.rank_by == "z"
    pd.testing.assert_frame_equal(by_z.table, gsea(record.scores("z"), sets, **options).table)
    plain = gsea(record, sets, rank_by="attribution", **options)
    pd.testing.assert_frame_equal(plain.table, gsea(record.scores("attribution"), sets, **options).table)
    assert not np.allclose(plain.table["es"], by_z.table["es"])


def test_threads_and_blocks_of_concepts_change_nothing(scores, sets, monkeypatch):
    whole = gsea(scores, sets, n_permutations=300).table
    monkeypatch.setattr("conceptome.enrichment.kernels.n_threads", lambda: 5)
    monkeypatch.setattr("conceptome.enrichment.engine.BLOCK_CONCEPTS", 2)
    monkeypatch.setattr("conceptome.enrichment.preranked.CONCEPTS_AT_A_TIME", 2)
    pd.testing.assert_frame_equal(gsea(scores, sets, n_permutations=300).table, whole, check_exact=True)
