"""What a dictionary promises, one function per promise; each yields what is broken."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from conceptome.core import Activations, Embeddings, Names, ThresholdedConcepts
from conceptome.testing.saving import missing_files

METHODS = ("preactivations", "activate", "activate_one", "encode", "decode", "save")
UNIT = 1e-4
"""Admissible deviation of a direction's length from 1."""
MOST_CONCEPTS = 20


@dataclass(frozen=True, eq=False)
class DictionaryTrial:
    """A dictionary and what it is tried on."""

    dictionary: Any
    values: Float[np.ndarray, "cells d_embed"]
    cell_ids: Names
    tolerance: float

    @cached_property
    def pre(self) -> Any:  # noqa: ANN401
        """Pre-activations of all cells."""
        return self.dictionary.preactivations(self.values.copy())

    @cached_property
    def activations(self) -> Any:  # noqa: ANN401
        """Activations of all cells, dense."""
        return self.dictionary.activate(self.pre.copy())

    def agree(self, found: np.ndarray, expected: np.ndarray) -> bool:
        """Tell whether two arrays are the same to within the tolerance."""
        if found.shape != expected.shape or not np.isfinite(found).all():
            return False
        atol = self.tolerance * float(np.abs(expected).max(initial=0.0))
        return bool(np.allclose(found, expected, rtol=0.0, atol=atol))


def has_members(trial: DictionaryTrial) -> Iterator[str]:
    """Check that all members of the protocol are there and of their type."""
    dictionary = trial.dictionary
    for name in ("kind", "dictionary_id", "encoder_id"):
        value = getattr(dictionary, name, None)
        if not isinstance(value, str) or (not value and name != "encoder_id"):
            yield f"{name} is {value!r}, expected a text."
    for name in ("n_concepts", "d_embed"):
        value = getattr(dictionary, name, None)
        if not isinstance(value, int) or value < 1:
            yield f"{name} is {value!r}, expected a whole number above 0."
    scale = getattr(dictionary, "scale", None)
    if not isinstance(scale, float) or not 0 < scale < float("inf"):
        yield f"scale is {scale!r}, expected a number above 0."
    for name in METHODS:
        if not callable(getattr(dictionary, name, None)):
            yield f"there is no method {name}()."


def points_in_directions(trial: DictionaryTrial) -> Iterator[str]:
    """Check that every concept has a direction of unit length."""
    found = trial.dictionary.directions
    expected = (trial.dictionary.n_concepts, trial.dictionary.d_embed)
    if found.shape != expected:
        yield f"directions has shape {found.shape}, expected concepts x d_embed = {expected}."
        return
    lengths = np.linalg.norm(found, axis=1)
    if not np.allclose(lengths, 1.0, rtol=0.0, atol=UNIT):
        yield f"directions have lengths from {lengths.min():.3g} to {lengths.max():.3g}, expected 1."


def computes_preactivations(trial: DictionaryTrial) -> Iterator[str]:
    """Check that pre-activations are finite, in the type of the input, and row by row."""
    found, expected = trial.pre, (len(trial.values), trial.dictionary.n_concepts)
    if found.shape != expected or not np.isfinite(found).all():
        yield (
            f"preactivations() has shape {found.shape}, expected finite numbers, cells x concepts = "
            f"{expected}."
        )
        return
    for dtype in (np.float32, np.float64):
        computed = trial.dictionary.preactivations(trial.values[:1].astype(dtype)).dtype
        if computed != dtype:
            yield f"preactivations() of {np.dtype(dtype)} are {computed}. Compute in the type of the input."
    rows = np.arange(len(trial.values))[::-2]
    if not trial.agree(trial.dictionary.preactivations(trial.values[rows]), found[rows]):
        yield "preactivations() of a cell depend on the other cells of the call."


def activates(trial: DictionaryTrial) -> Iterator[str]:
    """Check that activations are never negative, and the same one concept at a time."""
    found = trial.activations
    if found.shape != trial.pre.shape or not np.isfinite(found).all():
        yield f"activate() has shape {found.shape}, expected finite numbers of shape {trial.pre.shape}."
        return
    if (found < 0).any():
        yield f"activate() returns {found.min():.3g}; activations are 0 or above."
    for concept in np.linspace(0, trial.dictionary.n_concepts - 1, MOST_CONCEPTS).astype(int):
        one = trial.dictionary.activate_one(trial.pre.copy(), int(concept))
        if not np.array_equal(one, found[:, concept]):
            yield f"activate_one(pre, {concept}) is not activate(pre)[:, {concept}]."
            return


