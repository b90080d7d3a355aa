"""What is measured side by side: a dictionary, its baselines, and the dictionary of a random encoder."""

from __future__ import annotations

from dataclasses import dataclass

from anndata import AnnData

from conceptome.core import Dictionary, Embeddings, Encoder, Reinitialisable
from conceptome.dictionaries.checks import require_source
from conceptome.evaluation.baselines import fit_baselines
from conceptome.evaluation.cells import EvaluatedCells
from conceptome.evaluation.retraining import recipe_of, train_like

RANDOM_ENCODER = "random_encoder"


@dataclass(frozen=True, eq=False)
class ScrambledEncoder:
    """An encoder that has forgotten what it learnt, and how it embeds the cells."""

    encoder: Encoder
    embeddings: Embeddings


@dataclass(frozen=True, eq=False)
class Comparand:
    """One of the dictionaries that are measured side by side."""

    name: str
    """Its kind, or ``"random_encoder"``."""
    dictionary: Dictionary
    cells: EvaluatedCells
    """As its encoder sees them."""
    encoder: Encoder | None


def comparands(
    cells: EvaluatedCells,
    dictionary: Dictionary,
    *,
    encoder: Encoder | None,
    random: ScrambledEncoder | None,
    seed: int,
    number: int,
) -> list[Comparand]:
    """Fit the baselines of a dictionary, and train one on the embedding of a random encoder.

    Parameters
    ----------
    cells
        The cells.
    dictionary
        One seed of the dictionary under study.
    encoder
        Its encoder; None = unknown.
    random
        The same cells through a random encoder; None = no such control.
    seed
        Seed of the evaluation.
    number
        Which of the seeds this is, from 0: baselines and the random encoder's dictionary get `seed` + it.

    Returns
    -------
    The dictionary under study first, the one of the random encoder last.

    Raises
    ------
    DictionaryMismatchError
        If the embeddings come from another encoder than the dictionary's.
    InputError
        If the split of the dictionary cannot be applied to these cells.
    """
    ids = {"dictionary_id": dictionary.dictionary_id, "encoder_id": dictionary.encoder_id}
    require_source(cells.embeddings, **ids)
    heldout = cells.heldout_by(dictionary, seed=seed)
    baselines = fit_baselines(dictionary, cells.z, heldout=heldout, seed=seed + number)
    found = [Comparand(each.kind, each, cells, encoder) for each in (dictionary, *baselines)]
    if random is not None:
        seen = cells.through(random.embeddings)
        other = train_like(dictionary, seen.embeddings, seed=seed + number, groups=cells.donor_names())
        found.append(Comparand(RANDOM_ENCODER, other, seen, random.encoder))
    return found


def scrambled(
    adata: AnnData, encoder: Encoder | None, dictionary: Dictionary, *, seed: int, device: str = "cpu"
) -> ScrambledEncoder | None:
    """Embed cells with an encoder that has forgotten what it learnt; None where there is no such control.

    Parameters
    ----------
    adata
        The cells.
    encoder
        The encoder.
    dictionary
        The dictionary, whose recipe is needed for the one of the random encoder.
    seed
        Decides the permutation of the weights.
    device
        Where the encoder runs.
    """
    if encoder is None or recipe_of(dictionary) is None:
        return None
    if not isinstance(encoder, Reinitialisable):
        return None
    forgetful = encoder.reinitialised(seed=seed)
    return ScrambledEncoder(forgetful, forgetful.embed(adata, device=device))


def why_no_control(encoder: Encoder | None, dictionary: Dictionary, *, n_seeds: int) -> dict[str, str]:
    """Say why there is no random encoder; empty if there is one.

    Parameters
    ----------
    encoder, dictionary
        What is evaluated.
    n_seeds
        Number of seeds.
    """
    reason = ""
    can = isinstance(encoder, Reinitialisable)
    if n_seeds == 1:
        reason = "Measured with several seeds only: run conceptome evaluate RUN, or evaluate(n_seeds=3)."
    elif encoder is None:
        reason = "Only embeddings are known, and no encoder whose weights could be permuted."
    elif not can:
        reason = (
            f"The encoder {encoder.name!r} has no method reinitialised(seed=...) that permutes its weights."
        )
    elif recipe_of(dictionary) is None:
        reason = f"A dictionary of the kind {dictionary.kind!r} names no recipe to train another one by."
    return {RANDOM_ENCODER: reason} if reason else {}
