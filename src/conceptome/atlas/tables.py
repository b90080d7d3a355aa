"""The tables on concepts, genes and terms, made from records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from conceptome.atlas.contents import Contents
from conceptome.atlas.groups import Column
from conceptome.atlas.schema import TABLES
from conceptome.core import Attributions, DifferentialExpression, Enrichment

ALPHA = 0.05
N_GENES = 50
"""Genes of largest, of least attribution, and of strongest differential expression, per concept."""
N_TERMS = 50
"""Terms kept per concept beyond those found."""

_COLUMNS = {table.name: list(table.columns) for table in TABLES}


def concept_table(contents: Contents) -> pd.DataFrame:
    """Put beside the table of concepts what the records say of each."""
    values = contents.activations.values
    concepts = contents.concepts.reset_index(drop=True)
    largest = values.max(axis=0).toarray().ravel() if values.shape[0] else np.zeros(values.shape[1])
    n_active = np.bincount(values.indices[values.data > 0], minlength=values.shape[1])
    total = np.asarray(values.sum(axis=0)).ravel()
    mean = np.divide(total, n_active, out=np.zeros(len(total)), where=n_active > 0)
    table = concepts.assign(
        n_active=n_active,
        max_activation=largest,
        mean_activation=mean,
        frequency=n_active / max(values.shape[0], 1),
    )
    record = contents.attributions
    if record is not None:
        own = pd.DataFrame(
            {
                "concept": record.concepts,
                "floor": record.floor,
                "null_driver_rate": record.null_driver_rate,
                "n_pairs": record.n_pairs,
                "n_drivers": record.drives.sum(axis=1),
                "status": record.status.astype(str),
            }
        )
        kept = table.drop(columns=[name for name in own if name in table and name != "concept"])
        table = kept.merge(own, on="concept", how="left")
    lacking = [name for name in _COLUMNS["concepts"] if name not in table]
    return table.assign(**dict.fromkeys(lacking, None))


def concept_traits(
    concepts: pd.DataFrame, drivers: pd.DataFrame, associations: pd.DataFrame, columns: Sequence[Column]
) -> pd.DataFrame:
    """Add to the table of concepts what lists are sorted by: expression of drivers, technique, donors.

    Parameters
    ----------
    concepts
        What `concept_table` made.
    drivers
        What `driver_table` made.
    associations
        How each concept goes with each column.
    columns
        The columns.

    Returns
    -------
    The table with ``drivers_expressed``: share of its driving genes that are expressed more where it is
    active (q at most 0.05); ``technical``: its strongest absolute correlation with depth, or the square root
    of the share of variance that batches explain; ``donor_evenness``: entropy of its frequency over donors,
    1 = the same in all. A column that was measured for no concept is left out.
    """
    driving = drivers[drivers["drives"].fillna(0).astype(bool) & drivers["q_de"].notna()]
    expressed = (driving["q_de"] <= ALPHA) & (driving["log_fold_change"] > 0)
    roles = {column.key: column.role for column in columns}
    of = associations.assign(role=associations["key"].map(roles)) if len(associations) else None
    traits: dict[str, pd.Series] = {"drivers_expressed": expressed.groupby(driving["concept"]).mean()}
    if of is not None:
        size = of["value"].abs().where(of["measure"] == "spearman", np.sqrt(of["value"].clip(lower=0)))
        technical = of["role"].isin(["depth", "batch"]) & (of["measure"] != "evenness")
        traits["technical"] = size[technical].groupby(of["concept"][technical]).max()
        donors = (of["role"] == "donor") & (of["measure"] == "evenness")
        traits["donor_evenness"] = of["value"][donors].groupby(of["concept"][donors]).first()
    return concepts.assign(
        **{
            name: concepts["concept"].map(values).astype(float)
            for name, values in traits.items()
            if len(values)
        }
    )


def driver_table(contents: Contents) -> pd.DataFrame:
    """List the genes of each concept that a reader may ask for; attribution and expression side by side."""
    attributions, de = contents.attributions, contents.de
    if attributions is None and de is None:
        return pd.DataFrame(columns=_COLUMNS["drivers"])
    concepts = np.asarray((attributions or de).concepts)  # type: ignore[union-attr]  # one of them is there
    position_de = {} if de is None else {int(concept): row for row, concept in enumerate(de.concepts)}
    parts = []
    for row, concept in enumerate(concepts):
        row_de = position_de.get(int(concept))
        chosen = _chosen_genes(attributions, de, row, row_de)
        part: dict[str, object] = {"concept": int(concept), "gene": chosen}
        if attributions is not None:
            part |= {name: getattr(attributions, name)[row, chosen] for name in _ATTRIBUTED}
        if de is not None and row_de is not None:
            part |= {name: getattr(de, own)[row_de, chosen] for name, own in _EXPRESSED.items()}
        parts.append(pd.DataFrame(part).assign(rank=np.arange(1, len(chosen) + 1)))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return table.reindex(columns=_COLUMNS["drivers"])


_ATTRIBUTED = (
    *("attribution", "se", "ci_low", "ci_high", "effect_act", "effect_pre"),
    *("n_differing", "sign_consistency", "p", "q", "drives"),
)
_EXPRESSED = {"log_fold_change": "log_fold_change", "score": "score", "q_de": "q"}


def _chosen_genes(
    attributions: Attributions | None, de: DifferentialExpression | None, row: int, row_de: int | None
) -> Int[np.ndarray, " genes"]:
    """Choose genes, by attribution from the largest to the least, those without one last."""
    chosen = np.zeros(0, dtype=np.int64)
    if attributions is not None:
        score = attributions.attribution[row]
        order = np.argsort(-score, kind="stable")  # NaN last
        order = order[score[order] != 0][: int((np.isfinite(score) & (score != 0)).sum())]
        chosen = np.concatenate([np.flatnonzero(attributions.drives[row]), order[:N_GENES], order[-N_GENES:]])
    if de is not None and row_de is not None:
        order = np.argsort(-np.nan_to_num(de.score[row_de]), kind="stable")
        chosen = np.concatenate([chosen, order[:N_GENES], order[-N_GENES:]])
    chosen = np.unique(chosen)
    if attributions is None:
        return chosen
    return np.asarray(chosen[np.argsort(-attributions.attribution[row, chosen], kind="stable")])


def gene_table(contents: Contents, drivers: pd.DataFrame, mapped: Bool[np.ndarray, " genes"]) -> pd.DataFrame:
    """List the genes, with the number of concepts that each drives.

    Parameters
    ----------
    contents
        What the atlas is built from.
    drivers
        What `driver_table` made.
    mapped
        Which genes get a map of their expression; their order is that of the maps.
    """
    genes = contents.genes.reset_index(drop=True)
    driving = drivers.loc[drivers["drives"].fillna(0).astype(bool), "gene"].astype(np.int64)
    number = np.where(mapped, np.cumsum(mapped) - 1, -1)
    return pd.DataFrame(
        {
            "gene": np.arange(len(genes)),
            "name": genes["name"].astype(str),
            "symbol": contents.symbols,
            "ensembl": genes.get("ensembl", pd.Series("", index=genes.index)).fillna("").astype(str),
            "aliases": genes.get("aliases", pd.Series("", index=genes.index)).fillna("").astype(str),
            "n_driven": np.bincount(driving, minlength=len(genes)),
            "expression": pd.array([int(at) if at >= 0 else None for at in number], dtype="Int64"),
        }
    )


def finding_table(
    enrichment: Enrichment | None, enrichment_de: Enrichment | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List for each concept the terms found and the best others.

    Returns
    -------
    terms
        Rows of the table ``terms``.
    findings
        Rows of the table ``findings``.
    """
    if enrichment is None:
        return pd.DataFrame(columns=_COLUMNS["terms"]), pd.DataFrame(columns=_COLUMNS["findings"])
    table = enrichment.table.assign(strength=enrichment.effect.abs(), effect=enrichment.effect)
    table = table.sort_values(
        ["concept", "q_global", "strength", "term"], ascending=[True, True, False, True], kind="stable"
    )
    table["rank"] = table.groupby("concept").cumcount() + 1
    table = table[(table["rank"] <= N_TERMS) | (table["q_global"] <= ALPHA)]
    if enrichment_de is not None:
        other = enrichment_de.table.assign(nes_de=enrichment_de.effect, q_de=enrichment_de.table["q_global"])
        keys = ["concept", "collection", "term"]
        table = table.merge(other[[*keys, "nes_de", "q_de"]], on=keys, how="left")
    found = table[table["q_global"] <= ALPHA].groupby(["collection", "term"]).size().rename("n_found")
    terms = table.drop_duplicates(["collection", "term"]).sort_values(["collection", "term"])
    terms = terms.join(found, on=["collection", "term"]).rename(columns={"term": "identifier"})
    terms = terms.assign(term=np.arange(len(terms)), n_found=terms["n_found"].fillna(0).astype(np.int64))
    numbers = terms.set_index(["collection", "identifier"])["term"]
    pairs = pd.MultiIndex.from_frame(table[["collection", "term"]])
    findings = table.assign(term=numbers.reindex(pairs).to_numpy(), nes=table["effect"])
    return terms[_COLUMNS["terms"]], findings.reindex(columns=_COLUMNS["findings"])


