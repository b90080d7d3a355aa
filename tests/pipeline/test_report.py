import base64
import dataclasses
import hashlib
import html.parser
import re

import numpy as np
import pandas as pd
import pytest

from conceptome.core import Evaluation, InputError
from conceptome.dictionaries import concept_modules
from conceptome.enrichment import themes
from conceptome.evaluation import SeedStability
from conceptome.pipeline.report import ReportContents, write_report

HOSTILE = "<script>alert('x')</script>"


class Page(html.parser.HTMLParser):
    """What a browser would find: tags, ids, links, texts outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.images, self.texts = [], [], [], [], []
        self._inside = None
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.texts))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.images += [attributes] if tag == "img" else []
        self._inside = tag

    def handle_data(self, data):
        if self._inside not in {"script", "style"}:
            self.texts.append(data)

    def handle_endtag(self, tag):
        self._inside = None


@pytest.fixture(scope="module")
def contents(demo_records):
    activations = demo_records.activations
    n_concepts = activations.n_concepts
    labels = demo_records.adata.obs[["cell_type"]]
    names = list(labels["cell_type"].cat.categories)
    star = int(demo_records.attributions.drives.sum(axis=1).argmax())
    concepts = pd.DataFrame(
        {
            "concept": np.arange(n_concepts),
            "frequency": activations.frequency(),
            "mean_activation": 1.0,
            "best_label": [names[i % 8] for i in range(n_concepts)],
            "best_label_key": "cell_type",
            "best_label_f1": np.where(np.arange(n_concepts) == star, 0.95, 0.4),
            "best_label_share": 0.8,
            "stability": np.nan,
        }
    )
    measures = pd.DataFrame(
        [
            (name, metric, "", "", value, np.nan)
            for name, values in {"topk": (0.81, 4.0), "neurons": (1.0, 6.0), "pca": (0.7, 4.0)}.items()
            for metric, value in zip(("r2", "l0"), values, strict=True)
        ],
        columns=["dictionary", "metric", "label_key", "label", "value", "sd"],
    )
    columns = ["dictionary", "label_key", "label", "unit", "threshold", "f1_validation", "f1"]
    units = pd.DataFrame([("topk", "cell_type", names[9], 3, 0.5, 0.6, 0.55)], columns=columns)
    return ReportContents(
        title="demo",
        facts={"Cells": 700, "Encoder": "linear"},
        umap=np.asarray(demo_records.adata.obsm["X_umap"], dtype=np.float64),
        labels=labels,
        activations=activations,
        concepts=concepts,
        manifest={"command": "conceptome demo", "versions": {"conceptome": "0.1.0"}, "seeds": {"run": 0}},
        attributions=demo_records.attributions,
        pairs=demo_records.pairs,
        de=demo_records.de,
        enrichment=demo_records.enrichment,
        enrichment_de=demo_records.enrichment_de,
        themes=themes(demo_records.enrichment),
        evaluation=Evaluation(measures, units),
        gene_sets=[demo_records.gene_sets],
    )


@pytest.fixture(scope="module")
def grouped(contents):
    """The same with modules, two of them with the same best label."""
    found = concept_modules(contents.activations, labels=contents.labels["cell_type"])
    return dataclasses.replace(
        contents, modules=found, concepts=contents.concepts.assign(module=found.concepts["module"])
    )


@pytest.fixture(scope="module")
def written(contents, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, contents, max_cards=5)
    return path


@pytest.fixture(scope="module")
def page(written):
    return Page(written.read_text(encoding="utf-8"))


def test_the_file_stands_alone(written, page):
    text = written.read_text(encoding="utf-8")
    assert all(link.startswith("#") for link in page.links)
    assert all(image["src"].startswith("data:image/") for image in page.images)
    assert "@import" not in text
    assert not re.search(r"""(src|href)=["']?(https?:|//|file:)""", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    )


def test_the_policy_allows_exactly_the_script_in_the_page(written):
    text = written.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_ids_are_unique_and_links_lead_somewhere(page):
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_every_image_has_a_text(page):
    assert page.images
    assert all(len(image["alt"]) > 10 for image in page.images)


def marked(contents, row, genes):
    """Genes as the page names them: an arrow where expression is lower in active cells."""
    lower = (contents.de.score[row] < 0) & (contents.de.q[row] <= 0.05)
    return ", ".join(contents.attributions.genes[g] + ("↓" if lower[g] else "") for g in genes)


