"""Does a dictionary keep the contract? For authors of plug-ins, and for our own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import Embeddings, require_at_least
from conceptome.testing import dictionary_promises as promises
from conceptome.testing.report import ContractReport, Promise, run_promises

VITAL = ("members", "directions", "preactivations")
PROMISES = {
    "members": Promise(promises.has_members),
    "directions": Promise(promises.points_in_directions, needs=VITAL[:1]),
    "preactivations": Promise(promises.computes_preactivations, needs=VITAL[:1]),
    "activations": Promise(promises.activates, needs=VITAL),
    "rule": Promise(promises.follows_its_rule, needs=(*VITAL, "activations")),
    "encode": Promise(promises.encodes, needs=(*VITAL, "activations")),
    "decode": Promise(promises.decodes, needs=(*VITAL, "activations")),
    "untouched": Promise(promises.leaves_embeddings_alone, needs=(*VITAL, "activations")),
    "saving": Promise(promises.is_saved, needs=(*VITAL, "activations", "encode")),
}


def check_dictionary(
    dictionary: Any,  # noqa: ANN401  (whether it is a `Dictionary` is the question)
    embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
    *,
    tolerance: float = 1e-5,
    skip: Collection[str] = (),
) -> ContractReport:
    """Check that a dictionary keeps everything that `conceptome.core.Dictionary` promises.

    All promises are tried before anything is raised; one that stands on a broken one is left out. By name:
    ``members`` of the protocol; ``directions`` of unit length; ``preactivations`` and ``activations``, cell
    by cell, not negative, the same one concept at a time; ``rule``: where there is a `concept_rule`, on which
    fast attribution relies, it gives these activations; ``encode``, for arrays and records; ``decode``, for
    every form of activations; ``untouched``: the caller's arrays; ``saving``: `save`, then `load`, give the
    same dictionary.

    Parameters
    ----------
    dictionary
        The dictionary.
    embeddings
        Embeddings that it can encode, a few hundred cells.
    tolerance
        Admissible difference, as a share of the largest value.
    skip
        Names of promises that the dictionary does not make.

    Returns
    -------
    What was kept and what was skipped.

    Raises
    ------
    ContractError
        If a promise is broken; the message says which and how, and ``.report`` holds it all.
    InputError
        If `skip` names no promise, or there are fewer than two cells.
    """
    if isinstance(embeddings, Embeddings):
        values, cell_ids = embeddings.values, embeddings.cell_ids
    else:
        values, cell_ids = embeddings, pd.RangeIndex(len(embeddings)).astype(str)
    require_at_least("The number of cells to check with", len(values), 2)
    trial = promises.DictionaryTrial(dictionary, values, cell_ids, tolerance)
    subject = str(getattr(dictionary, "kind", type(dictionary).__name__))
    return run_promises(subject, PROMISES, trial, skip=skip)
