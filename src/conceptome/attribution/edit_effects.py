"""Effects of single-gene edits on one concept: what the model says of the cell, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from anndata import AnnData
from jaxtyping import Bool, Float

from conceptome.attribution.clusters import cluster_labels
from conceptome.core import (
    Dictionary,
    DictionaryMismatchError,
    Edits,
    Effects,
    Encoder,
    InputError,
    Pairs,
    map_blocks,
    require_choice,
)
from conceptome.counterfactuals.editing import mask_edits, substitution_edits

Intervention: TypeAlias = Literal["substitute", "mask"]

EDITS_PER_CALL = 65_536  # fixed, so that results do not depend on the batch size; bounds the memory
PAIR_COLUMNS = (
    *("concept", "pair", "factual", "counterfactual", "activation"),
    *("distance", "distance_percentile", "library_ratio", "matched"),
)
NOISE_CELLS = 512  # edited to measure the noise floor
TOLERATED_DRIFT = 0.1  # share of the activation by which an encoder may differ from the one that was encoded


@dataclass(frozen=True, eq=False)
class Probe:
    """Asks an encoder and a dictionary how a concept responds to edits of cells."""

    adata: AnnData
    encoder: Encoder
    dictionary: Dictionary
    known: Bool[np.ndarray, " genes"]
    """Which columns of `adata` the encoder reads."""
    intervention: Intervention
    batch_size: int
    device: str

    def effects(self, pairs: Pairs, concept: int) -> Effects:
        """Measure the effect of every edit of the pairs of one concept.

        Parameters
        ----------
        pairs
            Pairs, all of this concept.
        concept
            The concept.

        Returns
        -------
        Effects, one row per pair (per factual for ``"mask"``, which needs no counterfactual).

        Raises
        ------
        InputError
            If the factuals do not activate the concept as `pairs` says they do.
        """
        if self.intervention == "mask":
            rows = np.unique(pairs.pair, return_index=True)[1]
        else:
            rows = np.arange(len(pairs))
        cells, positions = np.unique([pairs.factual[rows], pairs.counterfactual[rows]], return_inverse=True)
        factual, counterfactual = positions.reshape(2, len(rows))
        view = self.adata[cells]
        expression = self.encoder.expression(view)
        if self.intervention == "mask":
            edits, differs = mask_edits(expression, self.known, factual=factual)
            cluster = cluster_labels(factual, factual)
        else:
            edits, differs = substitution_edits(
                expression, self.known, factual=factual, counterfactual=counterfactual
            )
            cluster = cluster_labels(factual, counterfactual)
        response = self._respond(view, _join(Edits.noop(len(cells)), edits), concept)
        before, after = response[factual], response[len(cells) :]
        _check_activation(before[:, 0], pairs.activation[rows], concept)
        pair = np.nonzero(differs)[0]
        act, pre = (self._scatter(before[pair, part] - after[:, part], differs) for part in (0, 1))
        return Effects(concept, act, pre, differs, before[:, 0], cluster, pairs.pair[rows])

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
        view = self.adata[factual[:: len(factual) // NOISE_CELLS + 1]]
        values = np.where(self.known, self.encoder.expression(view).toarray(), -np.inf)
        gene = values.argmax(axis=1)
        cells = np.arange(len(gene))
        own = Edits.single(cells, gene, values[cells, gene])
        return float(np.abs(self._embed(view, own) - self._embed(view, Edits.noop(len(gene)))).max())

    def _embed(self, view: AnnData, edits: Edits) -> Float[np.ndarray, "edits d_embed"]:
        return self.encoder.embed_edits(view, edits, batch_size=self.batch_size, device=self.device)

    def _respond(self, view: AnnData, edits: Edits, concept: int) -> Float[np.ndarray, "edits 2"]:
        """Compute activation and pre-activation of the concept in every edited cell."""

        def read(z: np.ndarray) -> np.ndarray:
            pre = self.dictionary.preactivations(z)
            return np.column_stack([self.dictionary.activate_one(pre, concept), pre[:, concept]])

        return np.concatenate([map_blocks(read, self._embed(view, part)) for part in _parts(edits)])

    def _scatter(
        self, effect: Float[np.ndarray, " edits"], differs: Bool[np.ndarray, "pairs genes"]
    ) -> Float[np.ndarray, "pairs genes"]:
        matrix = np.zeros(differs.shape)
        matrix[differs] = effect
        matrix[:, ~self.known] = np.nan
        return matrix


def effects(  # noqa: PLR0913
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    concept: int,
    intervention: Intervention = "substitute",
    batch_size: int = 4096,
    device: str = "cpu",
) -> Effects:
    """Measure the effect of every single-gene edit in the pairs of one concept.

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
    intervention
        ``"substitute"`` gives the factual the counterfactual's value, ``"mask"`` sets it to 0.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.

    Returns
    -------
    Effects, activation (TopK recomputed) and pre-activation; positive = the gene supports the concept.

    Raises
    ------
    InputError
        If the parts do not belong together, the concept has no pairs, or the encoder cannot edit cells.
    DictionaryMismatchError
        If `pairs` or `encoder` belong to another dictionary.
    """
    probe = open_probe(
        adata, encoder, dictionary, pairs, intervention=intervention, batch_size=batch_size, device=device
    )
    if concept not in pairs.concept:
        reason = pairs.not_attributable.get(concept, "it was not paired")
        msg = f"Concept {concept} has no pairs: {reason}. Ask for one of those in pairs.concept."
        raise InputError(msg)
    return probe.effects(select(pairs, pairs.concept == concept), concept)


def open_probe(
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    intervention: Intervention,
    batch_size: int,
    device: str,
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
    intervention
        The kind of edit.
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
    return Probe(adata, encoder, dictionary, encoder.known(adata), intervention, batch_size, device)


def select(pairs: Pairs, rows: Bool[np.ndarray, " pairs"]) -> Pairs:
    """Take some of the pairs, without their null pairs.

    Parameters
    ----------
    pairs
        All pairs.
    rows
        Which to take.

    Returns
    -------
    The selected pairs.
    """
    taken = {name: getattr(pairs, name)[rows] for name in PAIR_COLUMNS}
    return Pairs(**taken, cell_ids=pairs.cell_ids, dictionary_id=pairs.dictionary_id)


def _parts(edits: Edits) -> Iterator[Edits]:
    for start in range(0, len(edits), EDITS_PER_CALL):
        stop = min(start + EDITS_PER_CALL, len(edits))
        changes = slice(edits.indptr[start], edits.indptr[stop])
        indptr = edits.indptr[start : stop + 1] - edits.indptr[start]
        yield Edits(edits.cells[start:stop], indptr, edits.genes[changes], edits.values[changes])


def _join(one: Edits, other: Edits) -> Edits:
    return Edits(
        np.concatenate([one.cells, other.cells]),
        np.concatenate([one.indptr, one.indptr[-1] + other.indptr[1:]]),
        np.concatenate([one.genes, other.genes]),
        np.concatenate([one.values, other.values]),
    )


def _check_activation(
    found: Float[np.ndarray, " pairs"], expected: Float[np.ndarray, " pairs"], concept: int
) -> None:
    drift = np.abs(found - expected).sum() / expected.sum()
    if not drift <= TOLERATED_DRIFT:
        what = f"Concept {concept} has mean activation {found.mean():.3g} in its factuals"
        msg = f"{what}, but {expected.mean():.3g} in pairs: adata or the encoder is not what was encoded."
        raise InputError(msg)
