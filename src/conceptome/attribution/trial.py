"""One attribution put to the test: genes scored on some of the factuals, their order tried on the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from conceptome.attribution.curves import faithfulness
from conceptome.attribution.estimate import attribute
from conceptome.core import Attributions, Dictionary, Encoder, Faithfulness, Pairs
from conceptome.counterfactuals import hold_out

OURS = "substitute"


@dataclass(frozen=True, eq=False)
class Trial:
    """Gene scores of a dictionary, and what they are worth."""

    attributions: Attributions
    """By substitution, from the factuals that were not held out."""
    faithfulness: Faithfulness | None
    """Of these scores, beside random orders, on the factuals that were; None where no unit has enough."""


def try_attribution(  # noqa: PLR0913 (what it tries needs)
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    n_genes: int = 100,
    every: int = 1,
    batch_size: int = 4096,
    device: str = "cpu",
    seed: int = 0,
) -> Trial:
    """Hold half of each unit's factuals out, attribute with the rest, delete and insert genes in those.

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder whose embeddings the dictionary was trained on.
    dictionary
        The dictionary.
    pairs
        The pairs.
    n_genes, every
        As in `faithfulness`.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.
    seed
        Seed of all that is drawn.

    Returns
    -------
    `Trial`.

    Raises
    ------
    InputError
        If the parts do not belong together, or the encoder cannot embed edited cells.
    DictionaryMismatchError
        If the dictionary was trained on another encoder.
    """
    kept, held_out = hold_out(pairs, seed=seed)
    found = attribute(adata, encoder, dictionary, kept, batch_size=batch_size, device=device, seed=seed)
    both = np.intersect1d(kept.concept, held_out.concept).tolist()
    measured = None
    if both:
        scores = {OURS: found.scores("attribution")}
        measured = faithfulness(
            adata,
            encoder,
            dictionary,
            held_out,
            scores,
            n_genes=n_genes,
            concepts=both,
            every=every,
            seed=seed,
            batch_size=batch_size,
            device=device,
        )
    return Trial(found, measured)
