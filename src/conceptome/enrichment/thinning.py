"""How many findings survive when annotations are thinned: what they owe to how much is known of the genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Int8
from scipy.stats import false_discovery_control

from conceptome.core import Attributions, DifferentialExpression, EnrichmentMethod, InputError, Ranking
from conceptome.enrichment.findings import nothing_to_test
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.methods import prepare
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.propagation import propagate
from conceptome.enrichment.testing import Method, Options
from conceptome.enrichment.universe import GeneScores, PerGene, Sets, Terms, as_collections

RANDOM = "random"
KEY = ["place", "term"]
BLOCK_CONCEPTS = 64  # tested at a time, which bounds the memory
COLUMNS = (
    *("concept", "thinning", "share", "repeat"),
    *("n_findings", "n_tested", "n_survived", "survival", "n_new"),
)


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
    gene_sets: GeneSets | Sequence[GeneSets],
    *,
    method: EnrichmentMethod = "gsea",
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

    All versions are tested at once; with ``"gsea"`` sets of one size then share their null, so that a dozen
    versions cost little more than one.

    Parameters
    ----------
    scores, method, min_size, max_size, n_permutations, rank_by, gene_names
        As for `enrich`.
    gene_sets
        One or more collections.
    thinning
        Shares to keep, repeats and the level of a finding; None is 90, 75, 50 and 25%, three times each.
    subsets
        Other versions of the one collection by name, such as those of some evidence codes, see
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
    the annotations kept (at random: on average), ``repeat, n_findings`` with all annotations, ``n_tested`` of
    them that still have an admissible size, ``n_survived`` that are found again with the same sign,
    ``survival`` = n_survived / n_findings (NaN without findings) and ``n_new`` found only now.

    Raises
    ------
    InputError
        If scores, gene sets or options do not fit.
    """
    thinning = thinning or Thinning()
    options = Options(min_size, max_size, n_permutations, seed)
    table, test = prepare(scores, method, options, rank_by=rank_by, gene_names=gene_names)
    versions = list(_versions(as_collections(gene_sets), thinning, subsets or {}, seed=seed))
    collections = [version.gene_sets for version in versions]
    if ontology is not None:
        collections = [[propagate(sets, ontology) for sets in version] for version in collections]
    tests = _test_all(test, table, collections, options)
    whole, *thinned = (_significant(p, effect, thinning.alpha) for p, effect in zip(*tests, strict=True))
    frames = [
        _compare(whole, found, tested=~np.isnan(p)).assign(
            concept=table.concepts, thinning=version.name, share=version.share, repeat=version.repeat
        )
        for version, found, p in zip(versions[1:], thinned, tests[0][1:], strict=True)
    ]
    measured = set(table.concepts[~np.isnan(table.values).all(axis=1)])
    rows = pd.concat(frames, ignore_index=True)[list(COLUMNS)]
    return rows[rows["concept"].isin(measured)].reset_index(drop=True)


@dataclass(frozen=True)
class _Version:
    """The collections with some of their annotations."""

    name: str
    share: float
    repeat: int
    gene_sets: list[GeneSets]


def _test_all(
    method: Method, table: GeneScores, versions: Sequence[list[GeneSets]], options: Options
) -> tuple[Float[np.ndarray, "versions concepts terms"], Float[np.ndarray, "versions concepts terms"]]:
    """Test all versions at once, for sets of one size share their null; return p, NaN untested, and ES."""
    keys = [
        (at, term) for version in versions for at, sets in enumerate(version) for term in sets.terms
    ]  # by place, for versions of a collection may have names of their own
    columns = pd.MultiIndex.from_tuples(dict.fromkeys(keys), names=KEY)
    p, effect = np.full((2, len(versions), len(table.concepts), len(columns)), np.nan)
    row_of = pd.Index(table.concepts)
    for universe in table.universes():
        of_version = [
            Terms.of(version, universe.symbols, min_size=options.min_size, max_size=options.max_size)
            for version in versions
        ]
        if not of_version[0].genes:
            continue
        version = np.repeat(np.arange(len(versions)), [len(terms.genes) for terms in of_version])
        column = np.concatenate([_columns(*each, columns) for each in zip(of_version, versions, strict=True)])
        for start in range(0, len(universe.concepts), BLOCK_CONCEPTS):
            block = universe.some(slice(start, start + BLOCK_CONCEPTS))
            measures, _ = method(block, Sets.joined(of_version), 0)
            at = version, row_of.get_indexer(block.concepts)[:, None], column
            p[at], effect[at] = measures["p"], measures["es"]
    if np.isnan(p[0]).all():
        sizes = {"min_size": options.min_size, "max_size": options.max_size}
        raise InputError(nothing_to_test(table, versions[0], **sizes))
    return p, effect


