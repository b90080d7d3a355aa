"""What a run folder holds, in a few lines for a person."""

from __future__ import annotations

import shlex
from pathlib import Path

from conceptome.core import BundleError, InputError, require_at_least
from conceptome.pipeline import storage
from conceptome.pipeline.folder import RunFolder
from conceptome.pipeline.stages import STAGES

SHOWN = ("attribution", "ci_low", "ci_high", "n_differing", "q", "drives")


def describe_run(path: Path | str) -> str:
    """Tell what a run folder is, which stages are finished and what to do next.

    Parameters
    ----------
    path
        The run folder.

    Returns
    -------
    Several lines of text.

    Raises
    ------
    BundleError
        If it is no run folder, or a damaged one.
    """
    folder = RunFolder.existing(path)
    manifest = folder.manifest
    data = manifest.get("input", {})
    done = {name: folder.is_done(name, entry["digest"]) for name, entry in manifest["stages"].items()}
    lines = [
        f"{path}: run on {data.get('name')} ({data.get('n_cells'):,} cells x {data.get('n_genes'):,} genes), "
        f"encoder {manifest['config']['encoder']}, Conceptome {manifest['versions']['conceptome']}"
    ]
    for stage in STAGES:
        entry = manifest["stages"].get(stage.name)
        if entry is None:
            state = "not done"
        elif not done[stage.name]:
            state = "damaged: its files are not what it wrote"
        else:
            state = f"{entry['message']} ({entry['seconds']:.1f} s)"
        lines.append(f"  {stage.name:<10} {state}")
    lines.extend(_concept_lines(folder))
    complete = all(done.get(stage.name, False) for stage in STAGES)
    again = f"Next: continue with the same command: {manifest['command']}"
    lines.append(f"Next: open {folder.path / 'report.html'}" if complete else again)
    return "\n".join(lines)


def describe_drivers(
    path: Path | str, *, concept: int | None = None, gene: str | None = None, n: int = 20
) -> str:
    """Show the genes of a concept, or the concepts of a gene, the strongest first.

    Parameters
    ----------
    path
        The run folder.
    concept
        A concept, or
    gene
        a gene, as the data name it.
    n
        Rows.

    Returns
    -------
    A table as text.

    Raises
    ------
    BundleError
        If it is no run folder, or nothing was attributed in it.
    InputError
        If both or none of them is given, or there is no such concept or gene.
    """
    folder = RunFolder.existing(path)
    if (concept is None) == (gene is None):
        msg = "Ask for the genes of one concept (--concept 3) or for the concepts of one gene (--gene CD14)."
        raise InputError(msg)
    require_at_least("n", n, 1)
    if "attributions.parquet" not in folder.manifest["stages"].get("attribute", {}).get("files", {}):
        msg = f"{path} has no attributions. Make them with: conceptome attribute {shlex.quote(str(path))}"
        raise BundleError(msg)
    record = storage.load_attributions(folder.path)
    table = record.genes_of(concept, n=n) if concept is not None else record.concepts_of(str(gene), n=n)
    about = f"genes of concept {concept}" if concept is not None else f"concepts of {gene}"
    if table.empty:
        why = record.status[record.concepts == concept][0] if concept is not None else "it was never measured"
        return f"There are no {about}: {why}."
    shown = table[[table.columns[0], *SHOWN]].rename(columns={"n_differing": "pairs"})
    text = shown.to_string(index=False, float_format=lambda value: f"{value:.3g}")
    return f"The strongest {about} ({record.intervention}, {record.aggregate}):\n{text}"


def _concept_lines(folder: RunFolder) -> list[str]:
    if "summarise" not in folder.manifest["stages"]:
        return []
    table, _ = storage.read_table(folder.path / "concepts.parquet")
    labelled = table.dropna(subset=["best_label"]).sort_values("best_label_f1", ascending=False)
    best = labelled.drop_duplicates("best_label").head(12)
    lines = ["  The best concept for each label:"] if len(best) else []
    for row in best.to_dict("records"):
        genes = ", ".join(row["top_genes"].split(";")[:6]) or "no driving genes"
        lines.append(f"    {row['concept']:>4}  {row['best_label']} (F1 {row['best_label_f1']:.2f}): {genes}")
    return lines
