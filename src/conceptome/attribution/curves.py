"""Faithfulness: what becomes of a concept when its genes are substituted in the order of their scores."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float, Int
from tqdm.auto import tqdm

from conceptome.attribution.edit_effects import Probe, open_probe
from conceptome.attribution.orders import (
    counts_between,
    cumulative_edits,
    drawn_keys,
    gene_orders,
    ranks_by_name,
)
from conceptome.attribution.pair_cells import PairCells
from conceptome.core import (
    FACTUAL_COLUMNS,
    Dictionary,
    Edits,
    Encoder,
    Faithfulness,
    InputError,
    Pairs,
    require_at_least,
)

logger = logging.getLogger(__name__)

RANDOM = "random"
N_RANDOM = 5
CHANGES_PER_CALL = 2_000_000  # bounds the memory of one call


@dataclass(frozen=True, eq=False)
class _Plan:
    """What all concepts share."""

    probe: Probe
    methods: tuple[str, ...]
    n_genes: int
    n_random: int
    every: int
    seed: int

    @cached_property
    def by_name(self) -> Int[np.ndarray, " genes"]:
        """Place of every gene in the order of names; sorting tens of thousands of them takes its time."""
        return ranks_by_name(self.probe.adata.var_names)

    @property
    def pairs_per_call(self) -> int:
        """Number of pairs whose edits are held at once."""
        n_orders = len(self.methods) - bool(self.n_random) + self.n_random
        per_pair = n_orders * self.n_genes * (self.n_genes + 1)  # both directions
        return max(1, CHANGES_PER_CALL // per_pair)


@dataclass(frozen=True, eq=False)
class _PairCurves:
    """Both curves of one pair or, averaged, of one factual."""

    curves: Float[np.ndarray, "2 methods steps"]
    areas: Float[np.ndarray, "4 methods"]
    pair: int
    n_differing: int


def faithfulness(  # noqa: PLR0913
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    scores: Mapping[str, pd.DataFrame],
    *,
    n_genes: int = 100,
    n_random: int | None = None,
    every: int = 1,
    concepts: Sequence[int] | None = None,
    seed: int = 0,
    batch_size: int = 4096,
    device: str = "cpu",
) -> Faithfulness:
    """Measure whether the genes that a method scores highest are those that the model listens to.

    In every pair the genes that differ are ordered by score, the largest supporter first, and substituted
    one after the other: into the factual (deletion) and, with the factual's values, into its counterfactual
    (insertion). A curve is the activation divided by the factual's own; its area is its mean height over
    1 ... min(`n_genes`, number that differ) genes, clipped to [0, 1].

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder whose embeddings the dictionary was trained on.
    dictionary
        The dictionary.
    pairs
        Pairs that the scores have not seen, from ``counterfactuals.hold_out``.
    scores
        Gene scores by name of the method, concepts x genes in the columns of `adata`; positive = supports.
        NaN counts as 0. Equal scores are ordered at random.
    n_genes
        Longest curve.
    n_random
        Random orders per pair whose mean is the method ``"random"``; 0 leaves it out. None = 5, or 0 where
        `scores` brings a method of that name.
    every
        1 evaluates curves after every gene. A larger number evaluates them after each of the first 20 genes,
        then after every so many, and at the end; in between they are straight lines.
    concepts
        Concepts to measure; by default those of `pairs` that every method has scored.
    seed
        Seed of ties and random orders, which do not depend on the order of the columns.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.

    Returns
    -------
    Curves and areas; `Faithfulness.summary` and `Faithfulness.against` compare the methods.

    Raises
    ------
    InputError
        If the parts or options do not fit together, or the encoder cannot embed edited cells.
    DictionaryMismatchError
        If `pairs` or `encoder` belong to another dictionary.
    """
    if n_random is None:
        n_random = 0 if RANDOM in scores else N_RANDOM
    for name, number, least in (("n_genes", n_genes, 1), ("n_random", n_random, 0), ("every", every, 1)):
        require_at_least(name, number, least)
    require_at_least("seed", seed, 0)
    probe = open_probe(adata, encoder, dictionary, pairs, batch_size=batch_size, device=device)
    _check_scores(scores, adata, takes_random=n_random > 0)
    chosen = _chosen(scores, pairs, concepts)
    methods = (*scores, RANDOM) if n_random else tuple(scores)
    plan = _Plan(probe, methods, n_genes, n_random, every, seed)
    measured = {}
    for concept in tqdm(chosen, desc="faithfulness", unit="concept", disable=None):
        values = np.stack([np.nan_to_num(frame.loc[concept].to_numpy(float)) for frame in scores.values()])
        measured[concept] = _of_concept(plan, pairs.of(concept), values)
    curves = np.stack([np.mean([f.curves for f in found], axis=0) for found in measured.values()], axis=2)
    return Faithfulness(
        factuals=_table(measured, methods),
        deletion=curves[0],
        insertion=curves[1],
        methods=methods,
        concepts=np.array(chosen, dtype=np.int64),
        dictionary_id=dictionary.dictionary_id,
        encoder_id=encoder.encoder_id,
    )


def _check_scores(scores: Mapping[str, pd.DataFrame], adata: AnnData, *, takes_random: bool) -> None:
    if not scores:
        msg = "scores is empty. Give at least one method, such as {'substitution': attributions.scores()}."
        raise InputError(msg)
    if takes_random and RANDOM in scores:
        msg = "scores has a method 'random', the name of the random orders. Rename it, or pass n_random=0."
        raise InputError(msg)
    for method, frame in scores.items():
        if not frame.columns.equals(adata.var_names):
            found = f"scores[{method!r}] has {frame.shape[1]} columns that are not the {adata.n_vars} genes"
            msg = f"{found} of adata in their order. Give concepts x genes with adata.var_names as columns."
            raise InputError(msg)


def _chosen(scores: Mapping[str, pd.DataFrame], pairs: Pairs, concepts: Sequence[int] | None) -> list[int]:
    """Choose concepts that have pairs and that every method has scored."""
    paired = np.unique(pairs.concept).tolist()
    scored = {
        method: set(frame.index[frame.notna().any(axis=1)].tolist()) for method, frame in scores.items()
    }
    if concepts is None:
        chosen = [k for k in paired if all(k in known for known in scored.values())]
        if len(chosen) < len(paired):
            logger.warning(
                "%d of %d concepts with pairs lack scores in one of the methods and are left out",
                len(paired) - len(chosen),
                len(paired),
            )
        if not chosen:
            msg = "No concept has both pairs and scores of every method. Score the concepts of pairs."
            raise InputError(msg)
        return chosen
    for concept in concepts:
        pairs.of(concept)  # says why, if it has none
        for method, known in scored.items():
            if concept not in known:
                msg = f"scores[{method!r}] has no scores for concept {concept}. Leave the concept out."
                raise InputError(msg)
    return sorted(set(concepts))


def _of_concept(plan: _Plan, pairs: Pairs, scores: Float[np.ndarray, "methods genes"]) -> list[_PairCurves]:
    """Measure the curves of every factual of one concept."""
    found: list[_PairCurves] = []
    for start in range(0, len(pairs), plan.pairs_per_call):
        found += _of_pairs(plan, pairs.take(np.arange(len(pairs))[start:][: plan.pairs_per_call]), scores)
    if not found:
        what = f"Concept {pairs.concept[0]} is active in none of its {len(pairs)} factuals"
        msg = f"{what}: adata or the encoder is not what was encoded."
        raise InputError(msg)
    factuals: dict[int, list[_PairCurves]] = {}
    for one in found:
        factuals.setdefault(one.pair, []).append(one)
    return [_averaged(own) for own in factuals.values()]


def _averaged(pairs: list[_PairCurves]) -> _PairCurves:
    """Average over the counterfactuals of one factual."""
    curves, areas = (np.mean([getattr(one, name) for one in pairs], axis=0) for name in ("curves", "areas"))
    return _PairCurves(curves, areas, pairs[0].pair, round(np.mean([one.n_differing for one in pairs])))


def _of_pairs(plan: _Plan, pairs: Pairs, scores: Float[np.ndarray, "methods genes"]) -> Iterator[_PairCurves]:
    """Measure the curves of a few pairs; those that say nothing are left out."""
    sides = PairCells.of(plan.probe.reader, pairs)
    edits, layouts = [], []
    for row in range(len(pairs)):
        differing = np.flatnonzero(sides.differs[row])
        rng = np.random.default_rng([plan.seed, int(pairs.concept[row]), int(pairs.pair[row])])
        keys = drawn_keys(plan.by_name, 1 + plan.n_random, rng=rng)
        orders = gene_orders(scores, keys, among=differing, n_genes=plan.n_genes)
        counts = counts_between(orders.shape[1], plan.every)
        for edited, lender in ((0, 1), (1, 0)):
            cell, lent = int(sides.ends[edited, row]), sides.values[lender, row]
            edits.append(cumulative_edits(cell, lent, orders, counts=counts))
        layouts.append((len(orders), counts, len(differing)))
    activation = plan.probe.responder.respond(sides.cells, Edits.joined(edits), int(pairs.concept[0]))[:, 0]
    stop = 0
    for row, (n_orders, counts, n_differing) in enumerate(layouts):
        start, stop = stop, stop + 2 * n_orders * len(counts)
        raised = activation[start:stop].reshape(2, n_orders, len(counts))
        if n_differing and raised[0, 0, 0] > 0:
            ratio = raised / raised[0, 0, 0]
            yield _pair_curves(plan, ratio, counts, pair=int(pairs.pair[row]), n_differing=n_differing)


def _pair_curves(
    plan: _Plan,
    ratio: Float[np.ndarray, "2 orders counts"],
    counts: Int[np.ndarray, " counts"],
    *,
    pair: int,
    n_differing: int,
) -> _PairCurves:
    """Fill in the steps between counts, take the areas, and average the random orders."""
    steps = np.arange(counts[-1] + 1)
    curves = np.stack([[np.interp(steps, counts, order) for order in orders] for orders in ratio])
    measured = curves[:, :, 1:]
    areas = np.concatenate([np.clip(measured, 0, 1).mean(axis=2), measured.mean(axis=2)])
    beyond = plan.n_genes - len(steps) + 1
    curves = np.pad(curves, ((0, 0), (0, 0), (0, beyond)), mode="edge")
    if plan.n_random:
        n = len(plan.methods) - 1
        curves = np.concatenate([curves[:, :n], curves[:, n:].mean(axis=1, keepdims=True)], axis=1)
        areas = np.concatenate([areas[:, :n], areas[:, n:].mean(axis=1, keepdims=True)], axis=1)
    return _PairCurves(curves, areas, pair, n_differing)


def _table(measured: Mapping[int, list[_PairCurves]], methods: tuple[str, ...]) -> pd.DataFrame:
    rows = [
        (concept, one.pair, method, one.n_differing, *one.areas[:, number].tolist())
        for concept, found in measured.items()
        for one in found
        for number, method in enumerate(methods)
    ]
    table = pd.DataFrame(rows, columns=list(FACTUAL_COLUMNS))
    table["method"] = pd.Categorical(table["method"], categories=list(methods))
    return table
