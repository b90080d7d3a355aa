"""The answers of the API that a copy ships, in shards: what one page needs travels together.

A shard is, before gzip: the length of its head (uint32), the head (JSON: address -> [first byte, number of
bytes], counted from the end of the head), the answers. Addresses are those of the API; some stand for what
the browser computes an answer from, see `client/src/copy`.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

import conceptome
from conceptome.atlas import Annotations, as_table, concept_pages, explained, json_bytes, pages
from conceptome.atlas.packing import join_column, split_column
from conceptome.atlas.reader import Table
from conceptome.atlas.schema import THUMB_SIDE, THUMBS_PER_SHEET
from conceptome.atlas.selection import active_concepts
from conceptome.web.copy_form import Excerpt, rounded, rows_where, strongest

CELLS_PER_SHARD = 4096
MAX_NAMED_CELLS = 100_000
"""Beyond, cells are not found by their names."""
ALPHA = 0.05
READ_ONLY = "This is a copy to read. Annotate in the atlas itself, with: conceptome serve"

Answers: TypeAlias = dict[str, bytes]


def pack_shard(answers: Mapping[str, bytes]) -> bytes:
    """Pack answers; the same answers give the same bytes."""
    head, at = {}, 0
    for address, answer in answers.items():
        head[address] = [at, len(answer)]
        at += len(answer)
    raw = json_bytes(head)
    whole = struct.pack("<I", len(raw)) + raw + b"".join(answers.values())
    return gzip.compress(whole, compresslevel=9, mtime=0)


def shards(excerpt: Excerpt, annotations: Annotations) -> Iterator[tuple[str, Answers]]:
    """Give the shards of a copy by name.

    Parameters
    ----------
    excerpt
        What the copy has.
    annotations
        What people have written.
    """
    atlas = excerpt.atlas
    yield "atlas", _general(excerpt, annotations)
    yield "search", {"search": _json(excerpt, _search_index(excerpt))}
    yield "coords", {"coords": atlas.array("coords.u16")[excerpt.cells].tobytes()}
    for column in pages.columns(atlas):
        name = f"obs/{column['key']}"
        path = f"{name}.{'f32' if column['kind'] == 'numeric' else 'u16'}"
        yield name.replace("/", "-"), {name: atlas.array(path)[excerpt.cells].tobytes()}
        if column["kind"] == "categorical":
            yield (
                f"groups-{column['key']}",
                {f"groups/{column['key']}": _json(excerpt, _by_group(excerpt, column))},
            )
    yield from _sheets(excerpt)
    for concept in excerpt.concepts.tolist():
        yield f"concept-{concept}", _concept(excerpt, annotations, concept)
    yield from _genes(excerpt)
    yield from _terms(excerpt)
    yield from _cells(excerpt)


def _json(excerpt: Excerpt, content: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return json_bytes(rounded(content, excerpt.form.digits))


def _general(excerpt: Excerpt, annotations: Annotations) -> Answers:
    atlas = excerpt.atlas
    about = pages.about(atlas) | {
        "version": conceptome.__version__,
        "annotations": {"writable": False, "reason": READ_ONLY},
    }
    tables = {
        name: pages.whole_table(atlas, name)
        for name in ("measures", "units", "verdicts", "calibration", "modules")
    }
    return {
        "meta": json_bytes(about),
        "concepts": _json(excerpt, as_table(excerpt.of_kept(concept_pages.concept_list(atlas)))),
        "annotations": json_bytes(as_table(excerpt.of_kept(annotations.newest()))),
        **{name: _json(excerpt, explained(atlas, table, name)) for name, table in tables.items()},
    }


def _search_index(excerpt: Excerpt) -> dict[str, Any]:
    """List what can be found; cells, by their whole name, only where they are not too many."""
    found = excerpt.atlas.table(
        "SELECT kind, CAST(ref AS TEXT) AS ref, name, other FROM search ORDER BY rowid"
    )
    kept = {"concept": set(excerpt.concepts.tolist()), "gene": excerpt.genes}
    entries = zip(found["kind"], found["ref"], strict=True)
    found = rows_where(found, [kind not in kept or int(ref) in kept[kind] for kind, ref in entries])
    if len(excerpt.cells) <= MAX_NAMED_CELLS:
        names = _names(excerpt, excerpt.cells)
        rows = (["cell"] * len(names), [str(at) for at in range(len(names))], names, [""] * len(names))
        found = {name: column + more for (name, column), more in zip(found.items(), rows, strict=True)}
    return as_table(found)


def _names(excerpt: Excerpt, cells: np.ndarray) -> list[str]:
    first, last = int(cells[0]), int(cells[-1])
    rows = excerpt.atlas.rows(
        "SELECT id FROM cells WHERE position BETWEEN ? AND ? ORDER BY position", [first, last]
    )
    return [rows[at][0] for at in (cells - first).tolist()]


def _by_group(excerpt: Excerpt, column: dict[str, Any]) -> dict[str, Any]:
    """List for each category in how many of its cells concepts fire, and how strongly on average over all."""
    query = "SELECT concept, code, n_active, mean FROM groups WHERE key = ? ORDER BY code, concept"
    return as_table(excerpt.of_kept(excerpt.atlas.table(query, [column["key"]])))


def _sheets(excerpt: Excerpt) -> Iterator[tuple[str, Answers]]:
    """Give the sheets of small maps that have a concept of the copy; the others on them are empty."""
    for sheet in np.unique(excerpt.concepts // THUMBS_PER_SHEET).tolist():
        raw = np.frombuffer(excerpt.atlas.unpacked("thumbs", sheet), np.uint8)
        picture = raw.reshape(THUMBS_PER_SHEET, THUMB_SIDE * THUMB_SIDE).copy()
        first = sheet * THUMBS_PER_SHEET
        kept = excerpt.has_concept[first : first + THUMBS_PER_SHEET]
        picture[: len(kept)][~kept] = 0
        yield f"thumbs-{sheet}", {f"thumbs/{sheet}": picture.tobytes()}


def _concept(excerpt: Excerpt, annotations: Annotations, concept: int) -> Answers:
    """Answer everything that the page of a concept asks."""
    atlas, root = excerpt.atlas, f"concepts/{concept}"
    tables = {name: (read(atlas, concept), part) for name, (read, part) in concept_pages.PARTS.items()}
    pairs = excerpt.pairs(concept)
    for side in ("factual", "counterfactual"):
        pairs[side] = excerpt.place[np.array(pairs[side], dtype=np.int64)].tolist()
    tables["genes"] = (_drivers(excerpt, tables["genes"][0]), "attributions")
    tables["terms"] = (_findings(excerpt, tables["terms"][0]), "enrichment")
    tables["pairs"] = (pairs, "pairs")
    tables["related"] = (excerpt.of_kept(tables["related"][0], "other"), "")
    terms = tables["terms"][0]
    curves = [term for term, has in zip(terms["term"], terms["has_curve"], strict=True) if has]
    keys = [column["key"] for column in pages.columns(atlas) if column["kind"] == "categorical"]
    groups = {key: as_table(concept_pages.groups_of(atlas, concept, key)) for key in keys}
    return {
        f"{root}/activations": _thinned(excerpt, atlas.unpacked("activations", concept)),
        **{f"{root}/{name}": _json(excerpt, explained(atlas, *table)) for name, table in tables.items()},
        **{f"{root}/groups/{key}": _json(excerpt, table) for key, table in groups.items()},
        **{
            f"{root}/terms/{term}/curve": _json(excerpt, concept_pages.curve_of(atlas, concept, term))
            for term in curves
        },
        f"annotations/{concept}": json_bytes(as_table(annotations.history(concept))),
    }


def _drivers(excerpt: Excerpt, table: Table) -> Table:
    """Keep the genes that drive, and the strongest others by attribution and by differential expression."""
    n = excerpt.form.n_others
    if n is None:
        return table
    marks = zip(
        table["drives"], strongest(table["attribution"], n), strongest(table["score"], n), strict=True
    )
    return rows_where(table, [any(marked) for marked in marks])


def _findings(excerpt: Excerpt, table: Table) -> Table:
    """Keep the terms that were found and the best others; the first of them have a running sum."""
    table = _best(table, _found(table), excerpt.form.n_others)
    if excerpt.form.n_curves is not None:
        has_curve = np.array(table["has_curve"], dtype=np.int64)
        early = np.cumsum(has_curve) <= excerpt.form.n_curves
        table["has_curve"] = (has_curve * early).tolist()
    return table


def _found(table: Table) -> list[bool]:
    return [q is not None and q <= ALPHA for q in table["q_global"]]


def _thinned(excerpt: Excerpt, raw: bytes) -> bytes:
    """Keep of a column the cells of the copy."""
    if len(excerpt.cells) == excerpt.atlas.n_cells:
        return raw
    cells, levels, largest = split_column(raw)
    place = excerpt.place[cells]
    return join_column(place[place >= 0], levels[place >= 0], largest)


def _genes(excerpt: Excerpt) -> Iterator[tuple[str, Answers]]:
    atlas, form = excerpt.atlas, excerpt.form
    listed = excerpt.genes
    mapped = atlas.rows("SELECT gene FROM genes WHERE expression IS NOT NULL ORDER BY n_driven DESC, gene")
    maps = {gene for (gene,) in mapped[: excerpt.n_maps]}
    for first in range(0, atlas.n_genes, form.per_shard):
        answers: Answers = {}
        for gene in range(first, min(first + form.per_shard, atlas.n_genes)):
            if gene not in listed:
                continue
            found = pages.gene(atlas, str(gene))
            number = found["gene"]["expression"]
            if gene in maps:
                answers[f"genes/{gene}/expression"] = _thinned(excerpt, atlas.unpacked("expression", number))
            else:
                found["gene"]["expression"] = None
            table = excerpt.of_kept(found["concepts"])
            table = _best(table, [bool(drives) for drives in table["drives"]], form.n_other_concepts)
            answers[f"genes/{gene}"] = _json(excerpt, found | {"concepts": as_table(table)})
        if answers:
            yield f"genes-{first // form.per_shard}", answers


def _terms(excerpt: Excerpt) -> Iterator[tuple[str, Answers]]:
    numbers = [term for (term,) in excerpt.atlas.rows("SELECT term FROM terms ORDER BY term")]
    per_shard = excerpt.form.per_shard
    for first in range(0, len(numbers), per_shard):
        answers: Answers = {}
        for term in numbers[first : first + per_shard]:
            found = pages.term(excerpt.atlas, term)
            table = excerpt.of_kept(found["concepts"])
            found["concepts"] = as_table(_best(table, _found(table), excerpt.form.n_other_concepts))
            answers[f"terms/{term}"] = _json(excerpt, found)
        yield f"terms-{first // per_shard}", answers


def _best(table: Table, wanted: list[bool], n_others: int | None) -> Table:
    """Keep the rows that are wanted, and some of the others in their order."""
    if n_others is None:
        return table
    others = np.cumsum(~np.array(wanted, dtype=bool)) <= n_others
    return rows_where(table, [keep or bool(other) for keep, other in zip(wanted, others, strict=True)])


def _cells(excerpt: Excerpt) -> Iterator[tuple[str, Answers]]:
    """Give which concepts fire in which cells, and at the end how often and how strongly each does in all."""
    atlas = excerpt.atlas
    active, total = np.zeros(atlas.n_concepts, dtype=np.int64), np.zeros(atlas.n_concepts)
    within = _pairs_by_cell(excerpt)
    for first in range(0, len(excerpt.cells), CELLS_PER_SHARD):
        some = excerpt.cells[first : first + CELLS_PER_SHARD]
        counts, index, value = active_concepts(atlas, some)
        kept = excerpt.has_concept[index]
        owner = np.repeat(np.arange(len(some)), counts)[kept]
        index, value = index[kept], _shortened(value[kept].astype("<f4"), excerpt.form.digits)
        active += np.bincount(index, minlength=len(active))
        total += np.bincount(index, weights=value, minlength=len(total))
        ends = np.cumsum(np.bincount(owner, minlength=len(some)))
        number = first // CELLS_PER_SHARD
        yield (
            f"cells-{number}",
            {
                f"cells/{number}/ends": ends.astype("<u4").tobytes(),
                f"cells/{number}/concepts": index.astype("<u4").tobytes(),
                f"cells/{number}/values": value.tobytes(),
                f"cells/{number}/names": json_bytes(_names(excerpt, some)),
                f"cells/{number}/pairs": json_bytes(
                    {str(at): within[at] for at in range(first, first + len(some)) if at in within}
                ),
            },
        )
    shown = {
        "concept": excerpt.concepts,
        "n_active": active[excerpt.concepts],
        "total": total[excerpt.concepts],
    }
    yield "shown", {"shown": json_bytes(as_table({name: column.tolist() for name, column in shown.items()}))}


def _shortened(values: np.ndarray, digits: int | None) -> np.ndarray:
    """Round to 8 significant bits, which take fewer bytes once packed, where digits are cut anyway."""
    if digits is None:
        return values
    bits = values.view(np.uint32).astype(np.uint64) + np.uint64(0x8000)
    return (bits & np.uint64(0xFFFF0000)).astype("<u4").view("<f4")


def _pairs_by_cell(excerpt: Excerpt) -> dict[int, list[list[Any]]]:
    """List for each cell of the copy the pairs it is part of: concept, number, side."""
    found: dict[int, list[list[Any]]] = {}
    for concept in excerpt.concepts.tolist():
        pairs = excerpt.pairs(concept)
        for side in ("factual", "counterfactual"):
            for number, cell in zip(pairs["number"], pairs[side], strict=True):
                found.setdefault(int(excerpt.place[cell]), []).append([concept, number, side])
    return {cell: sorted(rows, key=lambda row: (row[0], row[1])) for cell, rows in found.items()}
