"""A score for every concept card: the mean of what was measured of the concept, each part on one scale."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from conceptome.attribution.curves import RANDOM
from conceptome.attribution.trial import OURS
from conceptome.core import (
    Csr,
    Dictionary,
    DictionaryMismatchError,
    Enrichment,
    Faithfulness,
    InputError,
    require_choice,
)
from conceptome.data.columns import MIN_LABEL_CELLS
from conceptome.dictionaries.checks import require_source
from conceptome.enrichment.flags import suspect_flags
from conceptome.evaluation.cells import EvaluatedCells
from conceptome.evaluation.labels import LabelledCells
from conceptome.evaluation.seeds import SeedStability
from conceptome.evaluation.units import label_concepts

Part: TypeAlias = Literal["fidelity", "stability", "faithfulness", "annotation", "label"]

PARTS = tuple(f"part_{name}" for name in get_args(Part))
SHUFFLES = 5
MOST_CELLS = 20_000
"""Held-out cells that fidelity is measured on, at most."""
ALPHA = 0.05


def card_scores(
    cells: EvaluatedCells,
    dictionary: Dictionary,
    *,
    stability: SeedStability | None = None,
    faithfulness: Faithfulness | None = None,
    method: str = OURS,
    enrichment: Enrichment | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Score every concept by the mean of up to five parts, each from 0 (chance) to 1.

    - fidelity: of the variance of the held-out cells that activate the concept, the share that the
      reconstruction loses when the concept is left out.
    - stability: mean correlation of its activations with its counterparts of other seeds.
    - faithfulness: how far its genes, in the order of their scores, lower the curve of deletion and raise
      that of insertion, mean of both.
    - annotation: of its best supported finding (q_global at most 0.05, genes that support the concept, no
      flag of a suspect kind, smallest p), the share of all other tested concepts without this finding.
    - label: F1 for the label that it separates best.

    Fidelity, with 0 where nothing is lost, and annotation, with 0 where nothing is found, are taken as they
    are. Of the others c is what chance reaches (matched activations of permuted cells; random orders of
    genes; shuffled labels, for which the concept keeps its frequency) and the part is (value - c) / (1 - c),
    for deletion (c - value) / c. What is below 0 counts 0, above 1 as 1.

    The score is the plain mean of the parts that were measured. A product would be 0 wherever one part is,
    and could not be compared where one is missing; weights would need concepts whose worth is known. In a
    mean each part counts the same, and one can read off what it adds. Scores made of different parts are not
    comparable, so that their number stands beside.

    Parameters
    ----------
    cells
        The cells with their labels, from `read_cells`.
    dictionary
        The dictionary.
    stability
        Of this dictionary first; None with a single seed.
    faithfulness
        With the method ``"random"`` in it; None if it was not measured.
    method
        Which method's gene scores are judged.
    enrichment
        Terms by attribution; None if none were tested.
    seed
        Decides the halves and shuffles of labels, and a split where the dictionary names none.

    Returns
    -------
    One row per concept: ``concept, card_score, card_parts`` (how many were measured), the parts
    ``part_fidelity, part_stability, part_faithfulness, part_annotation, part_label``, NaN where not
    measured, and ``variance_lost``, what fidelity is of the variance of all held-out cells. A concept that is
    active in no cell has no score; one active in fewer than 5 held-out cells no fidelity.

    Raises
    ------
    InputError
        If `stability` is of another number of concepts, or `faithfulness` lacks `method` or random orders.
    DictionaryMismatchError
        If a record belongs to another dictionary or encoder.
    """
    ids = {"dictionary_id": dictionary.dictionary_id, "encoder_id": dictionary.encoder_id}
    require_source(cells.embeddings, **ids)
    _require_own(dictionary, faithfulness=faithfulness, enrichment=enrichment)
    activations = dictionary.encode(cells.embeddings).values
    heldout = cells.heldout_by(dictionary, seed=seed)
    parts = ablate(cells.z, activations, dictionary, heldout=heldout, seed=seed)
    parts["part_stability"] = _stability(stability, dictionary.n_concepts)
    parts["part_faithfulness"] = _faithfulness(faithfulness, parts.index, method=method)
    parts["part_annotation"] = _annotation(enrichment, parts.index)
    parts["part_label"] = _labels(activations, cells.labels, seed=seed)
    silent = np.bincount(activations.indices[activations.data > 0], minlength=len(parts)) == 0
    parts.loc[silent] = np.nan
    parts.insert(0, "card_score", parts[list(PARTS)].mean(axis=1))
    parts.insert(1, "card_parts", parts[list(PARTS)].notna().sum(axis=1))
    return parts[["card_score", "card_parts", *PARTS, "variance_lost"]].reset_index()


def _require_own(dictionary: Dictionary, **records: Faithfulness | Enrichment | None) -> None:
    own = dictionary.dictionary_id
    for name, record in records.items():
        if record is not None and record.dictionary_id not in ("", own):
            msg = (
                f"{name} belongs to dictionary {record.dictionary_id}, the concepts to {own}. Make it for "
                "this dictionary."
            )
            raise DictionaryMismatchError(msg)


