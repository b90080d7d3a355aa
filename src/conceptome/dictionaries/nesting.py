"""Hierarchy over the prefixes of a Matryoshka dictionary: which finer concepts lie within a coarser one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import Activations, Dictionary, Embeddings, InputError
from conceptome.dictionaries.chance import coactivation_by_chance
from conceptome.dictionaries.geometry import cosines


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Concepts of finer prefixes within those of coarser ones."""

    concepts: pd.DataFrame
    """``concept, level`` (0 for the first prefix), ``frequency, parent`` (missing for one without), ``share,
    expected, within, cosine`` (of it and its parent, as in `links`)."""
    links: pd.DataFrame
    """``child, parent, share`` (of the child's cells that activate the parent), ``expected`` (the same by
    chance), ``within`` (how far it is from chance, 0, to all cells, 1), ``q, cosine`` (of their directions):
    all coarser concepts within which a child lies, the closest first."""
    prefixes: tuple[int, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table of concepts."""
        return self.concepts.copy()


def hierarchy(
    dictionary: Dictionary,
    embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
    *,
    min_within: float = 1 / 3,
    fdr: float = 0.05,
) -> Hierarchy:
    """Find for each concept of a finer prefix its parent among the concepts of coarser prefixes.

    A concept lies within another when more of the cells that activate it activate the other too than
    `coactivation_by_chance` expects (Benjamini-Hochberg over all such pairs), by at least a third of the way
    from chance to all of them. Directions do not decide, as a finer concept explains what coarser ones leave
    over, often at a right angle to them; their cosine is listed.

    Parameters
    ----------
    dictionary
        With ``prefixes``, such as `MatryoshkaDictionary`.
    embeddings
        Cells, ``(n_cells, d_embed)``.
    min_within
        Least part of the way from chance to all cells, above 0 and at most 1.
    fdr
        Expected share of false links, above 0 and at most 1.

    Returns
    -------
    `Hierarchy`. A concept may have no parent, and then stands for something of its own.

    Raises
    ------
    InputError
        If the dictionary has no two prefixes, or a share is out of range.
    DictionaryMismatchError
        If the embeddings are of another encoder.
    """
    prefixes = tuple(getattr(dictionary, "prefixes", ()))
    if len(prefixes) < 2:
        msg = (
            f"Dictionary {dictionary.dictionary_id} is of kind {dictionary.kind!r} with prefixes {prefixes}, "
            "a hierarchy needs two or more. Train with cm.dictionaries.Matryoshka."
        )
        raise InputError(msg)
    for name, value in (("min_within", min_within), ("fdr", fdr)):
        if not 0 < value <= 1:
            msg = f"{name} is {value}, expected a share above 0 and at most 1."
            raise InputError(msg)
    encoded = dictionary.encode(embeddings)
    values = encoded.values if isinstance(encoded, Activations) else encoded
    found = coactivation_by_chance(values)
    n_cells = np.diag(found.observed)
    level = np.searchsorted(prefixes, np.arange(dictionary.n_concepts), side="right")
    child, parent = np.nonzero((level[:, None] > level) & (np.minimum.outer(n_cells, n_cells) > 0))
    pairs = pd.DataFrame({"child": child, "parent": parent})
    pairs["share"] = found.observed[child, parent] / n_cells[child]
    pairs["expected"] = found.expected[child, parent] / n_cells[child]
    pairs["within"] = (pairs["share"] - pairs["expected"]) / np.maximum(1 - pairs["expected"], 1e-9)
    pairs["q"] = _corrected(found.p()[child, parent])
    pairs["cosine"] = cosines(dictionary)[child, parent]
    links = pairs[(pairs["q"] <= fdr) & (pairs["within"] >= min_within)]
    links = links.sort_values(["child", "within"], ascending=[True, False], kind="stable", ignore_index=True)
    concepts = pd.DataFrame(
        {"concept": np.arange(len(level)), "level": level, "frequency": n_cells / max(values.shape[0], 1)}
    )
    first = links.drop_duplicates("child").drop(columns="q").astype({"parent": "Int64"})
    table = concepts.merge(first.rename(columns={"child": "concept"}), on="concept", how="left")
    return Hierarchy(table, links, prefixes)


def _corrected(p: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p)) if len(p) else p
