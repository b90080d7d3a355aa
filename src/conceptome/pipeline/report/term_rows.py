"""The gene sets of one concept: what the table, the cards and the sentences say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from conceptome.core import Enrichment
from conceptome.enrichment.flags import suspect_flags
from conceptome.evaluation import readable_term

ALPHA = 0.05
N_TERMS = 6


@dataclass(frozen=True)
class TermRow:
    """One term of a concept."""

    term: str
    name: str
    collection: str
    effect: float
    """NES, t or log2 of the odds ratio, by the method; above 0 the genes support the concept."""
    q: float
    """Corrected over all tests of the run."""
    q_de: float
    """The same on the differential expression of the concept; NaN if not tested."""
    size: int
    leading_edge: tuple[str, ...]
    flag: str
    """``"ribosomal"``, ``"mitochondrial"`` or empty."""
    suspect: bool
    """Whether null controls call terms of this flag too often."""


@dataclass(frozen=True)
class FoundTerms:
    """The terms of one concept."""

    terms: tuple[TermRow, ...] = ()
    """Best terms by q, then by effect."""
    top_term: TermRow | None = None
    """The best term that supports the concept at q <= 0.05, suspect ones only where there is no other."""
    n_terms: int = 0
    """Terms at q <= 0.05."""
    n_terms_shared: int = 0
    """Of these, found by the differential expression too."""
    n_terms_de: int = 0


class TermTables:
    """The tests of a run by concept.

    Parameters
    ----------
    enrichment
        By attribution.
    enrichment_de
        By differential expression.
    """

    def __init__(self, enrichment: Enrichment | None, enrichment_de: Enrichment | None) -> None:
        self._tables, self._tables_de = _by_concept(enrichment), _by_concept(enrichment_de)

    def of(self, concept: int) -> FoundTerms:
        """Gather the terms of one concept.

        Parameters
        ----------
        concept
            The concept.
        """
        table, table_de = self._tables.get(concept), self._tables_de.get(concept)
        q_de: dict[tuple[str, str], float] = {}
        if table_de is not None:
            keys = zip(table_de["collection"], table_de["term"], strict=True)
            q_de = dict(zip(keys, table_de["q_global"], strict=True))
        n_de = sum(q <= ALPHA for q in q_de.values())
        if table is None:
            return FoundTerms(n_terms_de=n_de)
        best = table.assign(strength=table["effect"].abs()).sort_values(
            ["q_global", "strength", "term"], ascending=[True, False, True], kind="stable"
        )
        significant = best[best["q_global"] <= ALPHA]
        supporting = significant[significant["effect"] > 0].sort_values("suspect", kind="stable")
        keys = zip(significant["collection"], significant["term"], strict=True)
        top = [_term_row(record, q_de) for record in supporting.head(1).to_dict("records")]
        return FoundTerms(
            terms=tuple(_term_row(record, q_de) for record in best.head(N_TERMS).to_dict("records")),
            top_term=top[0] if top else None,
            n_terms=len(significant),
            n_terms_shared=sum(q_de.get(key, np.nan) <= ALPHA for key in keys),
            n_terms_de=n_de,
        )


def _by_concept(enrichment: Enrichment | None) -> dict[int, pd.DataFrame]:
    if enrichment is None:
        return {}
    table = enrichment.table
    suspect = table["flag"].isin(suspect_flags(enrichment.calibration))
    tested = table.assign(effect=enrichment.effect, suspect=suspect)[~table["no_signal"].astype(bool)]
    groups = tested.groupby("concept", sort=False)
    return {int(rows["concept"].iloc[0]): rows for _, rows in groups}


def _term_row(record: dict[Any, Any], q_de: dict[tuple[str, str], float]) -> TermRow:
    edge = str(record["leading_edge"] or "")
    return TermRow(
        term=str(record["term"]),
        name=readable_term(str(record["name"])),
        collection=str(record["collection"]),
        effect=float(record["effect"]),
        q=float(record["q_global"]),
        q_de=float(q_de.get((record["collection"], record["term"]), np.nan)),
        size=int(record["size"]),
        leading_edge=tuple(edge.split(";")) if edge else (),
        flag=str(record["flag"]),
        suspect=bool(record["suspect"]),
    )
