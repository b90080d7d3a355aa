"""One row per concept: what the tables and the report say of it at a glance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from conceptome import counterfactuals, evaluation
from conceptome.core import Activations, Attributions, Enrichment, Pairs
from conceptome.enrichment.flags import suspect_flags
from conceptome.evaluation import SeedStability

TOP_GENES = 10
KEPT = 0.75  # of the annotations


def summarise_concepts(  # noqa: PLR0913 (one argument for each table it reads)
    activations: Activations,
    *,
    labels: pd.DataFrame,
    attributions: Attributions | None,
    enrichment: Enrichment | None,
    pairs: Pairs,
    sides: pd.DataFrame | None = None,
    stability: SeedStability | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Build the table of ``concepts.parquet``.

    Parameters
    ----------
    activations
        Activations of all cells.
    labels
        Label columns of the same cells; may have none.
    attributions
        Gene scores; None leaves the genes empty.
    enrichment
        Terms by attribution; None leaves the term empty.
    pairs
        Counterfactual pairs.
    sides
        Columns of obs that factuals and counterfactuals should share, such as donor and batch; for warnings.
    stability
        Stability over seeds; None if a single one was trained.
    seed
        Seed of the split on which labels are chosen.

    Returns
    -------
    ``concept, frequency, mean_activation`` (over the cells that activate it), ``best_label_key, best_label,
    best_label_f1, best_label_share`` (missing without labels), ``top_genes`` (the strongest that drive it,
    joined by ``;``), ``n_drivers, top_term, top_term_q, status, pair_warning`` (what may confound its
    attribution; empty where nothing was found), ``stability`` (of the direction, over seeds),
    ``stability_null`` (what chance reaches), ``stability_activations`` (the same of the activations),
    ``recurring_directions`` and ``recurring_activations`` (whether every other seed has the concept); missing
    with a single seed.
    """
    n_concepts = activations.n_concepts
    frequency = activations.frequency()
    totals = np.asarray(activations.values.sum(axis=0)).ravel()
    n_active = frequency * len(activations.cell_ids)
    table = pd.DataFrame({"concept": np.arange(n_concepts), "frequency": frequency})
    table["mean_activation"] = np.divide(totals, n_active, out=np.zeros(n_concepts), where=n_active > 0)
    best = _best_labels(activations, labels, seed=seed)
    table = table.merge(best, on="concept", how="left")
    table = table.merge(_drivers(attributions), on="concept", how="left")
    table = table.merge(_top_terms(enrichment), on="concept", how="left")
    table["top_genes"] = table["top_genes"].fillna("")
    table["status"] = _status(table["concept"], attributions, pairs)
    table["pair_warning"] = _pair_warnings(pairs, sides).reindex(table["concept"]).fillna("").to_numpy()
    return table.assign(**_stability(stability, n_concepts))


def list_themes(themes: pd.DataFrame | None, suspect: frozenset[str] = frozenset()) -> pd.DataFrame:
    """List the themes of each concept, the most significant first.

    Parameters
    ----------
    themes
        What ``enrichment.themes`` found; None if nothing was tested.
    suspect
        Flags of terms that are called where there is nothing to find; their themes come last.

    Returns
    -------
    ``concept, themes``: names joined by ``;``, opposing ones in parentheses; concepts without are left out.
    """
    if themes is None or themes.empty:
        return pd.DataFrame({"concept": np.zeros(0, dtype=np.int64), "themes": np.zeros(0, dtype=object)})
    first = themes.drop_duplicates(["concept", "theme"])
    first = first.assign(suspect=first["flag"].isin(suspect)).sort_values("suspect", kind="stable")
    names = [evaluation.readable_term(str(name)) for name in first["theme_name"]]
    signed = [name if es > 0 else f"({name})" for name, es in zip(names, first["es"], strict=True)]
    joined = first.assign(themes=signed).groupby("concept")["themes"].agg(";".join)
    return joined.reset_index()


