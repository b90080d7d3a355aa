"""What a comparison of runs comes to: labels that agree, concepts that come back, and a text that says so."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from conceptome.data.wording import some
from conceptome.evaluation.label_names import unshared_labels

ALPHA = 0.05
HALF = 0.5
N_SHOWN = 10


def label_agreement(pairs: pd.DataFrame, *, n_null: int, seed: int) -> pd.DataFrame:
    """Compare how often matched concepts have the same label with labels permuted among the pairs.

    Parameters
    ----------
    pairs
        See ``RunComparison.pairs``.
    n_null
        Permutations.
    seed
        Decides them.

    Returns
    -------
    Rows of ``RunComparison.summary``; none for runs without labels.
    """
    own = pairs[(pairs["measure"] == pairs["matched_by"]) & pairs["same_label"].notna()]
    rows = []
    for (run_a, run_b, by), group in own.groupby(["run_a", "run_b", "matched_by"], sort=False):
        rng = np.random.default_rng(seed)
        a, b = (group[f"label_{side}"].to_numpy(dtype=object) for side in "ab")
        share = float((a == b).mean())
        null = np.array([(a == rng.permutation(b)).mean() for _ in range(n_null)])
        p = (1 + int((null >= share).sum())) / (1 + n_null)
        row = {"run_a": run_a, "run_b": run_b, "matched_by": by, "measure": "labels", "n_pairs": len(group)}
        rows.append(row | {"similarity": share, "null": float(null.mean()), "p": p})
    return pd.DataFrame(rows)


def consensus_concepts(
    pairs: pd.DataFrame, labels: Mapping[str, pd.Series | None], *, star: bool
) -> pd.DataFrame:
    """List the concepts that come back in at least half of the runs they were compared with.

    A concept comes back in a run when the pair that any measure gives it there is above that measure's
    chance: q <= 0.05, corrected once more for the number of measures.

    Parameters
    ----------
    pairs
        See ``RunComparison.pairs``.
    labels
        Best label of each concept, by run, in the order of the runs.
    star
        Follow the concepts of the first run only, or those of every run.

    Returns
    -------
    See ``RunComparison.consensus``; the most recurrent first.
    """
    own = pairs[pairs["measure"] == pairs["matched_by"]]
    n_measures = own.groupby(["run_a", "run_b"])["measure"].transform("nunique")
    back = own[own["q"] * n_measures <= ALPHA]
    runs = list(labels)
    rows = []
    for run in runs[:1] if star else runs:
        sides = [
            back.rename(columns={f"concept_{x}": "concept", f"run_{y}": "other", f"concept_{y}": "there"})[
                (back[f"run_{x}"] == run).to_numpy()
            ][["concept", "other", "there", "measure"]]
            for x, y in ("ab", "ba")
        ]
        for concept, group in pd.concat(sides).groupby("concept"):
            known = labels[run]
            row = {
                "run": run,
                "concept": concept,
                "label": None if known is None else known.get(concept),
            }
            row["recurrence"] = group["other"].nunique() / (len(runs) - 1)
            for other, found in group.groupby("other"):
                row[f"in_{other}"] = ", ".join(
                    f"{there} ({' and '.join(each['measure'])})" for there, each in found.groupby("there")
                )
            rows.append(row)
    columns = ["run", "concept", "label", "recurrence", *(f"in_{run}" for run in runs)]
    table = pd.DataFrame(rows, columns=[name for name in columns if not (star and name == f"in_{runs[0]}")])
    table = table[table["recurrence"] >= HALF]
    return table.sort_values("recurrence", ascending=False, kind="stable", ignore_index=True)


def describe_comparison(
    summary: pd.DataFrame,
    refused: pd.DataFrame,
    notes: Mapping[tuple[str, str], tuple[str, ...]],
    labels: Mapping[str, pd.Series],
    consensus: pd.DataFrame,
) -> str:
    """Say in a few lines what a comparison found.

    Parameters
    ----------
    summary, refused, consensus
        See `RunComparison`.
    notes
        What the measures rest on, by pair of runs.
    labels
        Labels of the concepts, by run.

    Returns
    -------
    Lines of text.
    """
    lines = []
    for (a, b), group in summary.groupby(["run_a", "run_b"], sort=False):
        lines += [f"{a} and {b}", *(f"  {note}" for note in notes[str(a), str(b)])]
        lines += [f"  {_sentence(row)}" for row in group.to_dict("records")]
        gone = refused[(refused["run_a"] == a) & (refused["run_b"] == b)]
        lines += [f"  Not by {row['measure']}: {row['reason']}." for row in gone.to_dict("records")]
        if a in labels and b in labels:
            only_a, only_b = unshared_labels(labels[str(a)], labels[str(b)])
            if only_a or only_b:
                first, second = (some(only) if only else "none" for only in (only_a, only_b))
                sides = f"only in the first: {first}; only in the second: {second}"
                lines.append(
                    f"  Labels without a counterpart, {sides}. --labels FILE says which mean the same."
                )
    lines.append(f"{len(consensus)} concepts come back in at least half of the runs, above chance.")
    for row in consensus.head(N_SHOWN).to_dict("records"):
        label = f" {row['label']}" if isinstance(row["label"], str) else ""
        places = [row[name] for name in consensus if str(name).startswith("in_")]
        found = [place for place in places if isinstance(place, str)]
        lines.append(f"  {row['concept']:>4}{label}: {'; '.join(found)}")
    return "\n".join(lines)


def _sentence(row: Mapping[Hashable, Any]) -> str:
    """Say what one measure finds in one matching."""
    who = f"Matched by {row['matched_by']}" if row["measure"] == row["matched_by"] else "  there"
    found = f"{row['measure']} {row['similarity']:.3f} in {row['n_pairs']} pairs, chance {row['null']:.3f}"
    above = row["n_above"]
    pairs = f", {above:.0f} pairs above chance" if pd.notna(above) else ""
    return f"{who}: {found} (p {row['p']:.2g}){pairs}."
