"""What a bundle holds: every file, table and column of this version, in one place.

Whoever changes what is written raises `SCHEMA_VERSION`, and adds an example bundle of the new version to the
tests; the old example must still open or be refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

SCHEMA_VERSION = 2
FORMAT = "conceptome atlas"
MANIFEST = "manifest.json"
DATABASE = "meta.sqlite"
SEARCH = "search"

MISSING_CODE = 65535
"""Of a category, or of a coordinate: there is none."""
THUMB_SIDE = 48
"""Pixels of a small map on each side."""
THUMBS_PER_SHEET = 32

Kind: TypeAlias = Literal["INTEGER", "REAL", "TEXT", "BLOB"]


@dataclass(frozen=True)
class Index:
    """An index of a table, in the versions of the schema that have it."""

    name: str
    columns: str
    """As SQL."""
    first: int = 1
    last: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Table:
    """One table of ``meta.sqlite``."""

    name: str
    about: str
    columns: dict[str, Kind]
    key: tuple[str, ...]
    indexes: tuple[Index, ...] = ()
    open: bool = False
    """Whether a bundle may have further columns."""


@dataclass(frozen=True)
class Array:
    """One file of numbers: little-endian, without header, row by row."""

    path: str
    about: str
    dtypes: tuple[str, ...]
    axes: tuple[str, ...]
    optional: bool = False


def _columns(integer: str = "", real: str = "", text: str = "", blob: str = "") -> dict[str, Kind]:
    """Name the columns of a table by their type."""
    kinds: tuple[tuple[str, Kind], ...] = (
        (integer, "INTEGER"),
        (real, "REAL"),
        (text, "TEXT"),
        (blob, "BLOB"),
    )
    return {name: kind for names, kind in kinds for name in names.split()}


TABLES = (
    Table(
        "cells",
        "Cells in the order of every file.",
        _columns("position", text="id"),
        ("position",),
        (Index("id", '"id"'),),
    ),
    Table(
        "obs_columns",
        "Columns that describe cells; `key` names the file, `role` is label, donor, batch, depth or empty.",
        _columns("rank n_missing", "minimum maximum", "key name kind role"),
        ("key",),
    ),
    Table(
        "obs_categories",
        "Categories of the categorical ones; `n_cells` is the denominator of `groups`.",
        _columns("code n_cells", text="key name"),
        ("key", "code"),
    ),
    Table(
        "concepts",
        "One row per concept; what was not computed is empty. Further columns come from the run.",
        _columns(
            "concept n_active n_drivers n_pairs module recurring_directions recurring_activations",
            "frequency mean_activation max_activation best_label_f1 top_term_q confidence stability "
            "stability_null stability_activations module_strength floor null_driver_rate",
            "auto_name evidence status best_label_key best_label top_genes top_term themes pair_warning",
        ),
        ("concept",),
        open=True,
    ),
    Table(
        "genes",
        "Genes of the data; `expression` is the number of its map, empty without one.",
        _columns("gene n_driven expression", text="name symbol ensembl aliases"),
        ("gene",),
        (Index("name", '"name"'), Index("symbol", '"symbol"')),
    ),
    Table(
        "drivers",
        "For each concept its drivers, the genes of largest and least attribution and of strongest "
        "differential expression; `score` and `q_de` are Wilcoxon's.",
        _columns(
            "concept gene rank n_differing drives",
            "attribution se ci_low ci_high effect_act effect_pre sign_consistency p q "
            "log_fold_change score q_de",
        ),
        ("concept", "gene"),
        (
            Index("gene", '"gene"', last=1),
            Index("gene_strength", "gene, drives DESC, abs(attribution) DESC", first=2),
        ),
    ),
    Table(
        "terms",
        "Terms that at least one concept has in `findings`; `n_found` counts concepts at q_global <= 0.05.",
        _columns("term n_found", text="collection identifier name"),
        ("term",),
    ),
    Table(
        "findings",
        "For each concept the terms at q_global <= 0.05, and the best 50 otherwise; the same test on "
        "differential expression beside. `leading_edge` joins genes by semicolons.",
        _columns(
            "concept term rank size no_signal",
            "overlap es nes p p_empirical q_concept q_global nes_de q_de",
            "flag leading_edge",
        ),
        ("concept", "term"),
        (Index("term", '"term"'),),
    ),
    Table(
        "curves",
        "Running sums: `rank` (uint32) and `value` (float32) are its corners, `hits` (uint32) the ranks of "
        "the term's genes, `peak` the number of genes passed where it is furthest from 0.",
        _columns("concept term n_genes peak", "es", blob="rank value hits"),
        ("concept", "term"),
    ),
    Table(
        "themes",
        "Findings of a concept in groups of alike terms.",
        _columns("concept theme term", "similarity nes q_global", "theme_name name basis"),
        ("concept", "theme", "term"),
    ),
    Table(
        "pairs",
        "Factuals and counterfactuals, as positions of cells; `pair` is shared by the counterfactuals of one "
        "factual, `n_differing` counts genes with another value.",
        _columns(
            "concept number pair factual counterfactual n_differing",
            "activation distance distance_percentile library_ratio",
            "matched",
        ),
        ("concept", "number"),
        (Index("factual", '"factual"'), Index("counterfactual", '"counterfactual"')),
    ),
    Table(
        "changes",
        "The genes whose exchange changes the concept most within a pair: their values in both cells, in the "
        "units the encoder reads, and the effect.",
        _columns("concept number rank gene", "factual_value counterfactual_value effect_act effect_pre"),
        ("concept", "number", "rank"),
    ),
    Table(
        "related",
        "Concepts most like each: by the cosine of directions, the correlation of activations over cells, or "
        "the Jaccard index of driving genes. `shared` counts cells active in both (genes: shared drivers), "
        "`expected` is what independent concepts would share.",
        _columns("concept rank other shared", "similarity expected", "kind"),
        ("concept", "kind", "rank"),
    ),
    Table(
        "groups",
        "Each category in which the concept is active: active cells, and the mean over all of its cells.",
        _columns("concept code n_active", "mean", "key"),
        ("concept", "key", "code"),
        (Index("key", '"key"'),),
    ),
    Table(
        "associations",
        "How a concept's activation goes with each column: `spearman`, or for categories `eta_squared` "
        "(share of its variance between them) and `evenness` (entropy of its frequency over them, "
        "1 = the same in all).",
        _columns("concept", "value", "key measure"),
        ("concept", "key", "measure"),
    ),
    Table(
        "modules",
        "Concepts that are active in the same cells.",
        _columns("module n_concepts", "share correlation label_f1", "label"),
        ("module",),
    ),
    Table(
        "measures",
        "Evaluation of the dictionary and of its baselines.",
        _columns("position", "value sd low high", "dictionary metric label_key label"),
        ("position",),
    ),
    Table(
        "units",
        "The best unit of each dictionary for each label.",
        _columns("position unit", "threshold f1_validation f1 f1_chance", "dictionary label_key label"),
        ("position",),
    ),
    Table(
        "verdicts",
        "Whether each metric is evidence that something was understood: yes, no, or not judged.",
        _columns(text="metric label_key evidence reason"),
        ("metric", "label_key"),
    ),
    Table(
        "calibration",
        "How often null controls fall under each level.",
        _columns("position n_tests", "alpha rate ci_low ci_high", "control flag"),
        ("position",),
    ),
    Table("facts", "What the atlas is about.", _columns("position", text="name value"), ("position",)),
    Table("missing", "Why a part is not there, and what to run.", _columns(text="part reason"), ("part",)),
)

ARRAYS = (
    Array(
        "coords.u16", "Layout, x then y upward, 0 to 65534; 65535 = not laid out.", ("<u2",), ("cells", "2")
    ),
    Array(
        "activations_index.u64", "Where each concept begins in activations.bin.", ("<u8",), ("concepts+1",)
    ),
    Array("csr_indptr.u64", "Where each cell begins in the two files below.", ("<u8",), ("cells+1",)),
    Array("csr_index.uint", "Active concepts of each cell, ascending.", ("<u2", "<u4"), ("nonzeros",)),
    Array("csr_value.f16", "Their activations.", ("<f2",), ("nonzeros",)),
    Array("thumbs_index.u64", "Where each sheet begins in thumbs.bin.", ("<u8",), ("sheets+1",)),
    Array(
        "expression_index.u64",
        "Where each gene begins in expression.bin.",
        ("<u8",),
        ("expression+1",),
        optional=True,
    ),
    Array("obs/*", "A column: codes of categories (65535 = missing) or numbers.", ("<u2", "<f4"), ("cells",)),
)

PACKS = {
    "activations.bin": "One gzip blob per concept: its active cells.",
    "thumbs.bin": "One gzip blob per 32 concepts: 48 x 48 pixels each, one byte a pixel.",
    "expression.bin": "One gzip blob per gene with a map: log1p counts per 10,000; may be missing.",
}

PICTURE = "base.png"


def create_table(table: Table, columns: dict[str, Kind]) -> str:
    """Write the SQL that makes a table.

    Parameters
    ----------
    table
        The table.
    columns
        Its columns, further ones included.
    """
    listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    keys = ", ".join(f'"{name}"' for name in table.key)
    return f'CREATE TABLE "{table.name}" ({listed}, PRIMARY KEY ({keys})) STRICT, WITHOUT ROWID'


def create_indexes(table: Table, version: int = SCHEMA_VERSION) -> dict[str, str]:
    """Write the SQL that makes the indexes of a table in a version of the schema, by their names."""
    names = {
        f"{table.name}_{index.name}": index for index in table.indexes if index.first <= version <= index.last
    }
    return {
        name: f'CREATE INDEX "{name}" ON "{table.name}" ({index.columns})' for name, index in names.items()
    }


CREATE_SEARCH = (
    f"CREATE VIRTUAL TABLE {SEARCH} USING fts5(kind UNINDEXED, ref UNINDEXED, name, other, "
    "tokenize = \"unicode61 remove_diacritics 2\", prefix = '1 2 3')"
)
"""Concepts, genes with their other names, terms and categories; `ref` is what their page is called by."""