def numbered_terms(frame: pd.DataFrame, terms: pd.DataFrame) -> pd.DataFrame:
    """Replace ``collection, term`` of a table by the term's number; rows of unlisted terms are dropped."""
    numbers = terms.set_index(["collection", "identifier"])["term"]
    pairs = pd.MultiIndex.from_frame(frame[["collection", "term"]])
    known = frame.assign(term=numbers.reindex(pairs).to_numpy()).dropna(subset=["term"])
    return known.astype({"term": np.int64})


def pair_table(contents: Contents, position: Int[np.ndarray, " cells"]) -> pd.DataFrame:
    """List the pairs.

    Parameters
    ----------
    contents
        What the atlas is built from.
    position
        Position in the atlas of each cell of the records.
    """
    pairs = contents.pairs
    if pairs is None:
        return pd.DataFrame(columns=_COLUMNS["pairs"])
    at = position[contents.activations.cell_ids.get_indexer(pairs.cell_ids)]
    table = pairs.to_frame().assign(factual=at[pairs.factual], counterfactual=at[pairs.counterfactual])
    table["number"] = table.groupby("concept").cumcount()
    table["matched"] = table["matched"].astype(str)
    if contents.changes is not None:
        keys = ["concept", "number"]
        table = table.merge(
            contents.changes[[*keys, "n_differing"]].drop_duplicates(keys), on=keys, how="left"
        )
    return table.reindex(columns=_COLUMNS["pairs"])
