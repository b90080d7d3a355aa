"""Attribution: from matched pairs to one score per concept and gene, with its uncertainty."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from anndata import AnnData
from jaxtyping import Int
from tqdm.auto import tqdm

import conceptome
from conceptome.attribution.edit_effects import Probe, open_probe
from conceptome.attribution.gradients import GradientMethod, GradientProbe, open_gradients
from conceptome.attribution.interventions import Intervention
from conceptome.attribution.parts import Parts
from conceptome.attribution.prescreen import Prescreen
from conceptome.attribution.rows import Row, RowMaker, Settings, not_attributable
from conceptome.attribution.rows import stack as stack_rows
from conceptome.attribution.summary import Aggregate
from conceptome.attribution.units import refuse_idle_sets
from conceptome.attribution.workers import Serial, Workers
from conceptome.core import (
    Activations,
    Attributions,
    Dictionary,
    Encoder,
    InputError,
    Pairs,
    content_id,
    require_choice,
)

logger = logging.getLogger(__name__)

CELLS_PER_HASH = 4096  # bounds the memory

AttributionMethod: TypeAlias = Literal[Intervention, GradientMethod]


def attribute(  # noqa: PLR0913 (the face fixed in api.md)
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    intervention: AttributionMethod = "substitute",
    gene_sets: Mapping[str, Sequence[str]] | None = None,
    activations: Activations | None = None,
    aggregate: Aggregate = "relative",
    n_bootstrap: int = 1000,
    n_flips: int = 10_000,
    alpha: float = 0.05,
    batch_size: int = 4096,
    device: str = "cpu",
    workers: Workers | None = None,
    checkpoint: Path | str | None = None,
    prescreen: int | None = None,
    seed: int = 0,
) -> Attributions:
    """Score every gene for every concept by what its counterfactual edit does to the activation.

    A gene drives a concept when q <= `alpha` and its |attribution| exceeds the concept's floor, the 95th
    percentile of |attribution| on the first half of the null pairs, over the genes that differ there. The
    second half, put to the same two conditions, gives `null_driver_rate`, the share of its tested genes that
    would be called drivers. All statistics are over factuals, with effects averaged over the counterfactuals
    of each; p alone rests on the nearest counterfactual, since a mean over several is not symmetric about 0
    where nothing is there.

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder whose embeddings the dictionary was trained on; it must be able to embed edited cells.
    dictionary
        The dictionary.
    pairs
        Matched pairs and their null pairs, from ``counterfactuals.match``.
    intervention
        What happens to a gene. ``"substitute"``: the factual takes the counterfactual's value (necessity).
        ``"insert"``: the counterfactual takes the factual's (sufficiency); the effect is what its activation
        gains, divided by the factual's. ``"gene_set"``: all genes of a set are substituted at once, and the
        result has sets in the place of genes. ``"mask"`` sets the gene to 0, ``"mean"`` to its mean over the
        cells in which the concept is inactive; both compare with no other cell, so that null pairs say
        nothing about them: floor and null driver rate are NaN and no gene is called a driver.
        ``"integrated_gradients"`` and ``"gradient"`` edit nothing, see `gradient_effects`.
    gene_sets
        For ``"gene_set"``: names of genes, as in ``adata.var_names``, by name of the set.
    activations
        For ``"mean"``: the activations of the cells; without them the cells are encoded.
    aggregate
        ``"relative"``: sum of effects on the activation / sum of activations, 1 = switched off. ``"pre"``:
        mean effect on the pre-activation, which TopK eviction does not touch. p always tests the activation.
    n_bootstrap
        Resamples of the factuals for standard error and 95% interval.
    n_flips
        Random sign flips where exact enumeration is too long, at least 1000.
    alpha
        Level of the false discovery rate.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.
    workers
        `LocalWorkers` or `DaskWorkers`; this process alone when None. They change no bit of the result.
    checkpoint
        Folder that keeps every finished concept, and its effects in the single pairs; an interrupted
        attribution goes on from there.
    prescreen
        None measures every edit. With a number m, all effects are estimated first, where the encoder has a
        way to do so, and the m largest of each pair are measured, as are in all pairs those of genes that are
        among them in half. The others stay estimates, and their genes drive nothing: see
        ``Attributions.exact``, and ``Attributions.recall`` for what is missed, which two pairs per concept
        that are measured in full tell.
    seed
        Seed of bootstrap and flips, drawn for each concept on its own.

    Returns
    -------
    One row per concept that was asked of ``match``; rows of concepts that are not attributable are NaN and
    their status says why. Genes the encoder does not know are NaN.

    Raises
    ------
    InputError
        If the parts or options do not fit together, or the encoder cannot embed edited cells.
    DictionaryMismatchError
        If `pairs` or `encoder` belong to another dictionary.
    CheckpointError
        If `checkpoint` holds another attribution, or another process works on it.
    """
    settings = Settings(aggregate, n_bootstrap, n_flips, alpha, seed)
    require_choice("intervention", intervention, get_args(AttributionMethod))
    refuse_idle_sets(gene_sets, intervention)
    if prescreen is not None and intervention in {"gene_set", *get_args(GradientMethod)}:
        msg = f"intervention={intervention!r} edits no single genes to prescreen. Leave prescreen out."
        raise InputError(msg)
    probe: Probe | GradientProbe
    parts_of_call = (adata, encoder, dictionary, pairs)
    if intervention == "integrated_gradients" or intervention == "gradient":  # noqa: PLR1714 (types narrow)
        probe = open_gradients(*parts_of_call, method=intervention, batch_size=batch_size, device=device)
    else:
        probe = open_probe(
            *parts_of_call,
            intervention=intervention,
            gene_sets=gene_sets,
            activations=activations,
            batch_size=batch_size,
            device=device,
        )
        if prescreen is not None:
            probe = replace(probe, prescreen=Prescreen(prescreen, seed))
    rows = {k: not_attributable(len(probe.units), reason) for k, reason in pairs.not_attributable.items()}
    concepts = np.unique(pairs.concept).tolist()
    if not concepts and not rows:
        msg = "pairs holds no concept at all. Match at least one concept."
        raise InputError(msg)
    noise = probe.noise(pairs) if concepts else np.nan
    make = RowMaker(probe, pairs, settings)
    with ExitStack() as stack:
        task = _task(make, encoder) if checkpoint else {}
        parts = stack.enter_context(Parts.opened(checkpoint, task, genes=probe.units)) if checkpoint else None
        rows |= _measured(make, concepts, workers or Serial(), parts)
    return Attributions(
        **stack_rows(rows),
        genes=probe.units,
        dictionary_id=dictionary.dictionary_id,
        encoder_id=encoder.encoder_id,
        intervention=intervention,
        aggregate=aggregate,
        noise_floor=noise,
    )


def _measured(make: RowMaker, concepts: list[int], workers: Workers, parts: Parts | None) -> dict[int, Row]:
    """Make the rows of all concepts, those that are kept already aside."""
    kept = ((concept, parts.read(concept)) for concept in concepts) if parts else ()
    rows = {concept: replace(row, effects=None) for concept, row in kept if row is not None}
    if rows:
        logger.info("attribution: %d of %d concepts are finished already", len(rows), len(concepts))
    start, n_edits = time.perf_counter(), 0
    with tqdm(
        total=len(concepts), initial=len(rows), desc="attribution", unit="concept", disable=None
    ) as bar:
        for concept, row in workers.map(make, [concept for concept in concepts if concept not in rows]):
            if parts:
                parts.write(concept, row)
            rows[concept] = replace(row, effects=None)
            n_edits += row.n_edits
            bar.set_postfix_str(f"{n_edits / (time.perf_counter() - start):,.0f} edits/s", refresh=False)
            bar.update()
    return rows


def _task(make: RowMaker, encoder: Encoder) -> dict[str, Any]:
    """Name everything that the result depends on."""
    pairs, adata = make.pairs, make.probe.adata
    described = [pairs] if pairs.null is None else [pairs, pairs.null]
    arrays = {
        f"{number}.{name}": getattr(part, name)
        for number, part in enumerate(described)
        for name in ("concept", "pair", "factual", "counterfactual", "activation")
    }
    ends = [cells for part in described for cells in (part.factual, part.counterfactual)]
    return {
        "task": "attribute",
        "version": conceptome.__version__,
        "dictionary": pairs.dictionary_id,
        "encoder": encoder.encoder_id,
        "options": str(getattr(encoder, "options", "")),
        **make.probe.settings,
        **asdict(make.settings),
        "pairs": content_id({"cells": list(map(str, pairs.cell_ids))}, arrays),
        "genes": content_id({"genes": list(map(str, adata.var_names))}),
        "counts": _expression_id(adata, encoder, np.unique(np.concatenate(ends))),
    }


def _expression_id(adata: AnnData, encoder: Encoder, rows: Int[np.ndarray, " cells"]) -> str:
    """Hash what the encoder reads of some cells, a block of them at a time."""
    blocks = []
    for start in range(0, len(rows), CELLS_PER_HASH):
        part = encoder.expression(adata[rows[start : start + CELLS_PER_HASH]])
        blocks.append(content_id({}, {"data": part.data, "indices": part.indices, "indptr": part.indptr}))
    return content_id({"blocks": blocks})
