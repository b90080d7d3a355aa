"""What the pages of one concept show, as plain values: the server, the export and tests read the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from conceptome.atlas.reader import Atlas, Table
from conceptome.core import InputError

EVIDENCE = (
    "d.attribution, d.se, d.ci_low, d.ci_high, d.effect_act, d.effect_pre, d.n_differing, "
    "d.sign_consistency, d.p, d.q, d.drives, d.log_fold_change, d.score, d.q_de"
)


def concept_list(atlas: Atlas) -> Table:
    """List all concepts with every column."""
    return atlas.table("SELECT * FROM concepts ORDER BY concept")


def concept(atlas: Atlas, number: int) -> dict[str, Any]:
    """Return a concept and its module.

    Parameters
    ----------
    atlas
        The atlas.
    number
        The concept.

    Raises
    ------
    InputError
        If there is none.
    """
    require_concept(atlas, number)
    found = record(atlas.table("SELECT * FROM concepts WHERE concept = ?", [number]))
    module = record(atlas.table("SELECT * FROM modules WHERE module = ?", [(found or {}).get("module")]))
    return {"concept": found, "module": module}


def require_concept(atlas: Atlas, number: int) -> None:
    """Refuse a concept that the atlas does not have."""
    if not 0 <= number < atlas.n_concepts:
        msg = f"The atlas has {atlas.n_concepts} concepts, from 0 on, not number {number}."
        raise InputError(msg)


def record(table: Table) -> dict[str, Any] | None:
    """Return the first row of a table by its columns; None without rows."""
    return {name: column[0] for name, column in table.items()} if any(table.values()) else None


def genes_of(atlas: Atlas, number: int) -> Table:
    """List the genes of a concept by falling attribution, differential expression beside."""
    require_concept(atlas, number)
    query = (
        f"SELECT d.gene, g.symbol, d.rank, {EVIDENCE}, g.n_driven, g.expression "
        "FROM drivers d JOIN genes g USING (gene) WHERE d.concept = ? ORDER BY d.rank"
    )
    return atlas.table(query, [number])


def terms_of(atlas: Atlas, number: int) -> Table:
    """List the terms of a concept, the most significant first."""
    require_concept(atlas, number)
    query = (
        "SELECT f.term, t.collection, t.identifier, t.name, f.rank, f.size, f.overlap, f.es, f.nes, f.p, "
        "f.p_empirical, f.q_concept, f.q_global, f.no_signal, f.flag, f.nes_de, f.q_de, f.leading_edge, "
        "c.peak IS NOT NULL AS has_curve, h.theme, h.theme_name FROM findings f JOIN terms t USING (term) "
        "LEFT JOIN curves c USING (concept, term) LEFT JOIN themes h USING (concept, term) "
        "WHERE f.concept = ? ORDER BY f.rank"
    )
    return with_genes(atlas.table(query, [number]))


def with_genes(table: Table) -> Table:
    """Take leading edges apart into lists."""
    table["leading_edge"] = [edge.split(";") if edge else [] for edge in table["leading_edge"]]
    return table


def curve_of(atlas: Atlas, number: int, term: int) -> dict[str, Any]:
    """Return the running sum of a term along the ranking of a concept.

    Raises
    ------
    InputError
        If the atlas has none.
    """
    found = record(atlas.table("SELECT * FROM curves WHERE concept = ? AND term = ?", [number, term]))
    if found is None:
        msg = f"The atlas has no running sum of term {term} for concept {number}."
        raise InputError(msg)
    return {
        **{name: found[name] for name in ("n_genes", "es", "peak")},
        **{name: np.frombuffer(found[name], "<u4").tolist() for name in ("rank", "hits")},
        "value": [round(value, 6) for value in np.frombuffer(found["value"], "<f4").tolist()],
    }


def pairs_of(atlas: Atlas, number: int) -> Table:
    """List the pairs of a concept with what changed in each."""
    require_concept(atlas, number)
    query = (
        "SELECT p.number, p.pair, p.factual, p.counterfactual, a.id AS factual_id, "
        "b.id AS counterfactual_id, p.activation, p.distance, p.distance_percentile, p.library_ratio, "
        "p.matched, p.n_differing FROM pairs p JOIN cells a ON a.position = p.factual "
        "JOIN cells b ON b.position = p.counterfactual WHERE p.concept = ? ORDER BY p.number"
    )
    table = atlas.table(query, [number])
    changes = _changes(atlas, number)
    table["changes"] = [changes.get(pair, []) for pair in table["number"]]
    return table


def _changes(atlas: Atlas, number: int) -> dict[int, list[dict[str, Any]]]:
    """List by pair the genes with most effect."""
    names = ("gene", "symbol", "factual_value", "counterfactual_value", "effect_act", "effect_pre")
    query = (
        "SELECT c.number, c.gene, g.symbol, c.factual_value, c.counterfactual_value, c.effect_act, "
        "c.effect_pre FROM changes c JOIN genes g USING (gene) WHERE c.concept = ? ORDER BY c.number, c.rank"
    )
    found: dict[int, list[dict[str, Any]]] = {}
    for pair, *values in atlas.rows(query, [number]):
        found.setdefault(pair, []).append(dict(zip(names, values, strict=True)))
    return found


def related_of(atlas: Atlas, number: int) -> Table:
    """List the concepts that are most like one, by each kind of likeness."""
    require_concept(atlas, number)
    query = (
        "SELECT r.kind, r.rank, r.other, c.auto_name, r.similarity, r.shared, r.expected FROM related r "
        "JOIN concepts c ON c.concept = r.other WHERE r.concept = ? ORDER BY r.kind, r.rank"
    )
    return atlas.table(query, [number])


def groups_of(atlas: Atlas, number: int, key: str) -> Table:
    """Tell how often a concept is active in each category of a column.

    Raises
    ------
    InputError
        If there is no such concept or categorical column.
    """
    require_concept(atlas, number)
    require_column(atlas, key, kind="categorical")
    query = (
        "SELECT o.code, o.name, o.n_cells, coalesce(g.n_active, 0) AS n_active, "
        "coalesce(g.n_active, 0) * 1.0 / nullif(o.n_cells, 0) AS share, coalesce(g.mean, 0.0) AS mean "
        "FROM obs_categories o LEFT JOIN groups g ON g.concept = ? AND g.key = o.key AND g.code = o.code "
        "WHERE o.key = ? ORDER BY o.code"
    )
    return atlas.table(query, [number, key])


def require_column(atlas: Atlas, key: str, *, kind: str | None = None) -> str:
    """Refuse a column that the atlas does not have, or of another kind; return its kind."""
    rows = atlas.rows("SELECT kind FROM obs_columns WHERE key = ?", [key])
    if not rows or (kind is not None and rows[0][0] != kind):
        wanted = f"{kind} column" if kind else "column"
        msg = f"The atlas has no {wanted} {key!r}. Its columns are named in meta."
        raise InputError(msg)
    return str(rows[0][0])


def associations_of(atlas: Atlas, number: int) -> Table:
    """Tell how the activation of a concept goes with each column."""
    require_concept(atlas, number)
    query = (
        "SELECT a.key, o.name, o.role, a.measure, a.value FROM associations a JOIN obs_columns o USING (key) "
        "WHERE a.concept = ? ORDER BY o.rank, a.measure"
    )
    return atlas.table(query, [number])


PARTS: dict[str, tuple[Callable[[Atlas, int], Table], str]] = {
    "genes": (genes_of, "attributions"),
    "terms": (terms_of, "enrichment"),
    "pairs": (pairs_of, "pairs"),
    "related": (related_of, ""),
    "associations": (associations_of, ""),
}
"""Tables of a concept by their address, with the part of the run that they come from."""