def survival(completeness: pd.DataFrame | None) -> pd.DataFrame:
    """Average the share of each concept's findings that survive with three quarters of the annotations.

    Parameters
    ----------
    completeness
        What ``enrichment.completeness`` counted; None if nothing was.

    Returns
    -------
    ``concept, survival_75``; concepts without findings are left out.
    """
    if completeness is None:
        return pd.DataFrame({"concept": np.zeros(0, dtype=np.int64), "survival_75": np.zeros(0)})
    chosen = completeness[np.isclose(completeness["share"], KEPT)].dropna(subset=["survival"])
    return chosen.groupby("concept")["survival"].mean().rename("survival_75").reset_index()


def _stability(record: SeedStability | None, n_concepts: int) -> dict[str, Any]:
    means = ("stability", "stability_null", "stability_activations")
    recurring = ("recurring_directions", "recurring_activations")
    if record is None:
        unknown = pd.array([pd.NA] * n_concepts, dtype="boolean")
        return dict.fromkeys(means, np.full(n_concepts, np.nan)) | dict.fromkeys(recurring, unknown)
    directions, activations = record.of("directions"), record.of("activations")
    columns = (directions["stability"], directions["null"], activations["stability"])
    numbers = {name: column.to_numpy() for name, column in zip(means, columns, strict=True)}
    everywhere = ((table["recurrence"] == 1).array.astype("boolean") for table in (directions, activations))
    return numbers | dict(zip(recurring, everywhere, strict=True))


def _best_labels(activations: Activations, labels: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Pick for each concept the label, of any column, that it separates best."""
    columns = ["concept", "best_label_key", "best_label", "best_label_f1", "best_label_share"]
    frames = []
    for key in labels.columns:
        frame = evaluation.label_concepts(activations, labels[key], seed=seed).reset_index()
        frames.append(frame[frame["best_label"] != ""].assign(best_label_key=key))
    if not frames:
        return pd.DataFrame(columns=columns)
    by = ["concept", "best_label_f1"]
    ranked = pd.concat(frames).sort_values(by, ascending=[True, False], kind="stable")
    best = ranked.drop_duplicates("concept")
    return best[columns]


def _drivers(attributions: Attributions | None) -> pd.DataFrame:
    rows = []
    if attributions is not None:
        for position, concept in enumerate(attributions.concepts):
            drivers = np.flatnonzero(attributions.drives[position] & (attributions.attribution[position] > 0))
            order = np.argsort(-attributions.attribution[position, drivers], kind="stable")
            names = attributions.genes[drivers[order][:TOP_GENES]]
            rows.append((int(concept), ";".join(names), int(attributions.drives[position].sum())))
    return pd.DataFrame(rows, columns=["concept", "top_genes", "n_drivers"])


def _top_terms(enrichment: Enrichment | None) -> pd.DataFrame:
    """Pick the significant term whose genes support the concept most; suspect ones after all others."""
    columns = {"name": "top_term", "q_global": "top_term_q"}
    if enrichment is None:
        return pd.DataFrame(columns=["concept", *columns.values()])
    suspect = enrichment.table["flag"].isin(suspect_flags(enrichment.calibration))
    table = enrichment.table.assign(effect=enrichment.effect, suspect=suspect)
    found = table[(table["q_global"] <= 0.05) & (table["effect"] > 0)]
    order = ["concept", "suspect", "effect"]
    best = found.sort_values(order, ascending=[True, True, False], kind="stable").drop_duplicates("concept")
    return best[["concept", *columns]].rename(columns=columns)


def _pair_warnings(pairs: Pairs, sides: pd.DataFrame | None) -> pd.Series:
    """Warn of the pairs of each concept that has some."""
    columns = [] if sides is None else [str(name) for name in sides.columns]
    table = counterfactuals.diagnose(pairs, obs=sides, columns=columns)
    return table.loc[~table.index.isin(list(pairs.not_attributable)), "warning"]


def _status(concepts: pd.Series, attributions: Attributions | None, pairs: Pairs) -> list[str]:
    known = {} if attributions is None else dict(zip(attributions.concepts, attributions.status, strict=True))
    reasons = pairs.not_attributable
    return [
        str(known.get(c, f"not attributable: {reasons[c]}" if c in reasons else "not attributed"))
        for c in concepts
    ]