def follows_its_rule(trial: DictionaryTrial) -> Iterator[str]:
    """Check, where a dictionary says how activations follow from pre-activations, that they do."""
    dictionary, last = trial.dictionary, trial.pre.shape[1] - 1
    if not isinstance(dictionary, ThresholdedConcepts):
        return
    for concept in np.linspace(0, last, MOST_CONCEPTS).astype(int).tolist():
        rule = dictionary.concept_rule(concept)
        if rule is None:
            continue
        affine = trial.values.astype(np.float64) @ rule.weights.T + rule.biases
        if not trial.agree(affine, trial.pre):
            yield f"concept_rule({concept}): weights and biases do not give the pre-activations."
            return
        own = trial.pre[:, [concept]]
        active = own[:, 0] > rule.threshold
        if rule.k is not None:
            ahead = (trial.pre > own).sum(axis=1) + (trial.pre[:, :concept] == own).sum(axis=1)
            active &= ahead < rule.k
        if not trial.agree(np.where(active, own[:, 0], 0.0), trial.activations[:, concept]):
            yield f"concept_rule({concept}): threshold and k do not give the activations."
            return


def encodes(trial: DictionaryTrial) -> Iterator[str]:
    """Check that `encode` is `activate` of `preactivations`, sparse, for arrays and for records."""
    found = trial.dictionary.encode(trial.values.copy())
    if getattr(found, "format", "") != "csr":
        yield f"encode() of an array returns {type(found).__name__}, expected a CSR array."
        return
    if not trial.agree(found.toarray(), trial.activations):
        yield "encode() is not activate() of preactivations()."
    dictionary = trial.dictionary
    record = dictionary.encode(Embeddings(trial.values.copy(), trial.cell_ids, dictionary.encoder_id))
    if not isinstance(record, Activations):
        yield f"encode() of Embeddings returns {type(record).__name__}, expected Activations."
        return
    if record.dictionary_id != dictionary.dictionary_id or not record.cell_ids.equals(trial.cell_ids):
        yield "encode() of Embeddings loses the cell ids or the dictionary_id."
    if not trial.agree(record.values.toarray(), found.toarray()):
        yield "encode() of Embeddings differs from encode() of their values."


def decodes(trial: DictionaryTrial) -> Iterator[str]:
    """Check that `decode` gives finite embeddings, the same for every form of the activations."""
    dictionary, dense = trial.dictionary, trial.activations
    found, expected = dictionary.decode(dense.copy()), trial.values.shape
    if found.shape != expected or not np.isfinite(found).all():
        yield f"decode() has shape {found.shape}, expected finite numbers, cells x d_embed = {expected}."
        return
    sparse = sp.csr_array(dense)
    record = Activations(sparse, trial.cell_ids, dictionary.dictionary_id)
    for form, given in (("a CSR array", sparse), ("Activations", record)):
        if not trial.agree(dictionary.decode(given), found):
            yield f"decode() of {form} differs from decode() of a dense array."


def leaves_embeddings_alone(trial: DictionaryTrial) -> Iterator[str]:
    """Check that the caller's arrays stay as they were."""
    values, pre = trial.values.copy(), trial.pre.copy()
    trial.dictionary.encode(values)
    trial.dictionary.preactivations(values)
    trial.dictionary.activate(pre)
    if not np.array_equal(values, trial.values) or not np.array_equal(pre, trial.pre):
        yield "the caller's arrays are changed. Copy before writing."


def is_saved(trial: DictionaryTrial) -> Iterator[str]:
    """Check that `save`, then the class's `load`, give the same dictionary."""
    dictionary = trial.dictionary
    if not callable(getattr(type(dictionary), "load", None)):
        yield "the class has no load(path) that reads what save(path) wrote."
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "dictionary"
        dictionary.save(target)
        yield from missing_files(target)
        again = type(dictionary).load(target)
        if again.dictionary_id != dictionary.dictionary_id:
            yield (
                f"loaded again it has the dictionary_id {again.dictionary_id}, expected "
                f"{dictionary.dictionary_id}."
            )
        if not trial.agree(again.encode(trial.values.copy()).toarray(), trial.activations):
            yield "loaded again it encodes otherwise."
