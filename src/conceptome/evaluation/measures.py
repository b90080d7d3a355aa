"""One evaluation of a dictionary, of its baselines and of a random encoder on the same cells."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool

from conceptome.core import (
    Dictionary,
    Embeddings,
    Encoder,
    Evaluation,
    Faithfulness,
    InputError,
    require_at_least,
)
from conceptome.data.columns import require_names
from conceptome.evaluation.battery import UNIT_COLUMNS, measure_dictionary, measure_embedding
from conceptome.evaluation.cells import EvaluatedCells, read_cells
from conceptome.evaluation.comparands import (
    RANDOM_ENCODER,
    Comparand,
    ScrambledEncoder,
    comparands,
    scrambled,
    why_no_control,
)
from conceptome.evaluation.downstream import Downstream
from conceptome.evaluation.gene_measures import GENES, GeneTests, measure_genes, why_no_genes
from conceptome.evaluation.repeats import measure_repeats
from conceptome.evaluation.retraining import train_like
from conceptome.evaluation.rows import COLUMNS, Row, measured, over_seeds

EMBEDDING = "embedding"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SeedMeasures:
    """What was measured with one seed of the dictionary."""

    seed: int
    measures: pd.DataFrame
    units: pd.DataFrame
    dictionaries: Mapping[str, Dictionary] = field(default_factory=dict)
    """What was measured, by name, but for the dictionary of the random encoder."""
    faithfulness: Faithfulness | None = None
    """Of the genes of the dictionary under study; None where they were not tested."""


def evaluate(  # noqa: PLR0913 (what is measured, on which cells, with which seeds)
    adata: AnnData,
    encoder: Encoder | None,
    dictionary: Dictionary | Sequence[Dictionary],
    *,
    label_keys: Sequence[str],
    seed: int = 0,
    embeddings: Embeddings | None = None,
    group_key: str | None = None,
    batch_key: str | None = None,
    n_seeds: int = 1,
    gene_tests: GeneTests | None = None,
) -> Evaluation:
    """Measure a dictionary beside its baselines on the same cells.

    The baselines are neurons; PCA, ICA and NMF with as many components as the dictionary has active concepts
    per cell; k-means and a frozen random SAE [Sanity26]_ with as many concepts as the dictionary. They are
    fitted on the cells the dictionary was trained on; fidelity is measured on those it held out. With several
    seeds there is also a random encoder: the same encoder with permuted weights, and a dictionary trained on
    its embedding by the same recipe.

    Dictionaries never see labels, so units and probes use all labelled cells, in 3 seeded splits: half of the
    cells choose a unit and its threshold and the other half score it [InterPLM]_; 70% of at most 20,000 cells
    train a probe, or are the neighbours of at most 5,000, and 30% score it. No test cell has a part in a
    threshold, a choice of a unit, a scaler or a probe. Cells are taken in the order of their ids, so that
    their order in `adata` changes nothing.

    Parameters
    ----------
    adata
        Cells with their labels in `obs`; with raw counts if the encoder's decoder is to be scored.
    encoder
        Embeds the cells where `embeddings` is not given; its decoder is fed with reconstructions. None = only
        `embeddings` are known.
    dictionary
        The dictionary, or several that differ in their seed.
    label_keys
        Columns of `obs` that name populations; none = no labels. ``"phase"`` is computed where `obs` lacks
        it, see `cell_cycle_phase`.
    seed
        Decides the splits, and the first of the seeds that are trained here.
    embeddings
        Embeddings of the same cells in the same order, to save the time of making them.
    group_key
        Column of `obs` with the donor: whole donors are tested on. Needed if the dictionary held out donors.
    batch_key
        Column of `obs` with the batch; how far it can be told and how well it mixes is measured, and the same
        for the donor.
    n_seeds
        Dictionaries to measure; those beyond the ones given are trained by the recipe of the first. Beyond 1
        the random encoder is measured too, and how far units depend on the seed.
    gene_tests
        How genes and gene sets of all dictionaries are tested, which takes many passes through the encoder;
        None = they are not. Pass ``GeneTests(gene_sets=...)``.

    Returns
    -------
    `Evaluation`. Values are means over seeds, or over splits with a single seed; its `units` are those of the
    first dictionary and split.

    Raises
    ------
    InputError
        If a column is missing or not usable, the seed is negative, the embeddings are of other cells, the
        split of the dictionary cannot be applied to these cells, or further seeds cannot be trained.
    DictionaryMismatchError
        If the embeddings come from another encoder than the dictionary's.

    References
    ----------
    .. [InterPLM] Simon and Zou 2025, discovering interpretable features in protein language models via sparse
       autoencoders, Nature Methods.
    .. [Sanity26] Sanity checks for sparse autoencoders: do SAEs beat random baselines?, arXiv:2602.14111.
    """
    require_names(label_keys, "label_keys")
    require_at_least("seed", seed, 0)
    require_at_least("n_seeds", n_seeds, 1)
    given = list(dictionary) if isinstance(dictionary, Sequence) else [dictionary]
    embedded = _embed(adata, encoder) if embeddings is None else embeddings
    cells, missing = read_cells(
        adata,
        encoder,
        embedded,
        label_keys=label_keys,
        group_key=group_key,
        batch_key=batch_key,
        seed=seed,
    )
    n_seeds = max(n_seeds, len(given))
    missing |= why_no_genes(cells, encoder, gene_tests)
    tests = None if GENES in missing else gene_tests
    parts = []
    for number in range(n_seeds):
        if number == len(given):
            donors = cells.donor_names()
            given.append(train_like(given[0], cells.embeddings, seed=seed + number, groups=donors))
        random = scrambled(adata, encoder, given[0], seed=seed + number) if n_seeds > 1 else None
        parts.append(
            measure_seed(
                cells, given[number], encoder=encoder, random=random, tests=tests, seed=seed, number=number
            )
        )
    missing |= why_no_control(encoder, given[0], n_seeds=n_seeds)
    return combine(parts, cells, given[0], missing=missing)


def measure_seed(
    cells: EvaluatedCells,
    dictionary: Dictionary,
    *,
    encoder: Encoder | None = None,
    random: ScrambledEncoder | None = None,
    tests: GeneTests | None = None,
    seed: int,
    number: int,
) -> SeedMeasures:
    """Measure one dictionary, baselines fitted for it, and a dictionary of a random encoder.

    Parameters
    ----------
    cells
        The cells.
    dictionary
        One seed of the dictionary under study.
    encoder
        Its encoder, needed for `tests`.
    random
        The same cells as a random encoder embeds them; None = no such control.
    tests
        How genes and gene sets are tested; None = they are not.
    seed
        Decides the splits, the same for every dictionary.
    number
        Which of the seeds this is, from 0: baselines and the random encoder's dictionary get `seed` + it.

    Returns
    -------
    `SeedMeasures`.

    Raises
    ------
    DictionaryMismatchError
        If the embeddings come from another encoder than the dictionary's.
    InputError
        If the split of the dictionary cannot be applied to these cells.
    """
    compared = comparands(cells, dictionary, encoder=encoder, random=random, seed=seed, number=number)
    heldout = cells.heldout_by(dictionary, seed=seed)
    rows, downstream = _measure_embedding(cells, heldout, seed=seed)
    units, faithfulness = [], None
    for each in compared:
        control = each.name == RANDOM_ENCODER
        if control:
            rows += measure_embedding(RANDOM_ENCODER, each.cells, seed=seed)
            rows += _repeated(each, seed=seed + number)
        own, table = measure_dictionary(
            each.name,
            each.dictionary,
            each.cells,
            heldout=each.cells.heldout_by(each.dictionary, seed=seed) if control else heldout,
            downstream=None if control else downstream,
            seed=seed,
        )
        rows += own
        units.append(table)
        if tests is not None and each.encoder is not None:
            first = each.dictionary is dictionary
            genes = measure_genes(
                each.name,
                each.dictionary,
                each.cells,
                each.encoder,
                tests=tests,
                seed=seed,
                whole=first and number == 0,
            )
            rows += genes.rows
            faithfulness = genes.faithfulness if first else faithfulness
            logger.info("seed %d: genes of %s tested", seed + number, each.name)
    known = {each.name: each.dictionary for each in compared if each.name != RANDOM_ENCODER}
    table = pd.DataFrame(rows, columns=COLUMNS)
    return SeedMeasures(seed + number, table, pd.concat(units, ignore_index=True), known, faithfulness)


def _measure_embedding(
    cells: EvaluatedCells, heldout: Bool[np.ndarray, " cells"], *, seed: int
) -> tuple[list[Row], Downstream | None]:
    """Measure the embedding itself, and what the decoder loses on it and on its mean."""
    rows = measure_embedding(EMBEDDING, cells, seed=seed)
    if cells.decoder is None or cells.adata is None:
        return rows, None
    held, mean = np.flatnonzero(heldout), cells.z[~heldout].mean(axis=0, dtype=np.float64)
    downstream = Downstream.of(cells.decoder, cells.adata, cells.z, heldout=held, mean=mean, seed=seed)
    rows.append(measured(EMBEDDING, "loss_embedding", [downstream.loss_embedding]))
    rows.append(measured(EMBEDDING, "loss_mean", [downstream.loss_mean]))
    return rows, downstream


def _repeated(control: Comparand, *, seed: int) -> list[Row]:
    """Train the dictionary of a random encoder once more, and measure how far its units depend on that.

    Its embedding differs from seed to seed, so that dictionaries of two seeds do not compare.
    """
    cells = control.cells
    other = train_like(control.dictionary, cells.embeddings, seed=seed + 1, groups=cells.donor_names())
    both = [{control.name: each} for each in (control.dictionary, other)]
    return measure_repeats(both, cells.embeddings, seed=seed)


def combine(
    parts: Sequence[SeedMeasures],
    cells: EvaluatedCells,
    dictionary: Dictionary,
    *,
    missing: Mapping[str, str],
) -> Evaluation:
    """Summarise what was measured with several seeds.

    Parameters
    ----------
    parts
        One per seed.
    cells
        The cells; with several seeds their dictionaries are matched on them.
    dictionary
        The dictionary of the first.
    missing
        Why a control or a measure could not be taken.

    Returns
    -------
    `Evaluation`; the dictionary under study comes first in its tables.
    """
    table = parts[0].measures
    if len(parts) > 1:
        known = [part.dictionaries for part in parts]
        repeats = measure_repeats(known, cells.embeddings, seed=parts[0].seed)
        table = pd.concat(
            [over_seeds(part.measures for part in parts), pd.DataFrame(repeats, columns=COLUMNS)]
        )
    first = table["dictionary"] == dictionary.kind
    ordered = pd.concat([table[first], table[~first]], ignore_index=True)
    units = parts[0].units if len(parts[0].units) else pd.DataFrame(columns=UNIT_COLUMNS)
    _warn_of_unscored(units)
    seeds = tuple(part.seed for part in parts)
    return Evaluation(ordered, units, dictionary.dictionary_id, seeds, dict(missing))


def _embed(adata: AnnData, encoder: Encoder | None) -> Embeddings:
    if encoder is None:
        msg = "There is neither an encoder nor embeddings to evaluate. Give one of them."
        raise InputError(msg)
    return encoder.embed(adata)


def _warn_of_unscored(units: pd.DataFrame) -> None:
    first = units[units["dictionary"] == units["dictionary"].iloc[0]] if len(units) else units
    for key, table in first[first["unit"] < 0].groupby("label_key"):
        logger.warning("obs[%r]: too few cells to score %s", key, ", ".join(table["label"]))