def test_the_summary_names_label_f1_and_genes_of_the_best_concept(contents, page):
    best = contents.concepts.loc[contents.concepts["best_label_f1"].idxmax()]
    a = contents.attributions
    row = best["concept"]
    drivers = np.flatnonzero(a.drives[row] & (a.attribution[row] > 0))
    names = marked(contents, row, drivers[np.argsort(-a.attribution[row, drivers])][:6])
    assert names
    summary = page.text[page.text.index("What the model has learned") : page.text.index("Dataset and model")]
    assert f"Concept {row} marks {best['best_label']} F1 0.95 Driven by {names}" in summary


def test_without_drivers_the_largest_effects_are_named_as_such(contents, tmp_path):
    a = contents.attributions
    none = dataclasses.replace(contents, attributions=dataclasses.replace(a, drives=np.zeros_like(a.drives)))
    path = tmp_path / "report.html"
    write_report(path, none, max_cards=1)
    row = contents.concepts["best_label_f1"].idxmax()
    largest = np.argsort(-np.nan_to_num(a.attribution[row]), kind="stable")[:6]
    names = marked(contents, row, largest)
    assert "↓" in marked(contents, row, range(len(a.genes)))
    text = Page(path.read_text(encoding="utf-8")).text
    assert f"No gene passes as a driver. Largest effects: {names}" in text


def test_a_label_without_a_concept_is_said_and_its_closest_unit_named(contents, page):
    label = contents.labels["cell_type"].cat.categories[9]
    assert f"No concept has {label} as its best label. The closest is" in page.text
    assert "concept 3 (F1 0.55 on test cells)" in page.text


def test_the_table_lists_all_concepts_and_cards_the_chosen_ones(contents, page):
    cards = [i for i in page.ids if re.fullmatch(r"concept-\d+", i)]
    n_concepts = len(contents.concepts)
    assert len(cards) == 5
    assert (
        f"{n_concepts} concepts. Cards are shown for the first 5 ({n_concepts - 5} more are listed"
        in page.text
    )


def test_the_score_stands_in_the_table_and_on_the_card_with_its_parts(contents, page, tmp_path):
    assert "Score" not in page.text  # these contents have none
    scores = {"card_score": 0.5, "part_fidelity": 0.25, "part_label": 0.75, "part_stability": np.nan}
    concepts = contents.concepts.assign(**scores)
    concepts.loc[0, [*scores]] = np.nan
    path = tmp_path / "report.html"
    write_report(path, dataclasses.replace(contents, concepts=concepts), max_cards=3)
    text = path.read_text(encoding="utf-8")
    made_of = "made of: fidelity 0.25, label 0.75; not measured: stability, faithfulness, annotation"
    n_measured = len(concepts) - 1
    assert (
        text.count(f'<td data-v="0.5" title="{made_of}">0.50 <span class="quiet">2 parts</span></td>')
        == n_measured
    )
    assert text.count('<td data-v="-1">–</td>') >= 1
    assert text.count(f"<dt>Score 0.50, mean of 2 of 5 parts</dt><dd>{made_of}</dd>") == 3
    assert "It is not the probability that a concept is real" in text


def test_fidelity_shows_the_dictionary_first_and_its_baselines(page):
    assert re.search(
        r"Measure topk neurons pca Fidelity Variance of the embedding kept \(R², held-out cells\) 0.81 1 0.7",
        page.text,
    )
    assert "reproduce 81.0% of the variance of the embedding with 4.0 active concepts per cell" in page.text


def test_the_same_contents_give_the_same_bytes(written, contents, tmp_path):
    again = tmp_path / "again.html"
    write_report(again, contents, max_cards=5)
    assert again.read_bytes() == written.read_bytes()


