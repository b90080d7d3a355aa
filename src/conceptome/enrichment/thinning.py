"""How many findings survive when annotations are thinned: what they owe to how much is known of the genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from conceptome.core import Attributions, DifferentialExpression, InputError, Ranking
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.preranked import gsea
from conceptome.enrichment.propagation import propagate
from conceptome.enrichment.universe import PerGene

RANDOM = "random"
KEYS = ["concept", "term"]


@dataclass(frozen=True)
class Thinning:
    """How annotations are thinned and what counts as a finding."""

    shares: Sequence[float] = (0.9, 0.75, 0.5, 0.25)
    """Shares of the annotations, pairs of term and gene, that are kept, drawn at random."""
    repeats: int = 3
    """Draws for each share."""
    alpha: float = 0.05
    """Findings have a q over the run, `q_global`, of this or less."""

    def __post_init__(self) -> None:
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            msg = f"shares is {tuple(self.shares)}; expected one or more numbers above 0 and up to 1."
            raise InputError(msg)
        if self.repeats < 1 or not 0 < self.alpha < 1:
            found = f"repeats is {self.repeats} and alpha {self.alpha}"
            msg = f"{found}; expected at least one repeat and an alpha between 0 and 1."
            raise InputError(msg)


def completeness(  # noqa: PLR0913 - the public face: every option of the test is named here
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets,
    *,
    thinning: Thinning | None = None,
    subsets: Mapping[str, GeneSets] | None = None,
    ontology: Ontology | None = None,
    min_size: int = 10,
    max_size: int = 500,
    n_permutations: int = 1000,
    rank_by: Ranking = "z",
    gene_names: PerGene | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Repeat an enrichment on fewer annotations and count the findings that survive.

    Parameters
    ----------
    scores, min_size, max_size, n_permutations, rank_by, gene_names
        As for `gsea`.
    gene_sets
        The collection.
    thinning
        Shares to keep, repeats and the level of a finding; None is 90, 75, 50 and 25%, three times each.
    subsets
        Other versions of the collection by name, such as those of some evidence codes, see
        `Annotations.gene_sets`.
    ontology
        With it `gene_sets` and `subsets` hold the direct annotations of terms: these are thinned, and then
        each version follows the true-path rule. Without it terms are thinned one by one, although in truth
        an annotation lost is lost to all terms above it.
    seed
        Seed of draws and of the test.

    Returns
    -------
    One row per concept and version: ``concept, thinning`` (``"random"`` or the subset's name), ``share`` of
    the annotations kept, ``repeat, n_findings`` with all annotations, ``n_tested`` of them that still have an
    admissible size, ``n_survived`` that are found again with the same sign, ``survival`` = n_survived /
    n_findings (NaN without findings) and ``n_new`` found only now.

    Raises
    ------
    InputError
        If scores, gene sets or options do not fit.
    """
    thinning = thinning or Thinning()

    def found(sets: GeneSets) -> pd.DataFrame:
        record = gsea(
            scores,
            sets if ontology is None else propagate(sets, ontology),
            min_size=min_size,
            max_size=max_size,
            n_permutations=n_permutations,
            rank_by=rank_by,
            gene_names=gene_names,
            calibrate=False,
            seed=seed,
        )
        table = record.table[[*KEYS, "es", "q_global"]]
        return table.assign(found=table["q_global"] <= thinning.alpha).set_index(KEYS)

    whole = found(gene_sets)
    n_whole = sum(map(len, gene_sets.members))
    rows = []
    for name, repeat, sets in _versions(gene_sets, thinning, subsets or {}, seed=seed):
        share = sum(map(len, sets.members)) / n_whole
        compared = _compare(whole, found(sets))
        rows.append(compared.assign(thinning=name, share=share, repeat=repeat))
    columns = ["concept", "thinning", "share", "repeat", "n_findings", "n_tested", "n_survived", "survival"]
    return pd.concat(rows, ignore_index=True)[[*columns, "n_new"]]


def _versions(
    gene_sets: GeneSets, thinning: Thinning, subsets: Mapping[str, GeneSets], *, seed: int
) -> Iterator[tuple[str, int, GeneSets]]:
    rng = np.random.default_rng([seed, 2])
    for repeat in range(thinning.repeats):
        # nested: what is kept of 25% is kept of 50%, so that curves fall for one reason alone
        draws = [rng.random(len(genes)) for genes in gene_sets.members]
        for share in thinning.shares:
            yield RANDOM, repeat, _kept(gene_sets, draws, share)
    for name, sets in subsets.items():
        yield name, 0, sets


def _kept(gene_sets: GeneSets, draws: Sequence[np.ndarray], share: float) -> GeneSets:
    members = tuple(
        tuple(gene for gene, draw in zip(genes, drawn, strict=True) if draw < share)
        for genes, drawn in zip(gene_sets.members, draws, strict=True)
    )
    return replace(gene_sets, members=members, weights=())


def _compare(whole: pd.DataFrame, thinned: pd.DataFrame) -> pd.DataFrame:
    """Count by concept what became of the findings."""
    both = whole.join(thinned, how="outer", rsuffix="_now")
    before, now = (both[name] == 1 for name in ("found", "found_now"))  # not tested: NaN, which is not found
    counts = pd.DataFrame(
        {
            "n_findings": before,
            "n_tested": before & both["es_now"].notna(),
            "n_survived": before & now & (np.sign(both["es"]) == np.sign(both["es_now"])),
            "n_new": now & ~before,
        }
    )
    summed = counts.groupby(level="concept").sum().reset_index()
    survival = summed["n_survived"] / summed["n_findings"].where(summed["n_findings"] > 0)
    return summed.assign(survival=survival)