def ablate(
    z: Float[np.ndarray, "cells d_embed"],
    activations: Csr,
    dictionary: Dictionary,
    *,
    heldout: Bool[np.ndarray, " cells"],
    seed: int,
) -> pd.DataFrame:
    """Leave out one concept after the other and see what the reconstruction loses.

    Parameters
    ----------
    z
        Embedding of every cell, original units.
    activations
        Of the same cells.
    dictionary
        Decodes them.
    heldout
        Cells to measure on; variance is about the mean of the others.
    seed
        Which of them, where they are more than 20,000.

    Returns
    -------
    Indexed by concept: ``part_fidelity``, share of the variance of the cells that activate it, 0 to 1; NaN
    with fewer than 5; ``variance_lost``, share of the variance of all.
    """
    mean = z[~heldout].mean(axis=0, dtype=np.float64)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(heldout))[:MOST_CELLS]
    held, seen = activations[rows], z[rows]
    error = ((seen - dictionary.decode(held)) ** 2).sum(axis=1, dtype=np.float64)
    total = ((seen - mean) ** 2).sum(axis=1, dtype=np.float64)
    by_concept = held.tocsc()
    found = np.full((dictionary.n_concepts, 2), np.nan)
    for concept in range(dictionary.n_concepts):
        column = slice(by_concept.indptr[concept], by_concept.indptr[concept + 1])
        at = by_concept.indices[column][by_concept.data[column] > 0]
        without = held[at].copy()
        without.data[without.indices == concept] = 0
        lost = ((seen[at] - dictionary.decode(without)) ** 2).sum(axis=1, dtype=np.float64) - error[at]
        found[concept, 1] = lost.sum() / total.sum()
        if len(at) >= MIN_LABEL_CELLS:
            found[concept, 0] = np.clip(lost.sum() / total[at].sum(), 0, 1)
    index = pd.RangeIndex(dictionary.n_concepts, name="concept")
    return pd.DataFrame(found, index=index, columns=["part_fidelity", "variance_lost"])


def above(
    value: Float[np.ndarray, " concepts"], chance: Float[np.ndarray, " concepts"]
) -> Float[np.ndarray, " concepts"]:
    """Put values on the scale on which chance is 0 and the largest possible value, 1, is 1.

    Parameters
    ----------
    value, chance
        At most 1.

    Returns
    -------
    0 below chance, and where chance itself is 1; NaN where either is.
    """
    room = 1 - chance
    share = np.divide(value - chance, room, out=np.zeros_like(room), where=room > 0)
    return np.where(np.isnan(value + chance), np.nan, np.clip(share, 0, 1))


def _stability(record: SeedStability | None, n_concepts: int) -> Float[np.ndarray, " concepts"]:
    if record is None:
        return np.full(n_concepts, np.nan)
    found = record.of("activations")
    if len(found) != n_concepts:
        msg = (
            f"stability is of {len(found)} concepts, the dictionary has {n_concepts}. Measure it with "
            "measure_seeds, this dictionary first."
        )
        raise InputError(msg)
    return above(found["stability"].to_numpy(), found["null"].to_numpy())


def _faithfulness(
    record: Faithfulness | None, concepts: pd.Index[int], *, method: str
) -> Float[np.ndarray, " concepts"]:
    if record is None:
        return np.full(len(concepts), np.nan)
    require_choice("method", method, record.methods)
    if RANDOM not in record.methods:
        msg = "faithfulness was measured without random orders. Measure it with n_random=5."
        raise InputError(msg)
    table = record.by_concept().set_index("concept")
    own, chance = (table[table["method"] == name].reindex(concepts) for name in (method, RANDOM))
    gains = [
        above(1 - own["deletion"].to_numpy(), 1 - chance["deletion"].to_numpy()),
        above(own["insertion"].to_numpy(), chance["insertion"].to_numpy()),
    ]
    return np.asarray(np.mean(gains, axis=0))


def _annotation(enrichment: Enrichment | None, concepts: pd.Index[int]) -> Float[np.ndarray, " concepts"]:
    if enrichment is None:
        return np.full(len(concepts), np.nan)
    suspect = enrichment.table["flag"].isin(suspect_flags(enrichment.calibration))
    table = enrichment.table.assign(supports=enrichment.effect > 0, suspect=suspect)
    table = table[~table["no_signal"].astype(bool)]
    tested = np.unique(table["concept"])
    found = table[(table["q_global"] <= ALPHA) & table["supports"]]
    shared = found.groupby(["collection", "term"])["concept"].transform("nunique")
    others = max(len(tested) - 1, 1)
    found = found.assign(specificity=1 - (shared - 1) / others)[~found["suspect"]]
    best = found.sort_values(["concept", "p", "specificity"], ascending=[True, True, False])
    value = best.drop_duplicates("concept").set_index("concept")["specificity"]
    return np.asarray(value.reindex(tested, fill_value=0.0).reindex(concepts), dtype=np.float64)


def _labels(
    activations: Csr, labels: tuple[LabelledCells, ...], *, seed: int
) -> Float[np.ndarray, " concepts"]:
    """Compare F1 of each concept with what it reaches for shuffled labels; the best of all columns."""
    best = np.full(activations.shape[1], np.nan)
    for column in labels:
        values = activations[column.rows]
        rng = np.random.default_rng(seed)
        own = label_concepts(values, column.labels, seed=seed)["best_label_f1"].to_numpy()
        shuffled = [
            label_concepts(values, rng.permutation(column.labels), seed=seed)["best_label_f1"].to_numpy()
            for _ in range(SHUFFLES)
        ]
        best = np.fmax(best, above(own, np.mean(shuffled, axis=0)))
    return best
