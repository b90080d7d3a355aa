"""Redundancy: genes that matter only together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float, Int
from tqdm.auto import tqdm

from conceptome.attribution.edit_effects import Probe, open_probe
from conceptome.attribution.pair_cells import PairCells
from conceptome.core import Attributions, Dictionary, Edits, Encoder, InputError, Pairs, require_at_least

PAIRS_PER_CALL = 64
TOP = "top"
MEASURES = ("together", "apart", "synergy")

GeneColumns = Mapping[str, "Int[np.ndarray, ' some']"]


@dataclass(frozen=True, eq=False)
class _SetEffects:
    """Effects of sets of genes in some pairs, on the activation."""

    together: Float[np.ndarray, "pairs sets"]
    """Of all genes of a set at once."""
    apart: Float[np.ndarray, "pairs sets"]
    """Sum of the effects of its genes."""
    n_differing: Float[np.ndarray, "pairs sets"]
    activation: Float[np.ndarray, " pairs"]


def redundancy(  # noqa: PLR0913
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    attributions: Attributions,
    *,
    n_genes: int = 10,
    gene_sets: Mapping[str, Sequence[str]] | None = None,
    concepts: Sequence[int] | None = None,
    batch_size: int = 4096,
    device: str = "cpu",
) -> pd.DataFrame:
    """Compare what genes do together with the sum of what each does alone.

    Where genes stand in for each other, no single substitution does much and all at once do: synergy > 0.
    Where each of them alone already switches the concept off: synergy < 0.

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder whose embeddings the dictionary was trained on.
    dictionary
        The dictionary.
    pairs
        Pairs to measure in, best those that the attributions have not seen: genes chosen for their single
        effects in the same pairs seem to act alone more than they do.
    attributions
        Scores that choose the strongest supporters.
    n_genes
        Number of strongest supporters that make up the set ``"top"``; 0 leaves it out.
    gene_sets
        Further sets: genes by name.
    concepts
        Concepts to look at; by default those of `pairs` that have attributions.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.

    Returns
    -------
    One row per concept and set: ``concept, genes`` (name of the set), ``n_genes`` (of the set, in the data
    and known to the encoder), ``n_differing`` (of these, mean over factuals), ``n_factuals``; ``together``,
    ``apart`` and ``synergy`` (their difference), each the sum over factuals divided by the sum of activations
    (1 = the concept is switched off), NaN for an empty set; and, as ``<measure>_se``, standard errors.

    Raises
    ------
    InputError
        If the parts or options do not fit together, or the encoder cannot embed edited cells.
    DictionaryMismatchError
        If `pairs` or `encoder` belong to another dictionary.
    """
    require_at_least("n_genes", n_genes, 0)
    gene_sets = gene_sets or {}
    if not n_genes and not gene_sets:
        msg = "n_genes is 0 and there are no gene_sets, so that no set is left. Give one of them."
        raise InputError(msg)
    if n_genes and TOP in gene_sets:
        msg = f"gene_sets has a set {TOP!r}, the name of the strongest genes. Rename it, or pass n_genes=0."
        raise InputError(msg)
    if not attributions.genes.equals(adata.var_names):
        found = f"attributions has {len(attributions.genes)} genes that are not the {adata.n_vars} of adata"
        msg = f"{found} in their order. Pass the cells that were attributed, and scores of single genes."
        raise InputError(msg)
    probe = open_probe(adata, encoder, dictionary, pairs, batch_size=batch_size, device=device)
    known = probe.reader.known
    named = {
        name: np.flatnonzero(adata.var_names.isin(list(genes)) & known) for name, genes in gene_sets.items()
    }
    rows: list[dict[str, object]] = []
    for concept in tqdm(
        attributed(pairs, attributions, concepts), desc="redundancy", unit="concept", disable=None
    ):
        scores = attributions.attribution[attributions.concepts == concept][0]
        sets = ({TOP: _supporters(scores, n_genes)} if n_genes else {}) | named
        own = pairs.of(concept)
        parts = list(_effects(probe, own, sets))
        merged = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("together", "apart", "n_differing", "activation")
        }
        rows += _summaries(_SetEffects(**merged), own.pair, sets, concept)
    return pd.DataFrame(rows)


def attributed(pairs: Pairs, attributions: Attributions, concepts: Sequence[int] | None) -> list[int]:
    """List the concepts that have both pairs and attributions.

    Parameters
    ----------
    pairs
        Pairs.
    attributions
        Attributions.
    concepts
        Those that are wanted; None for all there are.

    Returns
    -------
    Concepts, ascending.

    Raises
    ------
    InputError
        If one that is wanted lacks either, or there are none.
    """
    measured = attributions.concepts[attributions.n_pairs > 0]
    both = np.intersect1d(pairs.concept, measured).tolist()
    missing = sorted(set(both if concepts is None else concepts) - set(both))
    if missing or not both:
        what = f"Concepts {missing} lack" if missing else "No concept has"
        msg = f"{what} pairs or attributions. Ask for concepts that are in both."
        raise InputError(msg)
    return both if concepts is None else sorted(set(concepts))


def _supporters(scores: Float[np.ndarray, " genes"], n_genes: int) -> Int[np.ndarray, " some"]:
    """Choose the genes with the largest scores above 0."""
    order = np.argsort(-np.nan_to_num(scores), kind="stable")[:n_genes]
    return np.asarray(order[np.nan_to_num(scores)[order] > 0])


def _effects(probe: Probe, pairs: Pairs, sets: GeneColumns) -> Iterator[_SetEffects]:
    """Measure all sets, some pairs at a time."""
    all_genes = np.unique(np.concatenate(list(sets.values())))
    member = np.stack([np.isin(all_genes, genes) for genes in sets.values()])
    for start in range(0, len(pairs), PAIRS_PER_CALL):
        own = pairs.take(np.arange(start, min(start + PAIRS_PER_CALL, len(pairs))))
        sides = PairCells.of(probe.reader, own)
        differs = sides.differs[:, all_genes]
        lent = sides.values[1][:, all_genes]
        respond = partial(probe.responder.respond, sides.cells, concept=int(own.concept[0]))
        before = respond(Edits.noop(len(sides.cells.rows)))[sides.ends[0], 0]
        pair, column = np.nonzero(differs)
        single = respond(Edits.single(sides.ends[0][pair], all_genes[column], lent[pair, column]))
        alone = np.zeros(differs.shape)
        alone[differs] = before[pair] - single[:, 0]
        chosen = (differs[:, None, :] & member).reshape(-1, len(all_genes))  # pair by pair, set by set
        row, column = np.nonzero(chosen)
        indptr = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))])
        cells = np.repeat(sides.ends[0], len(sets))
        joint = respond(Edits(cells, indptr, all_genes[column], lent[row // len(sets), column]))
        together = before[:, None] - joint[:, 0].reshape(-1, len(sets))
        yield _SetEffects(together, alone @ member.T, differs.astype(float) @ member.T, before)


def _summaries(
    effects: _SetEffects, pair: Int[np.ndarray, " pairs"], sets: GeneColumns, concept: int
) -> Iterator[dict[str, object]]:
    """Average over the counterfactuals of each factual, and sum up over factuals."""
    factual = np.unique(pair, return_inverse=True)[1]
    share = np.eye(factual.max() + 1)[factual].T / np.bincount(factual)[:, None]
    activation = share @ effects.activation
    for number, (name, genes) in enumerate(sets.items()):
        together, apart = (share @ part[:, number] for part in (effects.together, effects.apart))
        row: dict[str, object] = {
            "concept": concept,
            "genes": name,
            "n_genes": len(genes),
            "n_differing": float((share @ effects.n_differing[:, number]).mean()),
            "n_factuals": len(activation),
        }
        for measure, effect in zip(MEASURES, (together, apart, together - apart), strict=True):
            value, error = _ratio(effect, activation) if len(genes) else (np.nan, np.nan)
            row |= {measure: value, f"{measure}_se": error}
        yield row


def _ratio(
    effect: Float[np.ndarray, " factuals"], activation: Float[np.ndarray, " factuals"]
) -> tuple[float, float]:
    """Divide the sums, with the standard error of a ratio by linearisation."""
    n, total = len(effect), activation.sum()
    ratio = effect.sum() / total
    residual = effect - ratio * activation
    error = np.sqrt(n / (n - 1) * (residual**2).sum()) / total if n > 1 else np.nan
    return float(ratio), float(error)
