"""The themes of a whole dictionary: those of its concepts put together where one stands within another."""

from __future__ import annotations

import pandas as pd

from conceptome.core import InputError

NEEDED = ("concept", "theme_term", "theme_name", "collection", "term", "similarity", "p")


def shared_themes(themes: pd.DataFrame) -> pd.DataFrame:
    """Give alike themes of different concepts one representative.

    Each concept's themes have representatives of their own, so that what is alike goes by many names. From
    the representative of most concepts to that of fewest (then the more significant), one that some concept
    counts to the theme of an earlier one, or the other way round, joins it, of several the most similar; any
    other founds a theme.

    Parameters
    ----------
    themes
        What `themes` returned for all concepts.

    Returns
    -------
    The rows of `themes` without ``similarity, basis``. Themes are numbered over the dictionary, 0 in most
    concepts; ``theme_term, theme_name`` are the shared representative's, which need not be a finding of the
    row's concept, and ``n_terms`` counts the concept's terms in the theme. Within a concept and theme the
    most significant term comes first.

    Raises
    ------
    InputError
        If a column is missing.
    """
    missing = [column for column in NEEDED if column not in themes.columns]
    if missing:
        msg = f"The themes lack the columns {missing}; expected the table of cm.enrichment.themes."
        raise InputError(msg)
    leader_of = _leaders(themes)
    name_of = dict(zip(themes["theme_term"], themes["theme_name"], strict=True))
    shared = themes.assign(theme_term=themes["theme_term"].map(leader_of))
    shared["theme_name"] = shared["theme_term"].map(name_of)
    shared["n_terms"] = shared.groupby(["concept", "theme_term"])["term"].transform("size")
    order = _by_spread(shared)
    shared["theme"] = shared["theme_term"].map({term: at for at, term in enumerate(order)})
    shared = shared.sort_values(["concept", "theme", "p", "collection", "term"], ignore_index=True)
    return shared.drop(columns=["similarity", "basis"], errors="ignore")


def _by_spread(themes: pd.DataFrame) -> list[str]:
    """Order representatives: of most concepts first, then the more significant, then by identifier."""
    spread = themes.groupby("theme_term").agg(n=("concept", "nunique"), p=("p", "min")).reset_index()
    return [
        str(term)
        for term in spread.sort_values(["n", "p", "theme_term"], ascending=[False, True, True])["theme_term"]
    ]


def _leaders(themes: pd.DataFrame) -> dict[str, str]:
    """Return the shared representative of each concept's own."""
    order = _by_spread(themes)
    links = themes[(themes["term"] != themes["theme_term"]) & themes["term"].isin(order)]
    alike: dict[str, dict[str, float]] = {term: {} for term in order}
    for one, other, similarity in zip(links["term"], links["theme_term"], links["similarity"], strict=True):
        for here, there in ((one, other), (other, one)):
            alike[here][there] = max(similarity, alike[here].get(there, 0.0))
    leaders: dict[str, str] = {}
    for term in order:
        founders = [other for other in alike[term] if leaders.get(other) == other]
        leaders[term] = max(founders, key=lambda other: (alike[term][other], other), default=term)
    return leaders
