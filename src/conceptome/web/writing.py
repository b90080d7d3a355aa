"""The routes of annotations, and of tables as files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, StrictInt

from conceptome.atlas import Annotation, as_table, concept_pages, csv_text, pages
from conceptome.atlas.reader import Table
from conceptome.core import InputError
from conceptome.web.answers import json_answer
from conceptome.web.reading import LARGEST, Number, Served, Written

router = APIRouter()

WHOLE = ("concepts", "measures", "units", "verdicts", "modules", "calibration")
Which = Annotated[int | None, Query(ge=0, le=LARGEST)]


class Draft(BaseModel):
    """An annotation as the browser sends it."""

    model_config = ConfigDict(extra="forbid")

    concept: StrictInt
    author: str
    key: str
    label: str = ""
    category: str = ""
    interpretability: StrictInt | None = None
    confidence: StrictInt | None = None
    notes: str = ""
    supersedes: StrictInt | None = None


@router.get("/annotations")
def newest(annotations: Written) -> Response:
    """Send the newest revision of each concept."""
    return json_answer(as_table(annotations.newest()))


@router.get("/annotations/{concept}")
def history(atlas: Served, annotations: Written, concept: Number) -> Response:
    """Send every revision of a concept."""
    concept_pages.require_concept(atlas, concept)
    return json_answer(as_table(annotations.history(concept)))


@router.post("/annotations")
def save(atlas: Served, annotations: Written, body: Draft) -> Response:
    """Add a revision."""
    concept_pages.require_concept(atlas, body.concept)
    revision, is_new = annotations.save(Annotation(**body.model_dump()))
    return json_answer(revision, 201 if is_new else 200)


@router.get("/export/annotations")
def export_annotations(annotations: Written) -> Response:
    """Send every revision as CSV."""
    return _file(annotations.history(), "annotations")


@router.get("/export/{kind}")
def export(  # noqa: PLR0917 - what a table may be asked by
    atlas: Served,
    kind: str,
    concept: Which = None,
    key: Annotated[str, Query(max_length=64)] = "",
    gene: Annotated[str, Query(max_length=100)] = "",
    term: Which = None,
) -> Response:
    """Send a table as CSV, under a name that the server chooses."""
    if kind in WHOLE:
        return _file(pages.whole_table(atlas, kind), kind)
    if kind in concept_pages.PARTS and concept is not None:
        return _file(concept_pages.PARTS[kind][0](atlas, concept), f"concept-{concept}-{kind}")
    if kind == "groups" and concept is not None and key:
        return _file(concept_pages.groups_of(atlas, concept, key), f"concept-{concept}-groups")
    if kind == "gene" and gene:
        found = pages.gene(atlas, gene)
        return _file(found["concepts"], f"gene-{found['gene']['gene']}-concepts")
    if kind == "term" and term is not None:
        return _file(pages.term(atlas, term)["concepts"], f"term-{term}-concepts")
    msg = f"There is no table {kind[:40]!r} to export, or it needs concept=, key=, gene= or term=."
    raise InputError(msg)


def _file(table: Table, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(csv_text(table).encode(), media_type="text/csv; charset=utf-8", headers=headers)
