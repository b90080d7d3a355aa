"""Which concepts move when cells are perturbed, within batches, beside permuted cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import false_discovery_control, rankdata

from conceptome.core import Activations, InputError, require_at_least
from conceptome.data.wording import did_you_mean, some

COLUMNS = ("perturbation", "concept", "n_perturbed", "n_control", "difference", "auroc", "p", "q")
ROUNDING = 1e-9  # of a rank sum


def concept_shifts(
    activations: Activations,
    perturbation: Sequence[str] | np.ndarray | pd.Series,
    *,
    control: str,
    blocks: Sequence[str] | np.ndarray | pd.Series | None = None,
    n_permutations: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the activation of every concept in perturbed and in control cells.

    Cells are compared within blocks, such as batches, donors or cell types: the AUROC is the share of pairs
    of a perturbed and a control cell of one block in which the perturbed cell is the more active, ties
    counted half. The permutation test shuffles within blocks which cells are perturbed.

    Parameters
    ----------
    activations
        Activations of the cells.
    perturbation
        What was done to each cell, such as the target of its guide; cells without a value are left out.
    control
        The value of control cells.
    blocks
        Block of each cell; all cells are one block when None. A block that lacks one side says nothing.
    n_permutations
        Shuffles; the least p is 1 / (n_permutations + 1).
    seed
        Decides the shuffles, for each perturbation on its own.

    Returns
    -------
    ``perturbation, concept, n_perturbed, n_control, difference`` (of mean activation, perturbed minus
    control, weighted over blocks by the pairs of cells), ``auroc, p`` (two-sided), ``q`` (Benjamini-Hochberg
    over all rows). NaN where no block has both sides.

    Raises
    ------
    InputError
        If lengths differ, no cell is a control, or there is nothing but controls.
    """
    require_at_least("n_permutations", n_permutations, 1)
    require_at_least("seed", seed, 0)
    groups = _column("perturbation", perturbation, activations)
    within = _column("blocks", blocks, activations) if blocks is not None else np.zeros(len(groups), object)
    names = perturbed_names(groups, control)
    values = activations.values.tocsr()
    tables = []
    for number, name in enumerate(names):
        cells = np.flatnonzero((groups == name) | (groups == control))
        cells = cells[_both_sides(groups[cells] == name, within[cells])]
        rng = np.random.default_rng([seed, number])
        found = _compare(
            values[cells].toarray().astype(np.float64),
            groups[cells] == name,
            pd.factorize(within[cells])[0],
            n_permutations=n_permutations,
            rng=rng,
        )
        tables.append(found.assign(perturbation=name))
    table = pd.concat(tables, ignore_index=True)
    measured = table["p"].notna()
    table["q"] = np.nan
    if measured.any():
        table.loc[measured, "q"] = false_discovery_control(table.loc[measured, "p"])
    return table[list(COLUMNS)]


def perturbed_names(groups: np.ndarray, control: str) -> list[str]:
    """List what was done to cells besides the control, sorted.

    Parameters
    ----------
    groups
        What was done to each cell; None where that is not known.
    control
        The value of control cells.

    Returns
    -------
    Names.

    Raises
    ------
    InputError
        If no cell is a control, or all are.
    """
    names = sorted({name for name in groups.tolist() if name is not None})
    if control not in names:
        near = did_you_mean(control, names)
        msg = f"No cell is a control: the perturbations are {some(names)}, and none is {control!r}.{near}"
        raise InputError(msg)
    if len(names) == 1:
        msg = f"Every cell is a control ({control!r}). Give the perturbed cells too."
        raise InputError(msg)
    return [name for name in names if name != control]


def text_column(values: Sequence[str] | np.ndarray | pd.Series) -> np.ndarray:
    """Turn a column into texts; None where it has no value."""
    column = pd.Series(np.asarray(values, dtype=object))
    return np.array([None if gone else str(name) for name, gone in zip(column, column.isna(), strict=True)])


def _column(
    name: str, values: Sequence[str] | np.ndarray | pd.Series, activations: Activations
) -> np.ndarray:
    if len(values) != len(activations.cell_ids):
        n_cells = len(activations.cell_ids)
        msg = f"{name} has {len(values)} entries, expected one for each of {n_cells} cells."
        raise InputError(msg)
    return text_column(values)


def _both_sides(perturbed: Bool[np.ndarray, " cells"], blocks: np.ndarray) -> Bool[np.ndarray, " cells"]:
    """Tell which cells are in a block that has cells of both kinds."""
    share = pd.Series(perturbed).groupby(blocks, dropna=True).transform("mean")
    return np.asarray((share > 0) & (share < 1))


def _compare(
    values: Float[np.ndarray, "cells concepts"],
    perturbed: Bool[np.ndarray, " cells"],
    block: Int[np.ndarray, " cells"],
    *,
    n_permutations: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    n_concepts = values.shape[1]
    table = pd.DataFrame(
        {
            "concept": np.arange(n_concepts),
            "n_perturbed": int(perturbed.sum()),
            "n_control": int((~perturbed).sum()),
            "difference": np.nan,
            "auroc": np.nan,
            "p": np.nan,
        }
    )
    if not len(values):
        return table
    ranks, pairs = np.empty_like(values), 0
    difference = np.zeros(n_concepts)
    labels = np.zeros((n_permutations, len(values)))
    for number in range(int(block.max()) + 1):
        rows = np.flatnonzero(block == number)
        inside = perturbed[rows]
        n, n_perturbed = len(rows), int(inside.sum())
        ranks[rows] = rankdata(values[rows], axis=0) - (n + 1) / 2
        weight = n_perturbed * (n - n_perturbed)
        means = values[rows][inside].mean(axis=0) - values[rows][~inside].mean(axis=0)
        difference += weight * means
        pairs += weight
        labels[:, rows] = rng.permuted(np.tile(inside, (n_permutations, 1)), axis=1)
    total = perturbed @ ranks
    reached = np.abs(labels @ ranks) >= np.abs(total) - ROUNDING * max(1, pairs)
    return table.assign(
        difference=difference / pairs,
        auroc=0.5 + total / pairs,
        p=(1 + reached.sum(axis=0)) / (1 + n_permutations),
    )
