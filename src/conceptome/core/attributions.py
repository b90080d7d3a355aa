"""Frozen records of gene scores: of every concept, and in the single pairs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from conceptome.core.errors import InputError
from conceptome.core.types import Names

Ranking: TypeAlias = Literal["z", "attribution"]


def signal_to_noise(
    value: Float[np.ndarray, "concepts genes"], se: Float[np.ndarray, "concepts genes"]
) -> Float[np.ndarray, "concepts genes"]:
    """Divide gene scores by their standard error plus a constant, as SAM does [Tusher01].

    The bare ratio is near +-1 for every gene that differed in a single pair, however small its effect. The
    constant, the concept's median error over genes with an effect, lets such genes count for little.

    Parameters
    ----------
    value
        Scores; NaN where not measured.
    se
        Their standard errors.

    Returns
    -------
    Ratios; 0 where the score is 0, NaN where it is NaN.
    """
    some = np.where(se > 0, se, np.nan)
    measured = np.isfinite(some).any(axis=1)
    constant = np.ones((len(se), 1))
    constant[measured] = np.nanmedian(some[measured], axis=1, keepdims=True)
    return np.asarray(value / (se + constant))


@dataclass(frozen=True, eq=False)
class Attributions:
    """Gene scores per concept; rows follow `concepts`, columns `genes`.

    NaN = the encoder lacks the gene; 0 = measured without effect.
    """

    attribution: Float[np.ndarray, "concepts genes"]
    """A[k, g]: effect relative to the activation (1 = switched off), or mean pre-activation effect."""
    se: Float[np.ndarray, "concepts genes"]
    ci_low: Float[np.ndarray, "concepts genes"]
    ci_high: Float[np.ndarray, "concepts genes"]
    effect_act: Float[np.ndarray, "concepts genes"]
    """Mean effect on the activation over the factuals."""
    effect_pre: Float[np.ndarray, "concepts genes"]
    """Mean effect on the pre-activation over the factuals."""
    n_differing: Int[np.ndarray, "concepts genes"]
    sign_consistency: Float[np.ndarray, "concepts genes"]
    """Share of the non-zero effects that have the sign of the attribution; NaN where all are zero."""
    p: Float[np.ndarray, "concepts genes"]
    q: Float[np.ndarray, "concepts genes"]
    drives: Bool[np.ndarray, "concepts genes"]
    floor: Float[np.ndarray, " concepts"]
    """95th percentile of |A| on null pairs; NaN where there were too few."""
    null_driver_rate: Float[np.ndarray, " concepts"]
    """Share of genes that the disjoint half of the null pairs would call drivers."""
    n_pairs: Int[np.ndarray, " concepts"]
    status: np.ndarray
    """Per concept: ``"ok"``, ``"underpowered"`` or ``"not attributable: <reason>"``."""
    concepts: Int[np.ndarray, " concepts"]
    genes: Names
    dictionary_id: str
    encoder_id: str
    null_attribution: Float[np.ndarray, "concepts genes"]
    """A[k, g] on the half of the null pairs that did not set the floor; NaN where there were none."""
    null_se: Float[np.ndarray, "concepts genes"]
    intervention: str = "substitute"
    aggregate: str = "relative"
    noise_floor: float = 0.0
    """Largest |embedding difference| of a no-op edit."""
    exact: Float[np.ndarray, "concepts genes"] | None = None
    """Share of the pairs in which the gene differs whose effect was measured; the rest was estimated by a
    prescreen. Only where it is 1 can a gene drive a concept. None where it was not recorded."""
    recall: Float[np.ndarray, "concepts 3"] | None = None
    """How good the prescreen is, in pairs that were measured in full: share of the 20 and of the 50 genes of
    largest effect that it would have let through, and the rank correlation of its effects with the exact
    ones. NaN without a prescreen."""

    def __post_init__(self) -> None:
        shape = (len(self.concepts), len(self.genes))
        for name in (
            "attribution",
            "se",
            "ci_low",
            "ci_high",
            "effect_act",
            "effect_pre",
            "n_differing",
            "sign_consistency",
            "p",
            "q",
            "drives",
            "null_attribution",
            "null_se",
        ):
            if getattr(self, name).shape != shape:
                found = getattr(self, name).shape
                msg = f"Attributions: {name} has shape {found}, expected {shape} (concepts x genes)."
                raise InputError(msg)

    def scores(self, by: Ranking = "z") -> pd.DataFrame:
        """Return what ranks the genes of each concept, concepts x genes.

        Parameters
        ----------
        by
            ``"z"``: see `signal_to_noise`; ``"attribution"``: the attribution.
        """
        return self._ranked(self.attribution, self.se, by)

    def null_scores(self, by: Ranking = "z") -> pd.DataFrame:
        """Return the same as `scores`, from the null pairs."""
        return self._ranked(self.null_attribution, self.null_se, by)

    def _ranked(self, value: np.ndarray, se: np.ndarray, by: Ranking) -> pd.DataFrame:
        if by == "z":
            value = signal_to_noise(value, se)
        return pd.DataFrame(value, index=pd.Index(self.concepts, name="concept"), columns=self.genes)

    def genes_of(self, concept: int, *, n: int | None = 20) -> pd.DataFrame:
        """Return the genes of a concept, drivers first, then by |attribution|.

        Parameters
        ----------
        concept
            The concept.
        n
            How many; None = all that were measured.

        Returns
        -------
        One row per gene, with the columns of ``attributions.parquet`` that differ between genes.

        Raises
        ------
        InputError
            If the concept was not attributed.
        """
        if concept not in self.concepts:
            msg = f"Concept {concept} is not among the {len(self.concepts)} that were attributed."
            raise InputError(msg)
        row = int(np.flatnonzero(self.concepts == concept)[0])
        frame = pd.DataFrame(
            {"gene": self.genes, **{name: getattr(self, name)[row] for name in GENE_COLUMNS}}
        )
        return _strongest(frame, n)

    def concepts_of(self, gene: str, *, n: int | None = 20) -> pd.DataFrame:
        """Return the concepts that a gene supports or opposes, those it drives first, then by |attribution|.

        Parameters
        ----------
        gene
            Its name in the data.
        n
            How many; None = all.

        Returns
        -------
        One row per concept.

        Raises
        ------
        InputError
            If there is no such gene.
        """
        require_gene(gene, self.genes)
        column = self.genes.get_loc(gene)
        frame = pd.DataFrame(
            {"concept": self.concepts, **{name: getattr(self, name)[:, column] for name in GENE_COLUMNS}}
        )
        return _strongest(frame, n)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per concept and gene, with the columns of ``attributions.parquet``."""
        n_concepts, n_genes = self.attribution.shape
        matrices = ("attribution", "se", "ci_low", "ci_high", "effect_act", "effect_pre")
        frame = pd.DataFrame(
            {
                "concept": np.repeat(self.concepts, n_genes),
                "gene": pd.Categorical.from_codes(
                    np.tile(np.arange(n_genes), n_concepts), categories=self.genes
                ),
                **{name: getattr(self, name).ravel() for name in matrices},
                "n_pairs": np.repeat(self.n_pairs, n_genes),
                "n_differing": self.n_differing.ravel(),
                "sign_consistency": self.sign_consistency.ravel(),
                "p": self.p.ravel(),
                "q": self.q.ravel(),
                "floor": np.repeat(self.floor, n_genes),
                "drives": self.drives.ravel(),
            }
        )
        if self.exact is not None and (self.exact < 1).any():
            frame["exact"] = self.exact.ravel()
        frame["intervention"] = pd.Categorical([self.intervention] * len(frame))
        frame["status"] = pd.Categorical(np.repeat(self.status, n_genes))
        return frame


