"""Simulated cells whose gene programmes are known: the truth that found concepts are held against."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from scipy.stats import gamma, norm

from conceptome.core import BLOCK_ROWS, Csr, InputError, require_at_least
from conceptome.core.keys import PROGRAMMES
from conceptome.data.simulation_options import SimulationOptions

WEIGHT_SD = 0.25  # of the logarithm of a gene's weight
HOUSEKEEPING_SD = 1.0  # of the logarithm of the expression of housekeeping genes
RATE_CONCENTRATION = 1.5  # low: a cell type uses a programme in most of its cells or in hardly any
LEAST_RATE = 1e-6  # before scaling, so that not all can be 0
ABUNDANCE = 5.0  # of the Dirichlet distribution that cell types are drawn from
DISPERSION_SLOPE = -0.3  # of log dispersion on log mean, as within the cell types of pbmc3k
DISPERSION_SD = 1.0  # of log dispersion about that line, likewise
STRUCTURE, CELLS, COUNTS = range(3)
"""Streams of random numbers: programmes and genes are the same however many cells there are."""


@dataclass(frozen=True, eq=False)
class _Structure:
    """What is the same for all cells."""

    baseline: Float[np.ndarray, " genes"]
    """Share of the transcripts without any programme; sums to 1."""
    weights: Float[np.ndarray, "genes programmes"]
    rates: Float[np.ndarray, "types programmes"]
    """Share of the cells of a type that use a programme."""
    abundance: Float[np.ndarray, " types"]
    factors: Float[np.ndarray, "donors genes"]
    """Of batch and donor together."""
    dispersion: Float[np.ndarray, " genes"]


def simulate(options: SimulationOptions | None = None, *, seed: int = 0) -> AnnData:
    """Draw raw counts of cells that use known gene programmes.

    A programme raises some genes, each by its own weight; a cell uses some programmes, each with its own
    activity. All other genes are a background whose expression is log-normal, as that of the programmes'
    genes is without them. Expected counts are the cell's library size times the share of the gene's
    transcripts in it, so that genes also fall where others rise. Counts are negative binomial.

    Parameters
    ----------
    options
        Sizes and difficulty; the default has marginal distributions close to those of pbmc3k.
    seed
        Decides everything. With more cells the programmes stay as they are.

    Returns
    -------
    AnnData with CSR float32 counts in ``X``; ``obsm["programmes"]``: activity of each programme in each cell,
    0 where it is not used; ``varm["programmes"]``: weight of each gene in each programme, the natural
    logarithm of its fold change at activity 1, 0 for genes outside; ``obs``: ``cell_type``, ``batch``,
    ``donor``; ``uns["simulation"]``: seed, options, ``kind`` of each programme (``"identity"``, ``"common"``
    or ``"rare"``) and ``rates``, the share of the cells of each type that use it.

    Raises
    ------
    InputError
        If the seed is negative, or a cell has no counts.
    """
    options = options or SimulationOptions()
    require_at_least("seed", seed, 0)
    structure = _draw_structure(options, np.random.default_rng([seed, STRUCTURE]))
    rng = np.random.default_rng([seed, CELLS])
    types = rng.choice(options.n_cell_types, options.n_cells, p=structure.abundance)
    donors = rng.integers(options.n_donors, size=options.n_cells)
    library = options.library_size * np.exp(options.library_sd * rng.normal(size=options.n_cells))
    activity = _draw_activity(options, structure.rates[types], rng)
    counts = _draw_counts(options, structure, activity, library=library, donors=donors, seed=seed)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical([f"type_{each}" for each in types]),
            "batch": pd.Categorical([f"batch_{each}" for each in donors % options.n_batches]),
            "donor": pd.Categorical([f"donor_{each}" for each in donors]),
        },
        index=[f"cell_{row}" for row in range(options.n_cells)],
    )
    kind = np.repeat(
        np.array(["identity", "common", "rare"]), [options.n_cell_types, options.n_common, options.n_rare]
    )
    return AnnData(
        X=counts,
        obs=obs,
        var=pd.DataFrame(index=[f"gene_{column}" for column in range(options.n_genes)]),
        obsm={PROGRAMMES: activity},
        varm={PROGRAMMES: structure.weights},
        uns={
            "simulation": {"seed": seed, "options": asdict(options), "kind": kind, "rates": structure.rates}
        },
    )


def _draw_structure(options: SimulationOptions, rng: np.random.Generator) -> _Structure:
    weights = np.zeros((options.n_genes, options.n_programmes))
    genes = rng.permutation(options.n_genes)
    size, step = options.genes_per_programme, options.genes_per_programme - options.n_shared_genes
    for programme in range(options.n_programmes):
        own = genes[programme * step : programme * step + size]
        weights[own, programme] = np.log(options.fold_change) * np.exp(WEIGHT_SD * rng.normal(size=size))
    of_batch = options.batch_sd * rng.normal(size=(options.n_batches, options.n_genes))
    of_donor = options.donor_sd * rng.normal(size=(options.n_donors, options.n_genes))
    baseline = _draw_baseline(options, genes[options.n_programme_genes :][: options.n_housekeeping], rng)
    expected = (baseline * options.library_size) ** DISPERSION_SLOPE
    spread = np.exp(DISPERSION_SD * rng.normal(size=options.n_genes))
    abundance = rng.dirichlet(np.full(options.n_cell_types, ABUNDANCE))
    return _Structure(
        baseline=baseline,
        weights=weights,
        rates=_draw_rates(options, abundance, rng),
        abundance=abundance,
        factors=np.exp(of_batch[np.arange(options.n_donors) % options.n_batches] + of_donor),
        dispersion=options.dispersion * expected * spread,
    )


def _draw_baseline(
    options: SimulationOptions, housekeeping: Int[np.ndarray, " some"], rng: np.random.Generator
) -> Float[np.ndarray, " genes"]:
    """Draw the share of each gene in the transcripts of a cell that uses no programme."""
    normal = rng.normal(size=options.n_genes)
    expression = np.exp(options.expression_sd * normal)
    expression[housekeeping] = 0.0
    expression *= (1 - options.housekeeping_transcripts) / expression.sum()
    high = np.exp(HOUSEKEEPING_SD * normal[housekeeping])
    expression[housekeeping] = options.housekeeping_transcripts * high / high.sum()
    return np.asarray(expression)


def _draw_rates(
    options: SimulationOptions, abundance: Float[np.ndarray, " types"], rng: np.random.Generator
) -> Float[np.ndarray, "types programmes"]:
    """Draw how large a share of each cell type uses each programme."""
    rates = np.zeros((options.n_cell_types, options.n_programmes))
    rates[:, : options.n_cell_types] = np.eye(options.n_cell_types)
    common = slice(options.n_cell_types, options.n_cell_types + options.n_common)
    size = (options.n_cell_types, options.n_common)
    mean = options.activity_rate
    drawn = rng.beta(RATE_CONCENTRATION * mean, RATE_CONCENTRATION * (1 - mean), size=size) + LEAST_RATE
    rates[:, common] = np.minimum(drawn * mean / (abundance @ drawn), 1)
    rates[:, common.stop :] = options.rare_rate
    return rates


def _draw_activity(
    options: SimulationOptions, rates: Float[np.ndarray, "cells programmes"], rng: np.random.Generator
) -> Float[np.ndarray, "cells programmes"]:
    """Draw use and activity from one normal variable per programme, correlated within pairs."""
    normal = rng.normal(size=rates.shape)
    first = options.n_cell_types
    for one in range(first, first + options.n_common - 1, 2):
        own = np.sqrt(1 - options.correlation**2) * normal[:, one + 1]
        normal[:, one + 1] = options.correlation * normal[:, one] + own
    unused = norm.sf(normal)  # a cell uses a programme where this is below its rate
    used = unused < rates
    quantile = np.divide(unused, rates, out=np.zeros_like(rates), where=used)
    drawn = gamma.isf(quantile, options.activity_shape, scale=1 / options.activity_shape)
    return np.where(used, drawn, 0.0)


def _draw_counts(
    options: SimulationOptions,
    structure: _Structure,
    activity: Float[np.ndarray, "cells programmes"],
    *,
    library: Float[np.ndarray, " cells"],
    donors: Int[np.ndarray, " cells"],
    seed: int,
) -> Csr:
    """Draw counts a block of cells at a time, each block from its own stream."""
    blocks = []
    for block, start in enumerate(range(0, options.n_cells, BLOCK_ROWS)):
        rows = slice(start, start + BLOCK_ROWS)
        rng = np.random.default_rng([seed, COUNTS, block])
        share = structure.baseline * structure.factors[donors[rows]]
        share *= _raised(options, structure.weights, activity[rows])
        mean = library[rows, None] * share / share.sum(axis=1, keepdims=True)
        if options.dispersion > 0:
            mean *= rng.gamma(1 / structure.dispersion, structure.dispersion, size=mean.shape)
        drawn = rng.poisson(mean)
        if options.dropout > 0:
            drawn[rng.random(mean.shape) < options.dropout / (options.dropout + mean)] = 0
        blocks.append(sp.csr_array(drawn.astype(np.float32)))
    counts = sp.csr_array(sp.vstack(blocks, format="csr"))
    _refuse_empty(counts.sum(axis=1) == 0)
    return counts


def _raised(
    options: SimulationOptions,
    weights: Float[np.ndarray, "genes programmes"],
    activity: Float[np.ndarray, "rows programmes"],
) -> Float[np.ndarray, "rows genes"]:
    """Compute by how much programmes raise each gene."""
    if options.mixing == "additive":
        return np.asarray(1 + activity @ np.expm1(weights).T)
    return np.asarray(np.exp(activity @ weights.T))


def _refuse_empty(empty: Bool[np.ndarray, " cells"]) -> None:
    if empty.any():
        msg = (
            f"{empty.sum():,} of the {len(empty):,} simulated cells have no counts. Raise library_size, or "
            "lower dropout or library_sd."
        )
        raise InputError(msg)
