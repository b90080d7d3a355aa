"""Effects of edits on one concept: what the model says of the cell, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from anndata import AnnData
from jaxtyping import Float

from conceptome.attribution.interventions import NEEDS_COUNTERFACTUAL, Intervention, Plan, Planner
from conceptome.attribution.kernels import spread_losses
from conceptome.attribution.prescreen import Answers, Prescreen
from conceptome.attribution.response import Cells, Reader, Responder
from conceptome.attribution.units import inactive_means, refuse_idle_sets, set_members
from conceptome.core import (
    Activations,
    Dictionary,
    DictionaryMismatchError,
    Edits,
    Effects,
    Encoder,
    InputError,
    Names,
    Pairs,
    content_id,
    require_at_least,
    require_choice,
)

NOISE_CELLS = 512  # edited to measure the noise floor
TOLERATED_DRIFT = 0.1  # share of the activation by which an encoder may differ from the one that was encoded


@dataclass(frozen=True, eq=False)
class Probe:
    """Asks how concepts respond to one kind of edit."""

    adata: AnnData
    planner: Planner
    responder: Responder
    units: Names
    """What is edited: genes, or sets of them."""
    reader: Reader
    prescreen: Prescreen | None = None
    """Which edits are estimated; none when None."""

    @property
    def compares(self) -> bool:
        """Whether edits take values from another cell; null pairs then say what chance does."""
        return self.planner.intervention in NEEDS_COUNTERFACTUAL

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the effects, besides cells and pairs."""
        planner = self.planner
        arrays = {f"mean.{concept}": mean for concept, mean in planner.means.items()}
        arrays |= {f"set.{number}": members for number, members in enumerate(planner.sets)}
        units = content_id({"units": list(map(str, self.units))}, arrays)
        prescreen = asdict(self.prescreen) if self.prescreen else None
        return {"intervention": planner.intervention, "units": units, "prescreen": prescreen}

    def effects(self, parts: Sequence[Pairs], concept: int) -> list[Effects]:
        """Measure the effect of every edit of some pairs of one concept.

        Parameters
        ----------
        parts
            Pairs, all of this concept; several, such as real and null pairs, are measured in one pass.
        concept
            The concept.

        Returns
        -------
        For each part one row per pair (per factual for ``"mask"`` and ``"mean"``, which need no
        counterfactual).

        Raises
        ------
        InputError
            If the factuals do not activate the concept as `pairs` says they do.
        """
        ends = np.concatenate([cell for pairs in parts for cell in (pairs.factual, pairs.counterfactual)])
        rows, places = np.unique(ends, return_inverse=True)
        cells = self.reader.read(rows)
        plans, start = [], 0
        for pairs in parts:
            factual, counterfactual = places[start : start + 2 * len(pairs)].reshape(2, -1)
            start += 2 * len(pairs)
            plan = self.planner.plan(pairs, cells.expression, factual=factual, counterfactual=counterfactual)
            plans.append(plan)
        answers = self._ask(cells, plans, concept)
        at, found = 0, []
        for pairs, plan in zip(parts, plans, strict=True):
            found.append(self._effects(pairs, plan, answers, slice(at, at + len(plan.edits))))
            at += len(plan.edits)
        return found

    def _ask(self, cells: Cells, plans: Sequence[Plan], concept: int) -> Answers:
        if self.prescreen:
            return self.prescreen.ask(self.responder, cells, plans, concept)
        n_cells = len(cells.rows)
        edits = Edits.joined([Edits.noop(n_cells), *(plan.edits for plan in plans)])
        response = self.responder.respond(cells, edits, concept)
        return Answers(response[:n_cells], response[n_cells:], None, None)

    def noise(self, pairs: Pairs) -> float:
        """Measure the largest change of the embedding when a gene is edited to the value it has.

        Parameters
        ----------
        pairs
            Pairs; up to 512 of their factuals are edited, in their most expressed known gene.

        Returns
        -------
        Largest |difference| over cells and coordinates, in the encoder's units.
        """
        factual = np.unique(pairs.factual)
        cells = Cells.of(self.adata, self.responder.encoder, factual[:: len(factual) // NOISE_CELLS + 1])
        values = np.where(self.planner.known, cells.expression.toarray(), -np.inf)
        gene = values.argmax(axis=1)
        place = np.arange(len(gene))
        own = Edits.single(place, gene, values[place, gene])
        embedded = (self.responder.embed(cells, edits) for edits in (own, Edits.noop(len(gene))))
        return float(np.abs(np.subtract(*embedded)).max())

    def _effects(self, pairs: Pairs, plan: Plan, answers: Answers, edits: slice) -> Effects:
        before = answers.before
        activation = before[plan.factual, 0]
        _check_activation(activation, pairs.activation[plan.rows], int(pairs.concept[0]))
        lost = np.zeros((2, len(plan.rows), plan.n_units))
        spread_losses(before, answers.after[edits], plan.edits.cells, plan.sign, plan.row, plan.unit, lost)
        act, pre = self._unknown_as_nan(lost)
        exact = None if answers.exact is None else ~plan.spread(~answers.exact[edits])
        return Effects(
            concept=int(pairs.concept[0]),
            act=act,
            pre=pre,
            differs=plan.differs,
            activation=activation,
            cluster=plan.cluster,
            factual=pairs.pair[plan.rows],
            exact=exact,
            recall=answers.recall,
        )

    def _unknown_as_nan(self, lost: Float[np.ndarray, "2 pairs units"]) -> Float[np.ndarray, "2 pairs units"]:
        measured = self.planner.measured
        if not measured.all():
            lost[..., ~measured] = np.nan
        return lost


def effects(  # noqa: PLR0913
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    concept: int,
    intervention: Intervention = "substitute",
    gene_sets: Mapping[str, Sequence[str]] | None = None,
    activations: Activations | None = None,
    batch_size: int = 4096,
    device: str = "cpu",
) -> Effects:
    """Measure the effect of every edit in the pairs of one concept.

    A gene with equal values in both cells has effect exactly 0 and is not put through the encoder; a gene
    that the encoder does not know is NaN.

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder whose embeddings the dictionary was trained on.
    dictionary
        The dictionary.
    pairs
        Pairs of any number of concepts; ``pairs.null`` for the effects in null pairs.
    concept
        The concept to look at.
    intervention, gene_sets, activations
        As for `attribute`.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.

    Returns
    -------
    Effects, activation (TopK recomputed) and pre-activation; positive = the gene supports the concept. One
    column per gene, or per set of genes.

    Raises
    ------
    InputError
        If the parts do not belong together, the concept has no pairs, or the encoder cannot edit cells.
    DictionaryMismatchError
        If `pairs` or `encoder` belong to another dictionary.
    """
    probe = open_probe(
        adata,
        encoder,
        dictionary,
        pairs,
        intervention=intervention,
        gene_sets=gene_sets,
        activations=activations,
        batch_size=batch_size,
        device=device,
    )
    return probe.effects([pairs.of(concept)], concept)[0]


def open_probe(  # noqa: PLR0913
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    intervention: Intervention = "substitute",
    gene_sets: Mapping[str, Sequence[str]] | None = None,
    activations: Activations | None = None,
    batch_size: int = 4096,
    device: str = "cpu",
) -> Probe:
    """Check that the parts belong together.

    Parameters
    ----------
    adata
        The cells.
    encoder
        The encoder.
    dictionary
        The dictionary.
    pairs
        The pairs.
    intervention, gene_sets, activations
        The kind of edit, as for `attribute`.
    batch_size
        Edited cells per forward pass.
    device
        Where the encoder runs.

    Returns
    -------
    The probe.

    Raises
    ------
    InputError
        If `pairs` was made from other cells, or there is no such intervention.
    DictionaryMismatchError
        If dictionary, pairs and encoder do not belong together.
    """
    require_choice("intervention", intervention, get_args(Intervention))
    require_at_least("batch_size", batch_size, 1)
    refuse_idle_sets(gene_sets, intervention)
    if pairs.dictionary_id != dictionary.dictionary_id:
        found = f"pairs belongs to dictionary {pairs.dictionary_id}, not to {dictionary.dictionary_id}"
        msg = f"{found}. Match again with the activations of this dictionary."
        raise DictionaryMismatchError(msg)
    if dictionary.encoder_id and dictionary.encoder_id != encoder.encoder_id:
        found = f"dictionary {dictionary.dictionary_id} was trained on encoder {dictionary.encoder_id}"
        msg = f"{found}, not on {encoder.encoder_id}. Pass that encoder, or train a dictionary on this one."
        raise DictionaryMismatchError(msg)
    if encoder.d_embed != dictionary.d_embed:
        found = f"the encoder's embedding has {encoder.d_embed} coordinates"
        msg = f"{found}, dictionary {dictionary.dictionary_id} expects {dictionary.d_embed}."
        raise DictionaryMismatchError(msg)
    if not adata.obs_names.equals(pairs.cell_ids):
        found = f"adata has {adata.n_obs} cells, pairs was made from {len(pairs.cell_ids)}"
        msg = f"{found}, and the ids or their order differ. Pass the cells that were encoded, in their order."
        raise InputError(msg)
    reader = Reader.of(adata, encoder, pairs)
    units: Names = adata.var_names
    sets: tuple[np.ndarray, ...] = ()
    if intervention == "gene_set":
        units, sets = set_members(gene_sets, adata.var_names)
    means = {}
    if intervention == "mean":
        means = inactive_means(adata, encoder, dictionary, np.unique(pairs.concept), activations)
    planner = Planner(intervention, reader.known, means, sets)
    return Probe(adata, planner, Responder(encoder, dictionary, batch_size, device), units, reader)


def _check_activation(
    found: Float[np.ndarray, " pairs"], expected: Float[np.ndarray, " pairs"], concept: int
) -> None:
    drift = np.abs(found - expected).sum() / expected.sum()
    if not drift <= TOLERATED_DRIFT:
        what = f"Concept {concept} has mean activation {found.mean():.3g} in its factuals"
        msg = f"{what}, but {expected.mean():.3g} in pairs: adata or the encoder is not what was encoded."
        raise InputError(msg)