GENE_COLUMNS = (
    *("attribution", "se", "ci_low", "ci_high", "effect_act", "effect_pre"),
    *("n_differing", "sign_consistency", "p", "q", "drives"),
)


def _strongest(frame: pd.DataFrame, n: int | None) -> pd.DataFrame:
    measured = frame[frame["attribution"].notna()].reset_index(drop=True)
    strength = measured["attribution"].abs()
    order = np.lexsort((-strength.to_numpy(), ~measured["drives"].to_numpy()))
    return measured.iloc[order[:n]].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class PairEffects:
    """Effects in the single pairs, sparse: one row per pair, entries where an edit changed something."""

    concept: Int[np.ndarray, " pairs"]
    pair: Int[np.ndarray, " pairs"]
    """Number of the factual within its concept, as in ``pairs.parquet``."""
    activation: Float[np.ndarray, " pairs"]
    """Activation of the factual by which a relative effect is divided."""
    indptr: Int[np.ndarray, " pairs_plus_one"]
    gene: Int[np.ndarray, " entries"]
    """Position in `genes`."""
    act: Float[np.ndarray, " entries"]
    """Effect on the activation, float32; positive = the gene supports the concept."""
    pre: Float[np.ndarray, " entries"]
    """Effect on the pre-activation, float32."""
    genes: Names

    def of_concept(self, concept: int) -> pd.DataFrame:
        """Return every entry of a concept: ``concept, pair, activation, gene, act, pre``."""
        return self._frame(np.flatnonzero(np.repeat(self.concept == concept, np.diff(self.indptr))))

    def of_gene(self, gene: str) -> pd.DataFrame:
        """Return every entry of a gene: ``concept, pair, activation, gene, act, pre``.

        Parameters
        ----------
        gene
            Its name in the data.

        Raises
        ------
        InputError
            If there is no such gene.
        """
        require_gene(gene, self.genes)
        return self._frame(np.flatnonzero(self.gene == self.genes.get_loc(gene)))

    def _frame(self, entries: Int[np.ndarray, " some"]) -> pd.DataFrame:
        row = np.searchsorted(self.indptr, entries, side="right") - 1
        return pd.DataFrame(
            {
                "concept": self.concept[row],
                "pair": self.pair[row],
                "activation": self.activation[row],
                "gene": self.genes[self.gene[entries]],
                "act": self.act[entries],
                "pre": self.pre[entries],
            }
        )


def require_gene(gene: str, genes: Names) -> None:
    """Refuse a gene that is not there, and name those that it may be.

    Parameters
    ----------
    gene
        Wanted.
    genes
        Those there are.

    Raises
    ------
    InputError
        If it is none of them.
    """
    if gene not in genes:
        folded = {str(name).casefold(): str(name) for name in genes}
        near = [folded[name] for name in difflib.get_close_matches(gene.casefold(), folded, n=3)]
        alike = f" Did you mean {' or '.join(near)}?" if near else ""
        msg = f"There is no gene {gene!r} among the {len(genes):,} of the attribution.{alike}"
        raise InputError(msg)
