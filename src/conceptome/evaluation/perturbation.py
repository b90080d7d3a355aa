"""Perturbed cells as a test: whether concepts move, and whether the scores of their genes foretell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Int

from conceptome.core import (
    Activations,
    Csr,
    Dictionary,
    Edits,
    Encoder,
    InputError,
    require_at_least,
    require_choice,
)
from conceptome.counterfactuals import match
from conceptome.data import library_size
from conceptome.data.wording import did_you_mean, some
from conceptome.evaluation.direct_agreement import Action, direct_agreement
from conceptome.evaluation.gene_evidence import DRIVERS, LEVEL, gene_evidence
from conceptome.evaluation.indirect_agreement import indirect_agreement
from conceptome.evaluation.perturbed_cells import (
    cell_roles,
    expression_changes,
    guide_targets,
    responding_genes,
    response_matrix,
)
from conceptome.evaluation.shifts import concept_shifts, perturbed_names, text_column


@dataclass(frozen=True, eq=False)
class PerturbationCheck:
    """What perturbed cells say of concepts and of the scores of their genes."""

    shifts: pd.DataFrame
    """See `concept_shifts`, for every concept; ``attributable`` says whether its genes could be scored."""
    targets: pd.DataFrame
    """One row per gene that is aimed at: ``perturbation, gene, measured`` and, of measured genes, ``level,
    own_change`` (log2 fold change of the gene itself in perturbed cells), ``n_moving`` (attributable
    concepts that move), ``n_driven`` (those that the gene drives), ``n_unseen`` (concepts that move when the
    model is shown a count of 0 of the gene in all cells: it can then only see what happened to others)."""
    responses: pd.DataFrame
    """``perturbation, gene, change``: the genes that respond, 1 up, -1 down."""
    direct: pd.DataFrame
    """Scores of the perturbed gene itself, see `direct_agreement`; empty where no such gene is measured."""
    indirect: pd.DataFrame
    """Scores of the genes that respond, see `indirect_agreement`."""
    not_attributable: Mapping[int, str]
    """Concepts whose genes could not be scored in control cells, and why."""


def check_perturbations(  # noqa: PLR0913 (cells, model and what was done to the cells)
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    *,
    key: str,
    control: str,
    action: Action = "loss",
    block_key: str | None = None,
    targets: Mapping[str, Sequence[str]] | None = None,
    responses: pd.DataFrame | None = None,
    match_on: Sequence[str] = (),
    n_pairs: int = 64,
    n_permutations: int = 1000,
    n_null: int = 200,
    alpha: float = 0.05,
    batch_size: int = 4096,
    device: str = "cpu",
    seed: int = 0,
) -> PerturbationCheck:
    """Compare what perturbations do to concepts with what gene scores foretell.

    No cell serves twice: genes are scored in half of the control cells; a quarter of the controls and half of
    the perturbed cells tell which genes respond; the others tell which concepts move. Perturbed cells
    therefore never inform a gene score, neither that of attribution nor that of differential expression.

    Parameters
    ----------
    adata
        The cells, with raw counts.
    encoder
        The encoder.
    dictionary
        A dictionary of its embedding.
    key
        Column of ``obs`` with the perturbation of each cell, such as the target of its guide.
    control
        Its value in control cells.
    action
        ``"loss"``: perturbed genes lose expression or function (knock-out, interference), so that a concept
        must fall if their expression raises it; ``"gain"``: they gain it (activation).
    block_key
        Column of ``obs`` within which cells are compared, such as batch or donor.
    targets
        Genes of each perturbation; by default the parts of its name between plus signs.
    responses
        Genes that respond, ``perturbation, gene, change`` (its sign counts), such as a published table; by
        default those with q <= `alpha` (Wilcoxon) between perturbed and control cells.
    match_on, n_pairs
        As in ``counterfactuals.match``.
    n_permutations
        Shuffles of cells, see `concept_shifts`.
    n_null
        Draws of the other nulls.
    alpha
        Level of the false discovery rate at which a concept moves and a gene responds.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.
    seed
        Seed of all that is drawn.

    Returns
    -------
    `PerturbationCheck`.

    Raises
    ------
    InputError
        If a column is missing, there are fewer than 40 control cells, or the parts do not belong together.
    DictionaryMismatchError
        If the dictionary was trained on another encoder.
    """
    require_choice("action", action, get_args(Action))
    require_at_least("n_null", n_null, 1)
    groups = text_column(_column(adata, key))
    blocks = text_column(_column(adata, block_key) if block_key else np.zeros(adata.n_obs))
    names = perturbed_names(groups, control)
    roles = cell_roles(groups, blocks, control=control, seed=seed)
    cells = _Cells(adata, encoder, dictionary, groups, blocks, control, batch_size, device, seed)
    activations = dictionary.encode(encoder.embed(adata, batch_size=batch_size, device=device))
    scores, reasons = cells.score(activations, roles == "score", match_on=match_on, n_pairs=n_pairs)
    moving = np.flatnonzero(roles == "shift")
    shifts = cells.shifts(activations.values[moving], moving, n_permutations)
    shifts["attributable"] = shifts["concept"].isin(scores[LEVEL].index)
    responding = roles == "respond"
    changes = expression_changes(adata[responding], groups[responding], names=names, control=control)
    level = scores[LEVEL].iloc[0].where(encoder.known(adata)).dropna()
    aims = guide_targets(names, targets, level, changes)
    found = responding_genes(changes, alpha=alpha) if responses is None else responses
    usable = shifts[shifts["attributable"]]
    rows = usable.merge(aims[aims["measured"]], on="perturbation")
    unseen = cells.unseen(aims, shifts, moving, n_permutations=n_permutations, alpha=alpha)
    free = level[~level.index.isin(aims["gene"])]
    settings: _Settings = {"alpha": alpha, "n_null": n_null, "seed": seed}
    return PerturbationCheck(
        shifts,
        _followed(aims, rows, scores[DRIVERS], alpha).assign(n_unseen=unseen),
        found,
        direct_agreement(rows, scores, level, action=action, **settings),
        indirect_agreement(
            usable,
            {name: table[free.index] for name, table in scores.items()},
            response_matrix(found, names=names, genes=free.index),
            free,
            names=names,
            **settings,
        ),
        reasons,
    )


class _Settings(TypedDict):
    alpha: float
    n_null: int
    seed: int


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cells, a model of them, and what was done to them."""

    adata: AnnData
    encoder: Encoder
    dictionary: Dictionary
    groups: np.ndarray
    blocks: np.ndarray
    control: str
    batch_size: int
    device: str
    seed: int

    def score(
        self, activations: Activations, scoring: np.ndarray, *, match_on: Sequence[str], n_pairs: int
    ) -> tuple[dict[str, pd.DataFrame], dict[int, str]]:
        """Score genes in some cells; and say of which concepts that was not possible."""
        cells, rows = self.adata[scoring], np.flatnonzero(scoring)
        own = Activations(activations.values[rows], cells.obs_names, activations.dictionary_id)
        pairs = match(
            own,
            self.encoder.embed(cells, batch_size=self.batch_size, device=self.device),
            dictionary=self.dictionary,
            obs=cells.obs,
            library_size=library_size(cells),
            n_pairs=n_pairs,
            match_on=match_on,
            seed=self.seed,
        )
        scores = gene_evidence(
            *(cells, self.encoder, self.dictionary, pairs, own),
            batch_size=self.batch_size,
            device=self.device,
            seed=self.seed,
        )
        return scores, dict(pairs.not_attributable)

    def shifts(self, values: Csr, rows: Int[np.ndarray, " cells"], n_permutations: int) -> pd.DataFrame:
        """Tell which concepts move in some cells."""
        return concept_shifts(
            Activations(values, self.adata.obs_names[rows], self.dictionary.dictionary_id),
            self.groups[rows],
            control=self.control,
            blocks=self.blocks[rows],
            n_permutations=n_permutations,
            seed=self.seed,
        )

    def unseen(
        self,
        aims: pd.DataFrame,
        shifts: pd.DataFrame,
        moving: Int[np.ndarray, " cells"],
        *,
        n_permutations: int,
        alpha: float,
    ) -> list[float]:
        """Count the concepts that move, by the same p, when the model is shown no count of the target."""
        usable = shifts[shifts["attributable"]]
        cut = usable.loc[shifts["q"] <= alpha, "p"].max()
        counts = []
        for aim in aims.itertuples():
            if not aim.measured:
                counts.append(np.nan)
                continue
            rows = moving[np.isin(self.groups[moving], [str(aim.perturbation), self.control])]
            gene = np.full(len(rows), self.adata.var_names.get_loc(aim.gene))
            edits = Edits.single(np.arange(len(rows)), gene, np.zeros(len(rows)))
            z = self.encoder.embed_edits(
                self.adata[rows], edits, batch_size=self.batch_size, device=self.device
            )
            found = self.shifts(self.dictionary.encode(z), rows, n_permutations)
            moved = found.loc[found["concept"].isin(usable["concept"]), "p"] <= cut
            counts.append(float(moved.sum()))
        return counts


def _column(adata: AnnData, key: str) -> pd.Series:
    if key not in adata.obs:
        near = did_you_mean(key, list(adata.obs))
        msg = f"obs has no column {key!r}; it has {some(adata.obs.columns)}.{near}"
        raise InputError(msg)
    column: pd.Series = adata.obs[key]
    return column


def _followed(aims: pd.DataFrame, rows: pd.DataFrame, drivers: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Count for every measured target the concepts that move, and those of them that it drives."""
    moving = rows[rows["q"] <= alpha]
    row = drivers.index.get_indexer(pd.Index(moving["concept"]))
    drives = drivers.to_numpy()[row, drivers.columns.get_indexer(pd.Index(moving["gene"]))] != 0
    keys = ["perturbation", "gene"]
    counts = moving.assign(drives=drives).groupby(keys)["drives"].agg(n_moving="size", n_driven="sum")
    table = aims.merge(counts, how="left", left_on=keys, right_index=True)
    for name in ("n_moving", "n_driven"):
        table[name] = table[name].fillna(0).where(table["measured"]).astype(float)
    return table
