"""The part of the page on seeds: how far concepts depend on them, and which do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from conceptome.dictionaries.comparison import By
from conceptome.evaluation import SeedStability
from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.figures import Picture, chart
from conceptome.pipeline.report.rows import ConceptRow
from conceptome.pipeline.report.term_rows import ALPHA
from conceptome.plotting import seeds

MEASURES: dict[By, str] = {
    "directions": "Direction in the embedding (cosine)",
    "activations": "Cells that activate it (correlation)",
}
N_NAMED = 12


@dataclass(frozen=True)
class StabilityLine:
    """One measure of similarity."""

    name: str
    mean: float
    sd: float
    """Over pairs of seeds; NaN for two seeds."""
    null: float
    random_sae: float
    n_clear: int
    """Concepts more similar to their counterparts than chance allows."""
    n_same: int
    """Concepts that every other seed has."""


@dataclass(frozen=True)
class Steadiness:
    """What the page says of seeds."""

    verdict: str
    lines: tuple[StabilityLine, ...]
    returning: tuple[tuple[ConceptRow, float], ...]
    """Concepts that every other seed has, by their cells, and how similar they are in the mean."""
    picture: Picture


def steadiness(contents: ReportContents, rows: Sequence[ConceptRow]) -> Steadiness | None:
    """Prepare the part on seeds.

    Parameters
    ----------
    contents
        What the report shows.
    rows
        All concepts.

    Returns
    -------
    What the page says; None where a single seed was trained.
    """
    record = contents.stability
    if record is None:
        return None
    table = record.of("activations")
    same = table[table["recurrence"] == 1]["stability"].nlargest(N_NAMED)
    by_concept = {row.concept: row for row in rows}
    picture = chart(
        lambda ax: seeds.stability(record, ax=ax),
        alt="Similarity of concepts to their counterparts of other seeds, beside what chance reaches.",
        size=(5.2, 2.2),
        margins=(0.27, 0.03, 0.2, 0.03),
    )
    return Steadiness(
        _verdict(record),
        tuple(_line(record, by) for by in MEASURES),
        tuple(zip([by_concept[concept] for concept in same.index.tolist()], same.tolist(), strict=True)),
        picture,
    )


def _line(record: SeedStability, by: By) -> StabilityLine:
    table, summary = record.of(by), record.summary
    values = summary.loc[summary["by"] == by, ["mean", "sd", "null", "random_sae"]].to_numpy(dtype=float)
    mean, sd, null, random_sae = values[0].tolist()
    return StabilityLine(
        name=MEASURES[by],
        mean=mean,
        sd=sd,
        null=null,
        random_sae=random_sae,
        n_clear=int((table["p"] <= ALPHA).sum()),
        n_same=int((table["recurrence"] == 1).sum()),
    )


def _verdict(record: SeedStability) -> str:
    """Say whether concepts return better than those of autoencoders that have not learned any."""
    summary = record.summary.set_index("by")
    ahead = summary["mean"] - summary["sd"].fillna(0) > summary["random_sae"]
    r2 = np.array(record.r2)
    words = (
        f"The dictionary was trained with {len(r2)} seeds, and the concepts of every two were matched one to "
        f"one. R² over all cells is {r2.mean():.3f} ± {r2.std(ddof=1):.3f}."
    )
    if ahead.all():
        return f"{words} Concepts return better than those of autoencoders whose encoder is random."
    if not ahead.any():
        return (
            f"{words} Taken together, concepts return no better than those of autoencoders whose encoder is "
            "random and has learned nothing: which concepts there are depends on the seed. Rely on the ones "
            "that return, or train fewer concepts (--n-concepts), which usually return more often."
        )
    better = "the cells that activate them" if ahead["activations"] else "their directions"
    other = "their directions" if ahead["activations"] else "the cells that activate them"
    return (
        f"{words} By {better} concepts return better than those of autoencoders whose encoder is random; by "
        f"{other} they do not."
    )
