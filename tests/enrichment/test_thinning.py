import numpy as np
import pandas as pd
import pytest

from conceptome.core import InputError
from conceptome.enrichment import GeneSets, Thinning, completeness, enrich, gsea, read_obo

N_GENES = 900
GENES = [f"G{number:04d}" for number in range(N_GENES)]
OPTIONS = {"n_permutations": 300, "min_size": 8}


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(1)
    members = {f"r{n:02d}": list(rng.choice(GENES, size=40, replace=False)) for n in range(20)}
    planted = {"strong": GENES[:60], "weak": GENES[100:112], "small": GENES[200:209]}
    return GeneSets.from_mapping({**planted, **members}, collection="toy")


@pytest.fixture(scope="module")
def scores():
    values = np.random.default_rng(0).standard_normal((3, N_GENES))
    values[0, :60] += 1.5
    values[0, 100:112] += 2.0
    values[0, 200:209] -= 2.5
    values[1, :60] -= 1.5
    return pd.DataFrame(values, columns=GENES)


@pytest.fixture(scope="module")
def table(scores, sets):
    return completeness(scores, sets, subsets={"half": half(sets)}, **OPTIONS)


def half(sets):
    return GeneSets("half", sets.terms, sets.names, tuple(genes[::2] for genes in sets.members))


def test_counts_what_survives(table, scores, sets):
    whole = gsea(scores, sets, calibrate=False, **OPTIONS).table
    found = whole[whole["q_global"] <= 0.05].groupby("concept").size().reindex([0, 1, 2], fill_value=0)
    assert found[0] == 3
    assert len(table) == 3 * (4 * 3 + 1)
    for concept, rows in table.groupby("concept"):
        assert (rows["n_findings"] == found[concept]).all()
    random = table.query("thinning == 'random'")
    assert np.allclose(sorted(random["share"].unique().round(1))[-1], 0.9)
    assert (random["n_survived"] <= random["n_tested"]).all()
    assert (random["n_tested"] <= random["n_findings"]).all()
    few = random.query("concept == 0 and share < 0.3")
    assert (few["n_tested"] <= 1).all()  # of "weak" and "small" fewer than 8 genes are left
    assert (few["n_survived"] == 1).all()  # a quarter of "strong" is enough
    assert table.query("concept == 2")["survival"].isna().all()


def test_all_annotations_find_the_same_again(scores, sets):
    same = completeness(scores, sets, thinning=Thinning(shares=(1.0,), repeats=1), **OPTIONS)
    known = same[same["n_findings"] > 0]
    assert (known["survival"] == 1).all()
    assert (same["n_new"] == 0).all()


@pytest.mark.parametrize("method", ["gsea", "ulm", "ora"])
def test_versions_tested_together_find_what_each_finds_alone(scores, sets, method):
    chosen = (scores > 1.5).astype(float) if method == "ora" else scores
    chosen.iloc[1, 850:] = np.nan  # another universe
    brief = {"method": method, "min_size": 8, "n_permutations": 300}
    together = completeness(chosen, sets, subsets={"half": half(sets)}, **brief)
    columns = ["n_findings", "n_survived", "n_new"]
    rows = together.query("thinning == 'half'").set_index("concept")[columns]
    for concept in chosen.index:
        found = {}
        for name, version in (("whole", sets), ("half", half(sets))):
            table = enrich(chosen, version, calibrate=False, **brief).table
            table = table[(table["q_global"] <= 0.05) & (table["concept"] == concept)]
            found[name] = set(zip(table["term"], np.sign(table["es"]), strict=True))
        expected = [len(found["whole"]), len(found["whole"] & found["half"])]
        expected += [len({term for term, _ in found["half"]} - {term for term, _ in found["whole"]})]
        assert rows.loc[concept].tolist() == expected
    assert rows["n_findings"].sum() > 0


def test_several_collections_are_thinned_and_corrected_together(scores, sets):
    parts = [
        GeneSets(name, sets.terms[at], sets.names[at], sets.members[at])
        for name, at in (("first", slice(3)), ("second", slice(3, None)))
    ]
    brief = {"thinning": Thinning(shares=(0.75,), repeats=1), **OPTIONS}
    pd.testing.assert_frame_equal(completeness(scores, parts, **brief), completeness(scores, sets, **brief))


def test_a_version_without_a_testable_term_finds_nothing_again(scores):
    sets = GeneSets.from_mapping({"strong": GENES[:10], "other": GENES[300:310]}, collection="short")
    few = completeness(scores, sets, thinning=Thinning(shares=(0.25,), repeats=1), **OPTIONS)
    assert (few["n_tested"] == 0).all()
    assert few.set_index("concept")["survival"].loc[0] == 0
    whole = gsea(scores, sets, calibrate=False, **OPTIONS).table
    assert (
        few.set_index("concept")["n_findings"].loc[0]
        == (whole.query("concept == 0")["q_global"] <= 0.05).sum()
    )


def test_subsets_are_compared_by_name(table, scores, sets):
    rows = table.query("thinning == 'half'").set_index("concept")
    assert rows.loc[0, "share"] == pytest.approx(0.5, abs=0.01)
    now = gsea(scores, half(sets), calibrate=False, **OPTIONS).table.query(
        "q_global <= 0.05 and concept == 0"
    )
    assert rows.loc[0, "n_survived"] == now["term"].isin(["strong", "weak", "small"]).sum()


def test_repeats_with_the_seed(scores, sets):
    brief = {"thinning": Thinning(shares=(0.5,), repeats=2), **OPTIONS}
    one, again = completeness(scores, sets, seed=3, **brief), completeness(scores, sets, seed=3, **brief)
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(completeness(scores, sets, seed=4, **brief))


def test_direct_annotations_are_thinned_before_they_climb(tmp_path, scores):
    path = tmp_path / "tiny.obo"
    stanza = "[Term]\nid: GO:000000{n}\nname: {name}\nnamespace: biological_process\n{parent}\n"
    path.write_text(
        "format-version: 1.2\n\n"
        + stanza.format(n=1, name="root", parent="")
        + stanza.format(n=2, name="leaf", parent="is_a: GO:0000001 ! root\n")
    )
    direct = GeneSets(
        "direct", ("GO:0000001", "GO:0000002"), ("root", "leaf"), (tuple(GENES[60:90]), tuple(GENES[:60]))
    )
    none = Thinning(shares=(0.999,), repeats=1)
    climbed = completeness(scores, direct, ontology=read_obo(path), thinning=none, **OPTIONS)
    assert climbed.query("concept == 0")["n_findings"].item() == 2  # the root has the leaf's genes too
    plain = completeness(scores, direct, thinning=none, **OPTIONS)
    assert plain.query("concept == 0")["n_findings"].item() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": (0.5, 0.0)}, "shares is (0.5, 0.0); expected one or more numbers above 0 and up to 1."),
        (
            {"repeats": 0},
            "repeats is 0 and alpha 0.05; expected at least one repeat and an alpha between 0 and 1.",
        ),
    ],
)
def test_thinning_that_does_not_fit_is_refused(options, message):
    with pytest.raises(InputError) as error:
        Thinning(**options)
    assert str(error.value) == message
