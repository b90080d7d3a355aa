"""The page around the cards: summary, tables, methods."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources

import jinja2
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from conceptome.evaluation.naming import LEAST_F1, LEAST_SHARE
from conceptome.pipeline.report import words
from conceptome.pipeline.report.cards import CardMaker
from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.figures import ActivationMaps, Picture, full_bleed
from conceptome.pipeline.report.measures import fidelity_picture, fidelity_table
from conceptome.pipeline.report.method_words import words_of
from conceptome.pipeline.report.rows import ConceptRow, choose_cards, concept_rows
from conceptome.pipeline.report.steadiness import steadiness
from conceptome.pipeline.report.theme_pictures import dots_picture
from conceptome.pipeline.report.together import module_map
from conceptome.pipeline.report.trust import trust
from conceptome.plotting import maps, style
from conceptome.plotting.forest import format_q

THUMB_SIZE = (1.2, 1.0)
CELLS_SIZE = (6.6, 5.0)


def render(contents: ReportContents, *, max_cards: int) -> str:
    """Render the page.

    Parameters
    ----------
    contents
        What the report shows.
    max_cards
        Largest number of concept cards.

    Returns
    -------
    HTML. Every text of the dataset is escaped; a policy in the page forbids the network and foreign scripts.
    """
    rows = concept_rows(contents)
    chosen = choose_cards(rows, max_cards)
    found = words.findings(contents, rows)
    script = _asset("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            contents=contents,
            rows=rows,
            cards=CardMaker(contents).make(chosen),
            carded={row.concept for row in chosen},
            n_hidden=len(rows) - len(chosen),
            findings=found,
            thumbs=_thumbs(contents, found, chosen),
            cells=_cells(contents),
            missing=dict.fromkeys(words.WHY_MISSING, "") | words.missing_sentences(contents),
            headline=words.headline(contents, rows),
            fidelity=fidelity_table(contents),
            fidelity_picture=fidelity_picture(contents),
            fidelity_sentence=words.fidelity_sentence(contents),
            scored=any(row.n_parts for row in rows),
            stability=steadiness(contents, rows),
            modules=module_map(contents, rows),
            themes=dots_picture(contents.themes, _marked(rows)),
            trust=trust(contents, rows),
            tested=words_of(contents.enrichment),
            ranked=contents.enrichment is None or contents.enrichment.method == "gsea",
            unattributed=words.not_attributed(contents, rows),
            methods=words.methods(contents),
            style=Markup(_asset("report.css").replace("RAMP", _ramp())),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("conceptome.pipeline.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(lacking=words.lacking, marking=words.marking, number=words.number, q=format_q)
    return environment


def _marked(rows: Sequence[ConceptRow]) -> dict[int, str]:
    """Name concepts by the label that they mark, and whose cells have most of the activation."""
    return {
        row.concept: row.best_label
        for row in rows
        if row.best_label_f1 >= LEAST_F1 and row.best_label_share >= LEAST_SHARE
    }


def _asset(name: str) -> str:
    return (
        resources.files("conceptome.pipeline.report").joinpath("templates", name).read_text(encoding="utf-8")
    )


def _ramp() -> str:
    colours = style.activation_colours()
    return ", ".join(to_hex(colours(step / 6)) for step in range(7))


def _thumbs(
    contents: ReportContents, found: Mapping[str, Sequence[words.Finding]], chosen: Sequence[ConceptRow]
) -> dict[int, Picture]:
    """Draw small maps of the concepts that the summary names."""
    named = [finding.row for group in found.values() for finding in group if finding.row is not None]
    small = ActivationMaps(contents.umap, size=THUMB_SIZE)
    return {
        row.concept: small.draw(
            contents.activations.of(row.concept), alt=f"Where concept {row.concept} is active."
        )
        for row in (named if found else chosen[:10])
    }


def _cells(contents: ReportContents) -> Picture:
    columns = contents.labels.columns

    def draw(ax: Axes) -> None:
        if len(columns):
            maps.draw_labels(ax, contents.umap, contents.labels[columns[0]])
        else:
            maps.draw_base(ax, contents.umap)

    coloured = f", coloured by {columns[0]}" if len(columns) else ""
    return full_bleed(draw, alt=f"UMAP of {len(contents.umap):,} cells{coloured}.", size=CELLS_SIZE)
