"""The cells that dictionaries are measured on, with all that is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from anndata import AnnData
from jaxtyping import Bool, Float

from conceptome.core import Dictionary, Embeddings, Encoder, InputError, Names, ScoredDecoder
from conceptome.data.columns import label_problem
from conceptome.dictionaries import HeldoutSplit
from conceptome.evaluation.labels import LabelledCells, Labels, id_order, read_column, read_labels
from conceptome.evaluation.phase import PHASE, cell_cycle_phase

HELDOUT_FRACTION = 0.1  # for dictionaries that name no split of their own
NO_LOSS = (
    "The encoder has no decoder that can be scored, so that nothing is said of what it loses downstream."
)


@dataclass(frozen=True, eq=False)
class EvaluatedCells:
    """Cells in the order of their ids, so that their order in a file changes nothing."""

    embeddings: Embeddings
    labels: tuple[LabelledCells, ...]
    """One entry per label column; with donors, whole donors are tested on."""
    sides: tuple[LabelledCells, ...]
    """Batch and donor: what a representation of biology should not tell. Split by cell."""
    donors: Labels | None
    adata: AnnData | None = None
    """The same cells with their genes; None without an encoder."""
    decoder: ScoredDecoder | None = None

    @property
    def z(self) -> Float[np.ndarray, "cells d_embed"]:
        """Embeddings."""
        return self.embeddings.values

    def through(self, embeddings: Embeddings) -> EvaluatedCells:
        """See the same cells through another encoder, which has no decoder to be scored.

        Parameters
        ----------
        embeddings
            Of the same cells, in any order.
        """
        rows = embeddings.cell_ids.get_indexer(self.embeddings.cell_ids)
        ordered = _take(embeddings, rows)
        return replace(self, embeddings=ordered, decoder=None)

    def donor_names(self) -> list[str] | None:
        """Return the donor of each cell as text, for a split by donor."""
        return None if self.donors is None else self.donors.astype(str).tolist()

    def heldout_by(self, dictionary: Dictionary, *, seed: int) -> Bool[np.ndarray, " cells"]:
        """Apply the split that a dictionary was trained with, or draw one where it names none.

        Parameters
        ----------
        dictionary
            The dictionary.
        seed
            Of the split that is drawn.

        Returns
        -------
        True for the cells that the dictionary has not seen.

        Raises
        ------
        InputError
            If the dictionary held out donors and none are known, or its split does not fit these cells.
        """
        cells = self.embeddings.cell_ids.astype(str).tolist()
        stored = getattr(dictionary, "training", {}).get("split")
        if stored is None:
            return HeldoutSplit.draw(cells, fraction=HELDOUT_FRACTION, seed=seed, by="cell").mask(cells)
        split, donors = HeldoutSplit(**stored), self.donor_names()
        if split.by == "group" and donors is None:
            msg = f"Dictionary {dictionary.dictionary_id} held out whole groups (donors). Give group_key."
            raise InputError(msg)
        heldout = split.mask(cells if donors is None or split.by == "cell" else donors)
        if heldout.all() or not heldout.any():
            msg = (
                f"The split of dictionary {dictionary.dictionary_id} holds out {int(heldout.sum())} of these "
                f"{len(cells)} cells, expected some and not all. Evaluate it on the cells it was trained "
                "with."
            )
            raise InputError(msg)
        return heldout


def read_cells(
    adata: AnnData,
    encoder: Encoder | None,
    embeddings: Embeddings,
    *,
    label_keys: Sequence[str],
    group_key: str | None,
    batch_key: str | None,
    seed: int,
) -> tuple[EvaluatedCells, dict[str, str]]:
    """Collect what dictionaries are measured on.

    Parameters
    ----------
    adata
        Cells with their labels in `obs`.
    encoder
        Whose decoder is scored, and that embeds edited cells; None = neither.
    embeddings
        Of the same cells in the same order.
    label_keys
        Columns that name populations; ``"phase"`` is computed where `obs` has no such column.
    group_key, batch_key
        Columns with donor and batch.
    seed
        Decides the control genes of the cell-cycle scores.

    Returns
    -------
    cells
        The cells, ordered by id.
    missing
        Why something cannot be measured, by its name.

    Raises
    ------
    InputError
        If the embeddings are of other cells, or a column is missing or not usable as a label.
    """
    if not embeddings.cell_ids.equals(adata.obs_names):
        msg = (
            f"The embeddings name other cells ({len(embeddings.cell_ids)}) than adata ({adata.n_obs}), or in "
            "another order. Embed this adata again."
        )
        raise InputError(msg)
    order = id_order(adata.obs_names)
    obs, missing = adata.obs.iloc[order], {}
    if PHASE in label_keys and PHASE not in obs:
        obs = obs.assign(**{PHASE: cell_cycle_phase(adata, seed=seed).iloc[order]})
    donors = None if group_key is None else read_column(obs, group_key)
    labels = tuple(LabelledCells.of(key, read_labels(obs, key), donors) for key in label_keys)
    sides = []
    for key in dict.fromkeys(key for key in (batch_key, group_key) if key is not None):
        column = read_column(obs, key)
        missing[key] = label_problem(obs, key) or ""
        if not missing[key]:
            sides.append(LabelledCells.of(key, column, None))
    decoder = getattr(encoder, "decoder", None)
    scored = decoder if isinstance(decoder, ScoredDecoder) else None
    missing["loss_recovered"] = "" if scored is not None else NO_LOSS
    cells = EvaluatedCells(
        embeddings=_take(embeddings, order),
        labels=labels,
        sides=tuple(sides),
        donors=donors,
        adata=None if encoder is None else adata[order],
        decoder=scored,
    )
    return cells, {name: reason for name, reason in missing.items() if reason}


def _take(embeddings: Embeddings, rows: np.ndarray) -> Embeddings:
    ids: Names = embeddings.cell_ids[rows]
    return replace(embeddings, values=embeddings.values[rows], cell_ids=ids)
