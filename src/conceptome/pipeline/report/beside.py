"""What attribution and expression find in the gene sets of one concept, and what only one of them finds."""

from __future__ import annotations

from dataclasses import dataclass

from conceptome.enrichment import Contrast
from conceptome.evaluation import readable_term

N_NAMED = 4
HEADINGS = {
    "both": "By both",
    "opposite": "By both, with opposite signs",
    "only attribution": "By attribution alone",
    "only expression": "By expression alone",
}


@dataclass(frozen=True)
class Side:
    """Findings of one kind."""

    heading: str
    n_terms: int
    named: tuple[str, ...]
    """The most significant."""


def sides(contrast: Contrast | None) -> dict[int, tuple[Side, ...]]:
    """List the findings of every concept by who found them.

    Parameters
    ----------
    contrast
        The comparison; None if there is none.

    Returns
    -------
    By concept; kinds without a finding are left out.
    """
    if contrast is None:
        return {}
    found: dict[int, tuple[Side, ...]] = {}
    for concept, rows in contrast.findings.groupby("concept"):
        of_kind = {kind: rows.loc[rows["found"] == kind, "name"] for kind in HEADINGS}
        found[int(str(concept))] = tuple(
            Side(HEADINGS[kind], len(names), tuple(readable_term(str(name)) for name in names[:N_NAMED]))
            for kind, names in of_kind.items()
            if len(names)
        )
    return found
