"""Perturbed cells beside controls: what each serves for, which genes respond, which are aimed at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float

from conceptome.attribution import differential_expression
from conceptome.core import Activations, InputError, Names
from conceptome.data.wording import did_you_mean, some
from conceptome.evaluation.splits import seeded_split

MIN_CONTROLS = 40
MIN_CELLS = 3
CHANGE_COLUMNS = ("perturbation", "gene", "log_fold_change", "z", "q")


def cell_roles(groups: np.ndarray, blocks: np.ndarray, *, control: str, seed: int) -> np.ndarray:
    """Decide what each cell serves for, so that none serves twice.

    Parameters
    ----------
    groups
        What was done to each cell; None where that is not known.
    blocks
        Block of each cell; controls are divided within blocks.
    control
        The value of control cells.
    seed
        Decides the division.

    Returns
    -------
    ``"score"`` (half of the controls), ``"respond"`` and ``"shift"`` (the others, and the perturbed cells,
    half each); None for cells without a value.

    Raises
    ------
    InputError
        If there are fewer than 40 controls.
    """
    controls = np.flatnonzero(groups == control)
    if len(controls) < MIN_CONTROLS:
        msg = (
            f"{len(controls)} cells are controls ({control!r}), expected at least {MIN_CONTROLS}: half of "
            "them score genes, a quarter tells which genes respond and a quarter which concepts move."
        )
        raise InputError(msg)
    roles = np.array([None if name is None else "shift" for name in groups], dtype=object)
    kinds = np.array([f"{group}|{block}" for group, block in zip(groups, blocks, strict=True)])
    scoring = seeded_split(kinds[controls], test_share=0.5, seed=seed)
    roles[controls[scoring]] = "score"
    rest = np.flatnonzero(roles == "shift")
    responding = seeded_split(kinds[rest], test_share=0.5, seed=seed)
    roles[rest[responding]] = "respond"
    return np.asarray(roles)


def expression_changes(
    adata: AnnData, groups: np.ndarray, *, names: Sequence[str], control: str
) -> pd.DataFrame:
    """Compare expression in the cells of each perturbation and in controls.

    Parameters
    ----------
    adata
        The cells, with raw counts.
    groups
        What was done to each.
    names
        The perturbations.
    control
        The value of control cells.

    Returns
    -------
    ``perturbation, gene, log_fold_change, z, q`` (Wilcoxon, q within the perturbation), positive = higher in
    perturbed cells. No rows for a perturbation with fewer than 3 cells on either side.
    """
    tables = []
    for name in names:
        rows = np.flatnonzero((groups == name) | (groups == control))
        perturbed = groups[rows] == name
        if min(perturbed.sum(), (~perturbed).sum()) < MIN_CELLS:
            continue
        cells = adata[rows]
        membership = Activations(sp.csr_array(perturbed[:, None].astype(np.float64)), cells.obs_names, "")
        found = differential_expression(cells, membership)
        values = (found.log_fold_change[0], found.score[0], found.q[0])
        columns = dict(zip(CHANGE_COLUMNS[2:], values, strict=True))
        tables.append(pd.DataFrame({"perturbation": name, "gene": adata.var_names, **columns}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(CHANGE_COLUMNS))


def guide_targets(
    names: Sequence[str], targets: Mapping[str, Sequence[str]] | None, level: pd.Series, changes: pd.DataFrame
) -> pd.DataFrame:
    """List the genes that perturbations are aimed at, and whether they are measured.

    Parameters
    ----------
    names
        The perturbations.
    targets
        Genes of each perturbation; by default the parts of its name between plus signs.
    level
        Level of expression of the genes that can be scored.
    changes
        See `expression_changes`.

    Returns
    -------
    ``perturbation, gene, measured, level, own_change``; the last two NaN for genes that are not measured.

    Raises
    ------
    InputError
        If `targets` names a perturbation that there is none of.
    """
    unknown = [name for name in targets or () if name not in names]
    if unknown:
        near = did_you_mean(unknown[0], list(names))
        msg = f"targets names {some(unknown)}, which no cell has; there are {some(names)}.{near}"
        raise InputError(msg)
    of = {name: name.split("+") for name in names} if targets is None else targets
    rows = [(name, gene) for name in names for gene in of.get(name, ())]
    table = pd.DataFrame(rows, columns=["perturbation", "gene"])
    measured = table["gene"].isin(level.index)
    own = changes.set_index(["perturbation", "gene"])["log_fold_change"].rename("own_change")
    table = table.assign(measured=measured, level=table["gene"].map(level))
    return table.merge(own, how="left", left_on=["perturbation", "gene"], right_index=True)


def responding_genes(changes: pd.DataFrame, *, alpha: float) -> pd.DataFrame:
    """Take the genes whose expression changes: ``perturbation, gene, change``, 1 up, -1 down.

    Parameters
    ----------
    changes
        See `expression_changes`.
    alpha
        Most q.

    Returns
    -------
    One row per perturbation and gene.
    """
    found = changes[changes["q"] <= alpha]
    table = found[["perturbation", "gene"]].assign(change=np.sign(found["z"].astype(float)))
    return table.reset_index(drop=True)


def response_matrix(
    responses: pd.DataFrame, *, names: Sequence[str], genes: Names
) -> Float[np.ndarray, "perturbations genes"]:
    """Arrange responses as a matrix; genes that are not there are left out.

    Parameters
    ----------
    responses
        ``perturbation, gene, change``.
    names, genes
        Rows and columns.

    Returns
    -------
    1, -1 or 0.
    """
    row = pd.Index(names).get_indexer(pd.Index(responses["perturbation"]))
    column = genes.get_indexer(pd.Index(responses["gene"]))
    there = (row >= 0) & (column >= 0)
    matrix = np.zeros((len(names), len(genes)))
    matrix[row[there], column[there]] = np.sign(responses["change"].to_numpy(dtype=float)[there])
    return matrix