def _columns(terms: Terms, version: list[GeneSets], columns: pd.MultiIndex) -> Int[np.ndarray, " terms"]:
    """Find where the terms of one version stand."""
    place = {sets.collection: at for at, sets in enumerate(version)}
    keys = zip(terms.labels["collection"].map(place), terms.labels["term"], strict=True)
    return np.asarray(columns.get_indexer(pd.MultiIndex.from_tuples(keys, names=KEY)))


def _significant(
    p: Float[np.ndarray, "concepts terms"], effect: Float[np.ndarray, "concepts terms"], alpha: float
) -> Int8[np.ndarray, "concepts terms"]:
    """Return the sign of every finding, corrected over all tests of this version; 0 where there is none."""
    tested = ~np.isnan(p)
    found = np.zeros(p.shape, dtype=np.int8)
    if tested.any():
        called = false_discovery_control(p[tested]) <= alpha
        found[tested] = np.where(called, np.sign(effect[tested]), 0)
    return found


def _versions(
    gene_sets: list[GeneSets], thinning: Thinning, subsets: Mapping[str, GeneSets], *, seed: int
) -> Iterator[_Version]:
    """Give the whole collections first, then what is thinned at random, then the subsets."""
    yield _Version(RANDOM, 1.0, 0, gene_sets)
    rng = np.random.default_rng([seed, 2])
    for repeat in range(thinning.repeats):
        # nested: what is kept of 25% is kept of 50%, so that curves fall for one reason alone
        draws = [[rng.random(len(genes)) for genes in sets.members] for sets in gene_sets]
        for share in thinning.shares:
            kept = [_kept(sets, drawn, share) for sets, drawn in zip(gene_sets, draws, strict=True)]
            yield _Version(RANDOM, share, repeat, kept)
    n_whole = sum(len(genes) for sets in gene_sets for genes in sets.members)
    for name, subset in subsets.items():
        yield _Version(name, sum(map(len, subset.members)) / n_whole, 0, [subset])


def _kept(gene_sets: GeneSets, draws: Sequence[np.ndarray], share: float) -> GeneSets:
    chosen = [np.flatnonzero(drawn < share) for drawn in draws]
    members = [tuple(genes[at] for at in some) for genes, some in zip(gene_sets.members, chosen, strict=True)]
    weights = [tuple(of[at] for at in some) for of, some in zip(gene_sets.weights, chosen, strict=False)]
    return replace(gene_sets, members=tuple(members), weights=tuple(weights))


def _compare(
    whole: Int8[np.ndarray, "concepts terms"],
    now: Int8[np.ndarray, "concepts terms"],
    *,
    tested: Bool[np.ndarray, "concepts terms"],
) -> pd.DataFrame:
    """Count by concept what became of the findings."""
    before = whole != 0
    counts = pd.DataFrame(
        {
            "n_findings": before.sum(axis=1),
            "n_tested": (before & tested).sum(axis=1),
            "n_survived": (before & (now == whole)).sum(axis=1),
            "n_new": (~before & (now != 0)).sum(axis=1),
        }
    )
    survival = counts["n_survived"] / counts["n_findings"].where(counts["n_findings"] > 0)
    return counts.assign(survival=survival)
