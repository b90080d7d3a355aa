"""Measure the genes that matter by edits, the others by an estimate whose misses are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from conceptome.attribution.interventions import Plan
from conceptome.attribution.response import Cells, Responder
from conceptome.core import EditEstimator, Edits, InputError, ThresholdedConcepts, require_at_least

N_CHECKED = 2  # pairs of each concept that are measured in full
TOPS = (20, 50)
OFTEN = 0.5


@dataclass(frozen=True, eq=False)
class Answers:
    """What a concept does in cells and in edited cells: activation and pre-activation."""

    before: Float[np.ndarray, "cells 2"]
    after: Float[np.ndarray, "edits 2"]
    """Edits of all plans, in their order."""
    exact: Bool[np.ndarray, " edits"] | None
    """Whether the edited cell was embedded; else it was estimated. None where all were embedded."""
    recall: Float[np.ndarray, " 3"] | None
    """See `Attributions.recall`."""


@dataclass(frozen=True)
class Prescreen:
    """Estimates all effects, then measures the `n_genes` largest of each pair.

    A gene that is among them in at least half of the pairs in which it differs is measured in all of these;
    so is every edit whose estimate is not finite.
    """

    n_genes: int
    seed: int

    def __post_init__(self) -> None:
        require_at_least("prescreen", self.n_genes, 1)

    def ask(self, responder: Responder, cells: Cells, plans: Sequence[Plan], concept: int) -> Answers:
        """Estimate and measure.

        Parameters
        ----------
        responder
            Encoder and dictionary.
        cells
            The cells.
        plans
            Edits of real pairs, then those of null pairs.
        concept
            The concept.

        Returns
        -------
        The answers.

        Raises
        ------
        InputError
            If encoder or dictionary admit no estimate.
        """
        n_cells, edits = len(cells.rows), Edits.joined([plan.edits for plan in plans])
        before = responder.respond(cells, Edits.noop(n_cells), concept)
        after = self._estimated(responder, cells, edits, concept)
        guessed = after - before[edits.cells]
        chosen = self._chosen(plans, guessed)
        own = plans[0].row
        rng = np.random.default_rng([self.seed, concept])
        rows = rng.permutation(len(plans[0].rows))[:N_CHECKED]
        checked = np.isin(own, rows)
        exact = chosen.copy()
        exact[: len(own)] |= checked
        after[exact] = responder.respond(cells, edits.take(np.flatnonzero(exact)), concept)
        found = after - before[edits.cells]
        agreement = [_agreement(guessed[at], found[at], chosen[at]) for at in _by_pair(own, rows)]
        return Answers(before, after, exact, np.mean(agreement, axis=0) if agreement else np.full(3, np.nan))

    def _estimated(
        self, responder: Responder, cells: Cells, edits: Edits, concept: int
    ) -> Float[np.ndarray, "edits 2"]:
        encoder, dictionary = responder.encoder, responder.dictionary
        rule = dictionary.concept_rule(concept) if isinstance(dictionary, ThresholdedConcepts) else None
        if not isinstance(encoder, EditEstimator) or rule is None:
            lacking = f"a {dictionary.kind!r} dictionary" if rule is None else f"encoder {encoder.name!r}"
            msg = f"There are no estimates with {lacking}. Leave prescreen out."
            raise InputError(msg)
        estimate = encoder.estimate_edits(
            cells.view, edits, cotangent=rule.weights[concept], device=responder.device
        )
        response = np.full((len(edits), 2), np.nan)
        finite = np.isfinite(estimate).all(axis=1)
        response[finite] = responder.read(estimate[finite], concept)
        return response

    def _chosen(
        self, plans: Sequence[Plan], guessed: Float[np.ndarray, "edits 2"]
    ) -> Bool[np.ndarray, " edits"]:
        strength = np.abs(guessed).max(axis=1)
        failed = ~np.isfinite(strength)  # such as of a token that had all the attention of another
        strength, start, chosen = np.where(failed, np.inf, strength), 0, []
        for plan in plans:
            pair, gene = plan.row, plan.unit
            stop = start + len(pair)
            place = _places_within(pair, -strength[start:stop])
            largest = place < self.n_genes
            times, differing = (
                np.bincount(gene[part], minlength=plan.n_units) for part in (largest, slice(None))
            )
            often = times >= OFTEN * differing
            chosen.append(largest | often[gene])
            start = stop
        return np.asarray(np.concatenate(chosen) | failed)


def _by_pair(own: Int[np.ndarray, " edits"], rows: Int[np.ndarray, " rows"]) -> list[np.ndarray]:
    edits = [np.flatnonzero(own == row) for row in rows]
    return [some for some in edits if len(some) > 1]


def _places_within(
    group: Int[np.ndarray, " edits"], value: Float[np.ndarray, " edits"]
) -> Int[np.ndarray, " edits"]:
    """Count from 0, in each group from its lowest value."""
    order = np.lexsort((value, group))
    starts = np.searchsorted(group[order], group[order])
    place = np.empty(len(group), dtype=np.int64)
    place[order] = np.arange(len(group)) - starts
    return place


def _agreement(
    guessed: Float[np.ndarray, "edits 2"],
    found: Float[np.ndarray, "edits 2"],
    chosen: Bool[np.ndarray, " edits"],
) -> list[float]:
    """Return the recall of the largest effects in one pair, and the rank correlation of pre-activations."""
    order = np.argsort(-np.abs(found).max(axis=1), kind="stable")
    finite = np.isfinite(guessed[:, 1])
    ranks = np.array([rankdata(effect[finite, 1]) for effect in (guessed, found)])
    return [*(float(chosen[order[:top]].mean()) for top in TOPS), float(np.corrcoef(ranks)[0, 1])]
