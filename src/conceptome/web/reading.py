"""The routes that read the atlas."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

import conceptome
from conceptome.atlas import Annotations, Atlas, as_table, concept_pages, pages, selection
from conceptome.core import InputError
from conceptome.web.answers import (
    BINARY,
    KeptAnswers,
    gzip_answer,
    json_answer,
    packed_answer,
    table_answer,
)

LARGEST = 2**31 - 1
MAX_LISTED = 200
"""Concepts on the page of a gene; its CSV has all."""
Number = Annotated[int, Path(ge=0, le=LARGEST)]
Position = Annotated[int, Field(ge=0, le=LARGEST)]
Name = Annotated[str, Path(min_length=1, max_length=100)]
Key = Annotated[str, Path(pattern=r"^[a-z0-9_]{1,64}$")]

router = APIRouter()


def served_atlas(request: Request) -> Atlas:
    """Return the atlas that this application serves."""
    atlas: Atlas = request.app.state.atlas
    return atlas


def served_annotations(request: Request) -> Annotations:
    """Return what people have written about it."""
    annotations: Annotations = request.app.state.annotations
    return annotations


Served = Annotated[Atlas, Depends(served_atlas)]
Written = Annotated[Annotations, Depends(served_annotations)]


@router.get("/meta")
def meta(atlas: Served, annotations: Written) -> Response:
    """Tell what the atlas is."""
    writing = {"writable": not annotations.obstacle, "reason": annotations.obstacle}
    more = {"version": conceptome.__version__, "annotations": writing}
    return json_answer(pages.about(atlas) | more)


@router.get("/coords")
def coords(atlas: Served) -> Response:
    """Send the place of every cell."""
    return Response(atlas.read("coords.u16"), media_type=BINARY)


@router.get("/base.png")
def base(atlas: Served) -> Response:
    """Send the picture of all cells."""
    return Response(atlas.read("base.png"), media_type="image/png")


@router.get("/thumbs/{sheet}")
def thumbs(atlas: Served, sheet: Number) -> Response:
    """Send small maps of 32 concepts."""
    return packed_answer(atlas.blob("thumbs", sheet))


@router.get("/obs/{key}")
def obs(atlas: Served, key: Key) -> Response:
    """Send a column of obs."""
    kind = concept_pages.require_column(atlas, key)
    return Response(atlas.read(f"obs/{key}.{'f32' if kind == 'numeric' else 'u16'}"), media_type=BINARY)


@router.get("/concepts/{concept}")
def concept(atlas: Served, concept: Number) -> Response:
    """Send a concept."""
    return json_answer(concept_pages.concept(atlas, concept))


@router.get("/concepts/{concept}/activations")
def activations(atlas: Served, concept: Number) -> Response:
    """Send the cells that activate a concept."""
    return packed_answer(atlas.blob("activations", concept))


@router.get("/concepts/{concept}/groups/{key}")
def groups(atlas: Served, concept: Number, key: Key) -> Response:
    """Send how often a concept is active in each category."""
    return table_answer(atlas, concept_pages.groups_of(atlas, concept, key))


@router.get("/concepts/{concept}/{part}")
def part_of(atlas: Served, concept: Number, part: Key) -> Response:
    """Send the genes, terms, pairs, related concepts or associations of a concept."""
    if part not in concept_pages.PARTS:
        msg = f"A concept has nothing under {part!r}. It has {', '.join(concept_pages.PARTS)}."
        raise InputError(msg)
    read, run_part = concept_pages.PARTS[part]
    return table_answer(atlas, read(atlas, concept), run_part)


@router.get("/concepts/{concept}/terms/{term}/curve")
def curve(atlas: Served, concept: Number, term: Number) -> Response:
    """Send a running sum."""
    return json_answer(concept_pages.curve_of(atlas, concept, term))


@router.get("/genes/{gene}")
def gene(atlas: Served, gene: Name) -> Response:
    """Send a gene and the first of its concepts."""
    return _with_concepts(pages.gene(atlas, gene, limit=MAX_LISTED))


@router.get("/genes/{gene}/expression")
def expression(atlas: Served, gene: Name) -> Response:
    """Send the map of a gene."""
    number = pages.gene(atlas, gene, limit=0)["gene"]["expression"]
    if number is None:
        msg = f"The atlas has no map of gene {gene!r}; it keeps those of genes that drive a concept."
        raise InputError(msg)
    return packed_answer(atlas.blob("expression", number))


@router.get("/terms/{term}")
def term(atlas: Served, term: Number) -> Response:
    """Send a term and its concepts."""
    return _with_concepts(pages.term(atlas, term))


@router.get("/cells")
def cell_by_name(atlas: Served, id: Annotated[str, Query(max_length=200)]) -> Response:
    """Send a cell by its name."""
    return _cell(atlas, pages.cell_named(atlas, id))


@router.get("/cells/{position}")
def cell(atlas: Served, position: Number) -> Response:
    """Send a cell."""
    return _cell(atlas, position)


@router.get("/groups/{key}/{code}")
def group(atlas: Served, key: Key, code: Number) -> Response:
    """Send a category and its concepts."""
    return _with_concepts(selection.group(atlas, key, code))


class Selection(BaseModel):
    """Cells chosen by a person."""

    ranges: list[tuple[Position, Position]] = Field(default_factory=list)
    cells: list[Position] = Field(default_factory=list)


@router.post("/selection")
def select(atlas: Served, body: Selection) -> Response:
    """Compare chosen cells with all others."""
    chosen = selection.chosen_cells(atlas, ranges=body.ranges, cells=body.cells)
    found = selection.select(atlas, chosen)
    found["groups"] = {key: as_table(table) for key, table in found["groups"].items()}
    return _with_concepts(found)


@router.get("/search")
def search(
    atlas: Served,
    annotations: Written,
    q: Annotated[str, Query(max_length=200)],
    limit: Annotated[int, Query(ge=1, le=pages.MAX_FOUND)] = 20,
    kind: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Search."""
    found = pages.search(atlas, q, limit=limit, kind=kind)
    written = annotations.find(q)[:limit] if kind in ("", "annotation") else []
    for concept, label, other in written:
        for column, value in zip(
            found.values(), ("annotation", str(concept), label, other[:120]), strict=True
        ):
            column.append(value)
    return json_answer(as_table(found))


@router.get("/{name}")
def whole(request: Request, atlas: Served, name: Key) -> Response:
    """Send a whole table."""
    kept: KeptAnswers = request.app.state.kept
    return gzip_answer(request, kept.table(atlas, name))


def _cell(atlas: Atlas, position: int) -> Response:
    found = pages.cell(atlas, position)
    found["pairs"] = as_table(found["pairs"])
    return _with_concepts(found)


def _with_concepts(found: dict[str, Any]) -> Response:
    return json_answer(found | {"concepts": as_table(found["concepts"])})
