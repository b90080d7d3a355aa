"""What a copy of an atlas keeps: its concepts, its cells, and the words that say what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from conceptome.atlas import Atlas, concept_pages
from conceptome.atlas.packing import split_column
from conceptome.atlas.reader import Table
from conceptome.core import InputError

N_STRONGEST = 20
"""Cells of each concept that a thinned copy shows in any case."""


@dataclass(frozen=True)
class Form:
    """How much a copy keeps; None = all."""

    n_concepts: int | None = None
    """Concepts, those of the highest score."""
    n_cells: int | None = None
    """Cells, spread evenly over the map; the strongest of each concept and those of pairs come on top."""
    n_pairs: int | None = None
    """Pairs of each concept."""
    n_map_values: int | None = None
    """Maps of expression, in cells times genes: the fewer cells are shown, the more genes have one."""
    n_others: int | None = None
    """Genes and terms of a concept beside those that drive it or were found for it."""
    n_other_concepts: int | None = None
    """Concepts of a gene or term beside those that it drives or was found for."""
    n_curves: int | None = None
    """Terms of each concept with a running sum."""
    per_shard: int = 16
    """Genes, or terms, that travel together."""
    digits: int | None = None
    """Significant digits of numbers."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and value < 1:
                msg = f"{name} is {value}, expected 1 or more."
                raise InputError(msg)


WHOLE = Form()
ONE_FILE = Form(
    n_concepts=300,
    n_cells=20_000,
    n_pairs=8,
    n_map_values=2_000_000,
    n_others=12,
    n_other_concepts=2,
    n_curves=4,
    per_shard=64,
    digits=3,
)


class Excerpt:
    """The part of an atlas that a copy has.

    Parameters
    ----------
    atlas
        An open atlas.
    form
        How much is kept.
    """

    def __init__(self, atlas: Atlas, form: Form) -> None:
        self.atlas = atlas
        self.form = form

    @cached_property
    def concepts(self) -> Int[np.ndarray, " kept"]:
        """The concepts, ascending."""
        n = self.form.n_concepts
        if n is None or n >= self.atlas.n_concepts:
            return np.arange(self.atlas.n_concepts)
        score = np.array(concept_pages.concept_list(self.atlas)["confidence"], dtype=np.float64)
        return np.sort(np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")[:n])

    @cached_property
    def cells(self) -> Int[np.ndarray, " shown"]:
        """The cells, by their positions in the atlas, ascending."""
        n, n_cells = self.form.n_cells, self.atlas.n_cells
        if n is None or n >= n_cells:
            return np.arange(n_cells)
        evenly = np.arange(n) * n_cells // n  # along the Z-curve of the map
        concepts, sides = self.concepts.tolist(), ("factual", "counterfactual")
        paired = [self.pairs(concept)[side] for concept in concepts for side in sides]
        strongest = [self._strongest(concept) for concept in concepts]
        return np.unique(np.concatenate([evenly, *strongest, *paired]).astype(np.int64))

    @cached_property
    def place(self) -> Int[np.ndarray, " cells"]:
        """Position in the copy of each cell of the atlas; -1 = not shown."""
        place = np.full(self.atlas.n_cells, -1)
        place[self.cells] = np.arange(len(self.cells))
        return place

    @cached_property
    def has_concept(self) -> Bool[np.ndarray, " concepts"]:
        """Which concepts of the atlas the copy has."""
        found = np.zeros(self.atlas.n_concepts, dtype=bool)
        found[self.concepts] = True
        return found

    @cached_property
    def genes(self) -> set[int]:
        """The genes: all, or those that a concept of the copy lists."""
        if self.form.n_others is None:
            return set(range(self.atlas.n_genes))
        rows = self.atlas.rows("SELECT DISTINCT concept, gene FROM drivers")
        return {gene for concept, gene in rows if self.has_concept[concept]}

    @cached_property
    def n_maps(self) -> int | None:
        """How many genes have a map of expression; None = all that have one in the atlas."""
        values = self.form.n_map_values
        return None if values is None else max(1, values // max(1, len(self.cells)))

    def pairs(self, concept: int) -> Table:
        """List the pairs of a concept that are kept, cells by their positions in the atlas."""
        table = concept_pages.pairs_of(self.atlas, concept)
        return {name: column[: self.form.n_pairs] for name, column in table.items()}

    def of_kept(self, table: Table, name: str = "concept") -> Table:
        """Keep the rows of concepts that the copy has."""
        return rows_where(table, self.has_concept[np.array(table[name], dtype=np.int64)].tolist())

    def _strongest(self, concept: int) -> Int[np.ndarray, " strongest"]:
        cells, levels, _ = split_column(self.atlas.unpacked("activations", concept))
        return cells[np.argsort(-levels.astype(np.int64), kind="stable")[:N_STRONGEST]]

    def left_out(self) -> list[str]:
        """Say in sentences what the copy lacks."""
        form, atlas = self.form, self.atlas
        found = []
        if len(self.concepts) < atlas.n_concepts:
            kept = f"{len(self.concepts):,} concepts of the highest score, of {atlas.n_concepts:,}"
            found.append(f"It has the {kept}.")
        if len(self.cells) < atlas.n_cells:
            found.append(
                f"It shows {len(self.cells):,} of {atlas.n_cells:,} cells: spread evenly over the map, the "
                "strongest of each concept, and those of pairs. Counts and statistics are of all cells, but "
                "for selections."
            )
        if form.n_pairs is not None:
            found.append(f"Of each concept it has at most {form.n_pairs} pairs of cells.")
        if form.n_others is not None:
            found.append(
                "Of each concept it lists the genes that drive, the terms that were found, and the "
                f"{form.n_others} strongest others; genes that no concept lists are left out."
            )
        if form.n_other_concepts is not None:
            found.append(
                "Of each gene and term it lists the concepts that it drives or was found for, and "
                f"{form.n_other_concepts} others."
            )
        if form.n_curves is not None:
            found.append(f"Of each concept {form.n_curves} terms have a running sum.")
        if self.n_maps is not None:
            found.append(f"It has maps of at most {self.n_maps:,} genes, those that drive most concepts.")
        if form.digits is not None:
            found.append(f"Numbers have {form.digits} significant digits.")
        return found


def strongest(values: Sequence[float | None], n: int | None) -> list[bool]:
    """Mark the n largest numbers by their size; all where n is None."""
    size = np.abs(np.array(values, dtype=np.float64))
    best = np.argsort(-np.nan_to_num(size, nan=-1.0), kind="stable")[:n]
    marked = np.zeros(len(size), dtype=bool)
    marked[best] = True
    return marked.tolist()


def rows_where(table: Table, wanted: list[bool]) -> Table:
    """Keep some rows of a table."""
    return {
        name: [value for value, keep in zip(column, wanted, strict=True) if keep]
        for name, column in table.items()
    }


def rounded(content: Any, digits: int | None) -> Any:  # noqa: ANN401 - any JSON value
    """Round every number of an answer to some significant digits; whole numbers stay."""
    if digits is None or isinstance(content, str):
        return content
    if isinstance(content, float):
        return float(f"{content:.{digits}g}")
    if isinstance(content, dict):
        return {name: rounded(value, digits) for name, value in content.items()}
    return [rounded(value, digits) for value in content] if isinstance(content, list) else content
