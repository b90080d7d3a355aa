"""What the report says of its gene sets: by which test, how often where nothing is, what survives."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.enrichment.calibration import COLUMNS
from conceptome.pipeline.report import ReportContents, write_report

SIZES = {"min_size": 5, "seed": 0}


def text_of(contents, tmp_path, *, max_cards=20):
    path = tmp_path / "report.html"
    write_report(path, contents, max_cards=max_cards)
    page = re.sub(r"<(style|script).*?</\1>", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)).replace("&#39;", "'")


@pytest.fixture(scope="module")
def contents_by(demo_records):
    """Make the contents of a report by a method."""
    records = demo_records
    n_concepts = records.activations.n_concepts
    made: dict[str, ReportContents] = {}

    def make(method):
        if method not in made:
            brief = {"method": method, "n_permutations": 200, **SIZES}
            one, other = (
                cm.enrichment.enrich(scores, records.gene_sets, **brief)
                for scores in (records.attributions, records.de)
            )
            thinned = cm.enrichment.completeness(records.attributions, records.gene_sets, **brief)
            concepts = pd.DataFrame({"concept": range(n_concepts), "frequency": 0.5, "survival_75": 0.5})
            made[method] = ReportContents(
                title="demo",
                facts={},
                umap=np.asarray(records.adata.obsm["X_umap"], dtype=np.float64),
                labels=records.adata.obs[["cell_type"]],
                activations=records.activations,
                concepts=concepts,
                manifest={},
                attributions=records.attributions,
                de=records.de,
                enrichment=one,
                enrichment_de=other,
                completeness=thinned,
                contrast=cm.enrichment.contrast(one, other),
                gene_sets=[records.gene_sets],
            )
        return made[method]

    return make


WORDS = {
    "gsea": SimpleNamespace(effect="NES", edge="Leading edge", by="preranked gene set enrichment analysis"),
    "ulm": SimpleNamespace(effect="t", edge="Genes with its sign", by="univariate linear models (genes"),
    "ora": SimpleNamespace(
        effect="log₂ odds", edge="Driving genes in the set", by="over-representation (Fisher's exact test)"
    ),
}


@pytest.mark.parametrize("method", WORDS)
def test_the_page_is_true_of_each_method(contents_by, tmp_path, method):
    contents, words = contents_by(method), WORDS[method]
    text = text_of(contents, tmp_path)
    assert f"Gene set {words.effect} q q by expression Genes {words.edge}" in text
    assert f"gene sets were tested by {words.by}" in text
    assert ("Running sum" in text) == (method == "gsea")
    assert bool(re.search(r"\bNES\b", text)) == (method == "gsea")
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan[a-z]*", "", text.lower())
    table = contents.enrichment.table.assign(effect=contents.enrichment.effect)
    best = table[(table["q_global"] <= 0.05) & (table["effect"] > 0)].sort_values(["concept", "q_global"])
    assert len(best)
    assert re.search(rf"Best gene set: .{{5,80}} \({words.effect} \d+\.\d\d, q ", text)


def test_rates_have_their_bound_beside_them_and_a_warning_where_they_exceed_it(contents_by, tmp_path):
    contents = contents_by("gsea")
    rows = [
        ("gene-permuted scores", "", 0.05, 0.048, 2000, 0.039, 0.058),
        ("expression-matched sets", "", 0.05, 0.15, 2000, 0.135, 0.167),
        ("null-pair scores", "", 0.05, 0.06, 2000, 0.049, 0.071),
        ("expression-matched sets", "ribosomal", 0.05, 0.4, 500, 0.36, 0.44),
        ("null-pair scores", "mitochondrial", 0.05, 0.04, 100, 0.01, 0.1),
    ]
    calibration = pd.DataFrame(rows, columns=list(COLUMNS))
    table = contents.enrichment.table
    concept = int(contents.enrichment.table["concept"].iloc[0])
    flagged = table.assign(
        flag=np.where(table["concept"] == concept, "ribosomal", ""),
        q_global=np.where(table["concept"] == concept, 0.01, table["q_global"]),
    )
    changed = dataclasses.replace(contents.enrichment, table=flagged, calibration=calibration)
    text = text_of(dataclasses.replace(contents, enrichment=changed), tmp_path)
    assert "Gene sets of random genes 4.8% 5% 2,000 as it should be" in text
    assert "pairs of two cells that both have the concept 6.0% 5% 2,000 as it should be" in text
    assert "expressed as highly as the true ones 15.0% 5% 2,000 more than expected" in text
    assert text.count("Mind: ") == 1
    assert "Mind: Genes of like expression score alike" in text
    words = "40% of tests when random genes expressed alike stand in, where 5% is the most to expect."
    assert f"Sets of mostly ribosomal genes are called in {words} Such findings are marked ribosomal" in text
    assert "(concepts with one among their best gene sets: 1). Do not build on them alone" in text
    words = "4% of tests on such pairs of cells, where 5% is the most to expect. That is within bounds."
    assert f"Sets of mostly mitochondrial genes are called in {words}" in text
    calm = dataclasses.replace(contents.enrichment, calibration=calibration.iloc[:1])
    assert "Mind:" not in text_of(dataclasses.replace(contents, enrichment=calm), tmp_path)


def test_survival_is_told_for_the_run_and_on_the_cards(contents_by, tmp_path):
    contents = contents_by("gsea")
    n_found = int((contents.enrichment.table["q_global"] <= 0.05).sum())
    table = contents.completeness.groupby("share")[["n_survived", "n_findings"]].sum()
    rate = table["n_survived"] / table["n_findings"]
    text = text_of(contents, tmp_path)
    words = f"{rate[0.9]:.0%} are found again with 90% of the annotations, {rate[0.75]:.0%} with 75%, "
    words += f"{rate[0.5]:.0%} with 50% and {rate[0.25]:.0%} with 25% (3 random draws each)."
    assert f"Of {n_found:,} findings by attribution, {words}" in text
    tested = contents.enrichment.table
    by_concept = (tested["q_global"] <= 0.05).groupby(tested["concept"]).sum()
    n_most = int(by_concept.max())
    assert f"Findings of {n_most}, {n_most / 2:.2g} survive the loss of a quarter of the annotations" in text
    nothing = dataclasses.replace(contents, completeness=contents.completeness.assign(n_findings=0))
    assert "There is no finding that could be lost." in text_of(nothing, tmp_path, max_cards=1)


def test_cards_say_who_found_what(contents_by, tmp_path):
    contents = contents_by("gsea")
    record = contents.contrast
    text = text_of(contents, tmp_path)
    counts = record.findings.groupby("concept")["found"].value_counts()
    concept = record.findings.loc[record.findings["found"] == "both", "concept"].iloc[0]
    n_both, name = counts[concept, "both"], record.findings.query("concept == @concept and found == 'both'")
    assert f"Gene sets found by attribution and by expression: {n_both} by both" in text
    first = cm.evaluation.readable_term(name["name"].iloc[0])
    assert re.search(rf"By both {re.escape(first)}", text)
    assert f"agree on {record.jaccard:.1%} of what either finds (mean over concepts)" in text
