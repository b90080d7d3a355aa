"""Sanity: attributions must not survive an encoder that has forgotten what it learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool, Float
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from conceptome.attribution.edit_effects import Probe, open_probe
from conceptome.attribution.pair_cells import PairCells
from conceptome.attribution.response import Reader, Responder
from conceptome.attribution.synergy import PAIRS_PER_CALL, attributed
from conceptome.core import (
    Attributions,
    Dictionary,
    Edits,
    Encoder,
    InputError,
    Pairs,
    Reinitialisable,
    require_at_least,
)


def sanity_check(  # noqa: PLR0913
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    attributions: Attributions,
    *,
    concepts: Sequence[int] | None = None,
    seed: int = 0,
    batch_size: int = 4096,
    device: str = "cpu",
) -> pd.DataFrame:
    """Attribute again after permuting the entries of each of the encoder's weights [Adebayo18].

    The dictionary's maps and the pairs stay. Effects are those on the pre-activation: the scrambled encoder
    puts cells elsewhere, where the concept may be silent and no edit would change its activation.

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder; it needs the method ``reinitialised`` (see `conceptome.core.Reinitialisable`).
    dictionary
        The dictionary.
    pairs
        The pairs that `attributions` was made from.
    attributions
        Scores by substitution.
    concepts
        Concepts to check; by default those of `pairs` that have attributions.
    seed
        Seed of the permutations.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.

    Returns
    -------
    One row per concept: ``concept, spearman`` (correlation of the mean effects on the pre-activation before
    and after, over the genes that differ in a pair; NaN where either is constant) and ``n_genes``. It must be
    near 0; what is left comes from what the cells alone say, such as which genes differ most.

    Raises
    ------
    InputError
        If the encoder cannot be re-initialised or embed edited cells, the attributions are of another
        intervention, or the parts do not fit together.
    DictionaryMismatchError
        If `pairs` or `encoder` belong to another dictionary.
    """
    require_at_least("seed", seed, 0)
    if not isinstance(encoder, Reinitialisable):
        msg = f"Encoder {encoder.name!r} has no method reinitialised(seed=...). The check needs it."
        raise InputError(msg)
    if attributions.intervention != "substitute":
        msg = f"The attributions are by {attributions.intervention!r}. Check those of 'substitute'."
        raise InputError(msg)
    forgetful = encoder.reinitialised(seed=seed)
    probe = replace(
        open_probe(adata, encoder, dictionary, pairs),
        reader=Reader.of(adata, forgetful, pairs),
        responder=Responder(forgetful, dictionary, batch_size, device),
    )
    rows = []
    for concept in tqdm(
        attributed(pairs, attributions, concepts), desc="sanity check", unit="concept", disable=None
    ):
        before = attributions.effect_pre[attributions.concepts == concept][0]
        after, differs = _mean_effect(probe, pairs.of(concept))
        compared = differs & np.isfinite(before)
        rows.append((concept, _correlation(before[compared], after[compared]), int(compared.sum())))
    return pd.DataFrame(rows, columns=["concept", "spearman", "n_genes"])


def _mean_effect(
    probe: Probe, pairs: Pairs
) -> tuple[Float[np.ndarray, " genes"], Bool[np.ndarray, " genes"]]:
    """Average the effects of single substitutions on the pre-activation; tell which genes differ anywhere."""
    total, differs = np.zeros(probe.adata.n_vars), np.zeros(probe.adata.n_vars, dtype=bool)
    n_counterfactuals = np.bincount(pairs.pair)[pairs.pair]
    for start in range(0, len(pairs), PAIRS_PER_CALL):
        rows = np.arange(start, min(start + PAIRS_PER_CALL, len(pairs)))
        sides = PairCells.of(probe.reader, pairs.take(rows))
        pair, gene = np.nonzero(sides.differs)
        edits = Edits.single(sides.ends[0, pair], gene, sides.values[1, pair, gene])
        unedited = Edits.noop(len(sides.cells.rows))
        asked = Edits.joined([unedited, edits])
        pre = probe.responder.respond(sides.cells, asked, int(pairs.concept[0]))[:, 1]
        effect = pre[sides.ends[0, pair]] - pre[len(unedited) :]
        total += np.bincount(gene, effect / n_counterfactuals[rows][pair], minlength=probe.adata.n_vars)
        differs |= sides.differs.any(axis=0)
    return total / len(np.unique(pairs.pair)), differs


def _correlation(one: Float[np.ndarray, " genes"], other: Float[np.ndarray, " genes"]) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)
