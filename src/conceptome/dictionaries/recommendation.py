"""Which setting of a sweep to take, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int


def pareto_front(
    *,
    r2: Float[np.ndarray, " settings"],
    l0: Float[np.ndarray, " settings"],
    excess: Float[np.ndarray, " settings"],
) -> Bool[np.ndarray, " settings"]:
    """Tell which settings no other one beats in everything.

    Parameters
    ----------
    r2
        Share of the variance of held-out cells that is kept; more is better.
    l0
        Active concepts per cell; fewer is better.
    excess
        Stability above what it is compared with; more is better.

    Returns
    -------
    True where no other setting is at least as good in all three and better in one.
    """
    scores = np.stack([r2, -l0, excess], axis=1)
    as_good = (scores[:, None] >= scores[None]).all(axis=2)
    better = (scores[:, None] > scores[None]).any(axis=2)
    return np.asarray(~(as_good & better).any(axis=0))


def recommend(settings: pd.DataFrame, trained: pd.DataFrame) -> tuple[int, str]:
    """Choose a setting from the front.

    That one is taken in which concepts that come back with every seed keep most of the variance of held-out
    cells. Settings within one standard error of it count as equal (the error of the mean difference over
    seeds; a seed has the same held-out cells in every setting); of these, the one with fewest active concepts
    per cell is taken, then the one with fewest concepts.

    Only settings take part whose concepts are more stable, by activations, than chance and than concepts of
    a random encoder, by more than the standard deviation over pairs of seeds. If there is none, the variance
    that all concepts keep decides instead, and the reason says so.

    Parameters
    ----------
    settings, trained
        Tables as in `Sweep`.

    Returns
    -------
    position
        Row of `settings`.
    reason
        What is gained, what comes next and what is given up, in sentences.
    """
    on_front = settings["on_front"].to_numpy()
    stable = on_front & (settings["excess"] > settings["activations_sd"].fillna(0)).to_numpy()
    trusted = bool(stable.any()) and bool(trained["r2_recurring"].notna().all())
    rows, score = np.flatnonzero(stable if trusted else on_front), "r2_recurring" if trusted else "r2"
    by_seed = trained[score].to_numpy().reshape(len(settings), -1)
    equal = _within_one_error(by_seed, rows)
    table: list[dict[str, Any]] = settings.to_dict("records")  # type: ignore[assignment]
    chosen = min(equal, key=lambda row: (round(table[row]["l0"], 1), table[row]["n_concepts"]))
    parts = [
        _gained(table[chosen], trusted=trusted),
        _ties([table[row] for row in equal if row != chosen]),
        _next([table[row] for row in rows if row not in equal], score),
        _given_up(table[chosen], max(table, key=lambda row: row["r2"])),
    ]
    return int(chosen), " ".join(part for part in parts if part)


def describe_setting(setting: Mapping[str, Any]) -> str:
    """Name a setting, such as ``24 concepts, 4 active``."""
    return f"{setting['n_concepts']} concepts, {setting['l0']:.3g} active"


def _within_one_error(
    by_seed: Float[np.ndarray, "settings seeds"], rows: Int[np.ndarray, " rows"]
) -> Int[np.ndarray, " equal"]:
    scores = by_seed[rows]
    behind = scores[scores.mean(axis=1).argmax()] - scores
    error = behind.std(axis=1, ddof=1) / np.sqrt(by_seed.shape[1])
    return np.asarray(rows[behind.mean(axis=1) <= error])


def _gained(setting: Mapping[str, Any], *, trusted: bool) -> str:
    name, kept = describe_setting(setting), _share(setting, "r2")
    acts, dirs = (
        f"{setting[by]:.2f} (chance {setting[by + '_null']:.2f}, "
        f"random encoder {setting[by + '_random']:.2f})"
        for by in ("activations", "directions")
    )
    alike = f"activations correlate with those of another seed by {acts}, directions by {dirs}"
    if not trusted:
        return (
            "In no setting of the front are concepts clearly more stable over seeds than those of a random "
            f"encoder: do not rely on single ones. Fidelity alone decides: {name} per cell, keep {kept} of "
            f"the variance of held-out cells; their {alike}."
        )
    return (
        f"{name} per cell: the {setting['recurring_activations']:.1f} concepts that come back with every "
        f"seed keep {_share(setting, 'r2_recurring')} of the variance of held-out cells, all together "
        f"{kept}. Their {alike}."
    )


def _share(setting: Mapping[str, Any], measure: str) -> str:
    return f"{setting[measure]:.1%} (sd {setting[measure + '_sd']:.1%})"


def _ties(others: Sequence[Mapping[str, Any]]) -> str:
    if not others:
        return ""
    return (
        "Within one standard error of the best, and so counted as equal: "
        f"{'; '.join(map(describe_setting, others))}. Of equals the one with fewest active concepts is taken."
    )


def _next(others: Sequence[Mapping[str, Any]], score: str) -> str:
    if not others:
        return ""
    after = max(others, key=lambda row: float(row[score]))
    what = "in concepts that come back" if score == "r2_recurring" else "of the variance"
    return f"Next comes {describe_setting(after)}, with {_share(after, score)} {what}."


def _given_up(chosen: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    if best is chosen:
        return "No other setting keeps more."
    return (
        f"Given up: {describe_setting(best)} keep most, {best['r2']:.1%}, but {best['r2_recurring']:.1%} in "
        f"the {best['recurring_activations']:.1f} concepts that come back."
    )
