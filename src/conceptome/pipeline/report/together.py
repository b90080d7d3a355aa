"""The part of the page on modules: a map to point at, and what stands for each module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conceptome.dictionaries import Modules
from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.figures import Picture, full_bleed
from conceptome.pipeline.report.rows import ConceptRow
from conceptome.plotting.together import draw_matrix, module_names

N_NAMED = 5
MIN_SPAN = 0.03  # of the height of the map, for a line of text
MAX_BANDS = 600  # beyond, a band is thinner than a pixel
SIZE = (5.2, 5.2)


@dataclass(frozen=True)
class ModuleRow:
    """One module."""

    module: int
    name: str
    n_concepts: int
    share: float
    label_f1: float
    strongest: tuple[ConceptRow, ...]


@dataclass(frozen=True)
class ModuleMap:
    """The map, and the names that appear where a reader points at it."""

    picture: Picture
    bands: tuple[ConceptRow, ...]
    """Concepts from top to bottom; none where they are too many to point at."""
    spans: tuple[tuple[str, int], ...]
    """What stands beside the map, with its number of concepts; empty where there is no room for a name."""
    rows: tuple[ModuleRow, ...]
    n_alone: int
    """Concepts in no module."""


def module_map(contents: ReportContents, rows: Sequence[ConceptRow]) -> ModuleMap | None:
    """Prepare the part on modules.

    Parameters
    ----------
    contents
        What the report shows.
    rows
        All concepts, in the order of the dictionary.

    Returns
    -------
    The map and a row per module; None if there are no modules.
    """
    record = contents.modules
    if record is None or record.modules.empty:
        return None
    by_concept = {row.concept: row for row in rows}
    shown = [by_concept[concept] for concept in record.shown.tolist()]
    found = tuple(_module_rows(record, shown))
    n_alone = len(shown) - sum(row.n_concepts for row in found)
    parts = [(row.name, row.n_concepts) for row in found] + [("in none", n_alone)]
    spans = [(name if size >= MIN_SPAN * len(shown) else "", size) for name, size in parts]
    return ModuleMap(
        full_bleed(
            lambda ax: draw_matrix(ax, record),
            alt=f"Correlation of {len(shown):,} concepts over cells, ordered by {len(found)} modules.",
            size=SIZE,
        ),
        tuple(shown) if len(shown) <= MAX_BANDS else (),
        tuple(spans),
        found,
        n_alone,
    )


def _module_rows(record: Modules, shown: Sequence[ConceptRow]) -> list[ModuleRow]:
    rows, start = [], 0
    names = module_names(record)
    for name, line in zip(names, record.modules.to_dict("records"), strict=True):
        strongest = tuple(shown[start : start + min(N_NAMED, line["n_concepts"])])
        facts = {key: line[key] for key in ("module", "n_concepts", "share", "label_f1")}
        rows.append(ModuleRow(**facts, name=name, strongest=strongest))
        start += line["n_concepts"]
    return rows