def test_a_card_stays_small(written):
    cards = re.findall("<article.*?</article>", written.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(cards) == 5
    assert max(map(len, cards)) < 72 * 1024


def test_findings_are_drawn_for_the_dictionary_and_on_each_card_that_has_some(contents, written, page):
    texts = [image["alt"] for image in page.images]
    found = set(contents.themes["concept"])
    assert f"Themes of {len(found)} concepts with findings, as dots." in texts
    assert {"themes"} <= set(page.ids)
    carded = {int(name.removeprefix("concept-")) for name in page.ids if re.fullmatch(r"concept-\d+", name)}
    drawn = {
        concept
        for concept in carded
        if any(f"gene sets found for concept {concept}," in text for text in texts)
    }
    assert drawn == carded & found != set()


def test_without_findings_there_is_no_part_on_themes(contents, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, dataclasses.replace(contents, themes=contents.themes.iloc[:0]), max_cards=1)
    page = Page(path.read_text(encoding="utf-8"))
    assert "themes" not in page.ids
    assert "#themes" not in page.links
    assert not any("gene sets found for concept" in image["alt"] for image in page.images)


def test_hostile_texts_stay_texts(contents, demo_records, tmp_path):
    genes = pd.Index([f"{HOSTILE}$x{{{gene}" for gene in contents.attributions.genes])
    labels = pd.DataFrame({HOSTILE: contents.labels["cell_type"].astype(str) + HOSTILE}).set_index(
        contents.labels.index
    )
    concepts = contents.concepts.assign(
        best_label=contents.concepts["best_label"] + HOSTILE, best_label_key=HOSTILE
    )
    hostile = dataclasses.replace(
        contents,
        title=HOSTILE,
        labels=labels,
        concepts=concepts,
        facts={HOSTILE: HOSTILE},
        manifest={"command": HOSTILE, "settings": {HOSTILE: [HOSTILE]}},
        attributions=dataclasses.replace(contents.attributions, genes=genes),
        de=dataclasses.replace(contents.de, genes=genes),
        missing={"enrichment": HOSTILE},
        enrichment=None,
    )
    path = tmp_path / "hostile.html"
    write_report(path, hostile, max_cards=2)
    text = path.read_text(encoding="utf-8")
    assert Page(text).tags.count("script") == 1
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in text
    assert "%3Cscript" not in text


OPTIONAL = ("attributions", "pairs", "de", "enrichment", "enrichment_de", "evaluation", "gene_sets")
OPTIONAL += ("completeness", "contrast")


@pytest.mark.parametrize("part", OPTIONAL)
def test_each_part_may_be_missing_and_the_page_says_so(contents, tmp_path, part):
    path = tmp_path / "report.html"
    write_report(path, dataclasses.replace(contents, **{part: None}), max_cards=1)
    text = Page(path.read_text(encoding="utf-8")).text
    said = {
        "attributions": "It needs an encoder that can read edited cells: run again with --encoder linear",
        "de": "Differential expression was not computed.",
        "enrichment": "Run again with --gene-sets FILE.gmt, or with the shipped collection immune-starter.",
        "evaluation": "Fidelity was not measured.",
        "completeness": "What findings owe to complete annotations was not measured.",
        "contrast": "Findings by attribution and by expression were not compared.",
    }
    assert said.get(part, "What the model has learned") in text


def test_a_run_of_precomputed_embeddings_without_labels_is_a_readable_page(contents, tmp_path):
    reason = "obsm['X_scgpt'] is precomputed: edited cells cannot be embedded. Use --encoder scvi."
    bare = dataclasses.replace(
        contents,
        **dict.fromkeys(OPTIONAL),
        labels=contents.labels[[]],
        concepts=contents.concepts[["concept", "frequency", "mean_activation"]],
        missing={"attributions": reason},
    )
    path = tmp_path / "report.html"
    write_report(path, bare, max_cards=2)
    text = Page(path.read_text(encoding="utf-8")).text
    assert reason in text
    assert "Gene sets are tested on gene attributions, and there are none in this run." in text
    assert "Run again with --label-key to see what a concept marks." in text


def test_concepts_that_could_not_be_judged_are_listed_with_the_reason(contents, tmp_path):
    a = contents.attributions
    status = a.status.astype(object)
    status[2], status[4] = "not attributable: active in 5 cells, needs 8", "underpowered"
    path = tmp_path / "report.html"
    judged = dataclasses.replace(
        contents, attributions=dataclasses.replace(a, status=status), concepts=contents.concepts.iloc[[2, 4]]
    )
    write_report(path, judged)
    page = Page(path.read_text(encoding="utf-8"))
    listed = page.text[page.text.index("Concepts without trustworthy gene scores") :]
    assert "not attributable: active in 5 cells, needs 8" in listed
    assert "underpowered: with its pairs no gene could have reached q ≤ 0.05" in listed
    assert "This concept is not attributable: active in 5 cells, needs 8." in page.text


def seeds(contents, **means):
    """Stability over three seeds; the first five concepts are above chance, four recur."""
    n_concepts = len(contents.concepts)
    ranks = np.arange(n_concepts)
    tables = [
        pd.DataFrame(
            {
                "by": by,
                "concept": ranks,
                "stability": 0.95 - 0.05 * ranks,
                "null": 0.2,
                "p": 0.01 + (ranks > 4),
                "recurrence": np.where(ranks < 4, 1.0, 0.5),
            }
        )
        for by in means
    ]
    columns = {"by": list(means), "mean": list(means.values()), "sd": 0.05, "null": 0.2, "random_sae": 0.4}
    return SeedStability(pd.concat(tables), pd.DataFrame(columns), (0.8, 0.82, 0.84))


@pytest.mark.parametrize(
    ("directions", "activations", "said"),
    [
        (0.5, 0.6, "Concepts return better than those of autoencoders whose encoder is random."),
        (0.41, 0.3, "Taken together, concepts return no better than those of autoencoders whose encoder is"),
        (0.3, 0.6, "By the cells that activate them concepts return better than those of autoencoders whose"),
        (0.6, 0.3, "By their directions concepts return better than those of autoencoders whose encoder is"),
    ],
)
def test_stability_is_judged_beside_random_encoders(contents, tmp_path, directions, activations, said):
    record = seeds(contents, directions=directions, activations=activations)
    path = tmp_path / "report.html"
    write_report(path, dataclasses.replace(contents, stability=record), max_cards=2)
    text = Page(path.read_text(encoding="utf-8")).text
    section = text[text.index("How stable the concepts are") : text.index("How to read this page")]
    assert "was trained with 3 seeds, and the concepts of every two were matched one to one." in section
    assert "R² over all cells is 0.820 ± 0.020." in section
    assert said in section
    n_concepts = len(contents.concepts)
    row = f"Cells that activate it (correlation) {activations:.2f} ± 0.05 0.20 0.40 5 of {n_concepts} 4"
    assert row in section
    first = contents.concepts.loc[0, "best_label"]
    assert f"The concepts that return in the same cells most faithfully: 0 {first} 0.95 , 1 " in section
    named = section[section.index("most faithfully:") : section.index("Every concept beside")]
    assert " 3 " in named
    assert " 0.75" not in named


def test_it_is_said_when_no_concept_returns(contents, tmp_path):
    record = seeds(contents, directions=0.5, activations=0.5)
    none = dataclasses.replace(record, concepts=record.concepts.assign(recurrence=0.5))
    path = tmp_path / "report.html"
    write_report(path, dataclasses.replace(contents, stability=none), max_cards=1)
    text = Page(path.read_text(encoding="utf-8")).text
    assert "No single concept returns in the same cells with every seed (correlation of 0.7 or more)" in text


def test_modules_are_drawn_with_a_band_for_each_concept(grouped, page, tmp_path):
    assert "Concepts were not grouped into modules." in page.text
    path = tmp_path / "report.html"
    write_report(path, grouped, max_cards=3)
    text = path.read_text(encoding="utf-8")
    record = grouped.modules
    section = text[text.index('<section id="modules">') : text.index('<section id="overview">')]
    bands = re.findall(r'<(?:a href="#concept-\d+" tabindex="-1"|span) title="Concept (\d+)', section)
    assert [int(concept) for concept in bands] == record.shown.tolist()
    spans = [int(size) for size in re.findall(r'<li style="flex-grow:(\d+)">', section)]
    assert spans[:-1] == record.modules["n_concepts"].tolist()
    assert sum(spans) == len(record.shown)
    first = record.modules.iloc[0]
    assert (
        f"1 · {first['label']} {first['n_concepts']} {100 * first['share']:.1f}% {first['label_f1']:.2f}"
        in (Page(section).text)
    )
    assert Page(text).links.count(f"#concept-{bands[0]}") >= text.count(f'id="concept-{bands[0]}"')


def test_without_links_there_are_no_modules(contents, tmp_path):
    nothing = dataclasses.replace(contents.activations, values=contents.activations.values * 0.0)
    path = tmp_path / "report.html"
    write_report(path, dataclasses.replace(contents, modules=concept_modules(nothing)), max_cards=0)
    assert "No two concepts are active in the same cells more often than chance" in path.read_text()


def test_ensembl_ids_are_shown_as_symbols(contents, tmp_path):
    a, de = contents.attributions, contents.de
    ids = pd.Index([f"ENSG{i:011d}" for i in range(len(a.genes))])
    path = tmp_path / "report.html"
    named = dataclasses.replace(
        contents,
        attributions=dataclasses.replace(a, genes=ids),
        de=dataclasses.replace(de, genes=ids),
        gene_names=dict(zip(ids, a.genes, strict=True)),
    )
    write_report(path, named, max_cards=2)
    assert "ENSG0" not in path.read_text(encoding="utf-8")


def test_an_interrupted_report_leaves_the_old_one(contents, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_report(path, contents, max_cards=0)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_parts_of_different_runs_are_refused(contents):
    message = "ReportContents: umap has 3 rows, activations have 700 cells. Build both from one run."
    with pytest.raises(InputError, match=re.escape(message)):
        dataclasses.replace(contents, umap=np.zeros((3, 2)))
    message = "the table of concepts lacks the columns ['frequency']; it has ['concept']."
    with pytest.raises(InputError, match=re.escape(message)):
        dataclasses.replace(contents, concepts=contents.concepts[["concept"]])
