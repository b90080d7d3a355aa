"""What a run is told: one frozen class that is the command line's options and the TOML file's keys alike."""

from __future__ import annotations

import ast
import inspect
import textwrap
import tomllib
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import tomli_w

from conceptome.core import InputError, require_at_least, require_choice
from conceptome.pipeline.folder import CONFIG, RunFolder

DEMO = "demo"


@dataclass(frozen=True)
class RunConfig:
    """Settings of a run. A field's type and documentation make its command-line option.

    Raises
    ------
    InputError
        If a value is outside its range or not one of the choices.
    """

    data: str
    """An .h5ad file with raw counts, or "demo" for the 700 immune cells that come with scanpy."""
    out: str
    """Run folder to write, or to continue."""
    encoder: str = "scvi"
    """scvi or linear (fitted here), scgpt:DIR, geneformer:DIR or scvi:DIR (published or saved), obsm:KEY
    (precomputed), a plug-in."""
    encoder_options: tuple[str, ...] = ()
    """Options of the encoder as NAME=VALUE, such as layer=6 or pooling=average."""
    gene_table: str | None = None
    """Table of symbols and Ensembl ids, for data that hold only one of them: a .csv, .tsv or .txt, or hgnc
    (after: conceptome data fetch hgnc)."""
    gene_sets: tuple[str, ...] = ("immune-starter",)
    """Names of collections, shipped or fetched, or files (GMT, GMX, MSigDB's JSON; GAF with --ontology), to
    name concepts with."""
    ontology: str | None = None
    """OBO file of the gene sets' ontology, such as go-basic.obo: findings are then grouped into themes by
    meaning, not by the genes they share."""
    label_key: tuple[str, ...] = ()
    """Columns of obs with labels to compare concepts with, such as cell_type."""
    batch_key: str | None = None
    """Column of obs with the batch that a fitted scvi accounts for."""
    donor_key: str | None = None
    """Column of obs with the donor; whole donors are held out where cells are split."""
    layer: str | None = None
    """Layer with the raw counts; found by itself when left out."""
    n_concepts: int | None = None
    """Size of the dictionary (default: min(512, 8 d_embed, n_train / 10), at least 2 k)."""
    k: int | None = None
    """Concepts that a cell may activate (default: d_embed / 2, between 2 and 16)."""
    n_seeds: int = 1
    """Dictionaries trained, each with its own seed; the further ones tell how stable concepts are."""
    evaluation: Literal["quick", "full"] = "quick"
    """Measure one seed beside baselines; or several seeds, with a random-weight encoder as a further control
    (conceptome evaluate RUN)."""
    evaluation_seeds: int = 3
    """Seeds of a full evaluation."""
    evaluation_genes: Literal["auto", "yes", "no"] = "auto"
    """Whether a full evaluation tests genes and gene sets of all dictionaries; auto does so but for scgpt and
    geneformer, which take a pass through the whole network for every edited gene."""
    n_pairs: int = 64
    """Counterfactual pairs per concept."""
    n_counterfactuals: int = 1
    """Counterfactuals per factual; their effects are averaged."""
    match_on: tuple[str, ...] = ()
    """Columns of obs in which a counterfactual must equal its factual, such as donor."""
    caliper: float | None = None
    """Largest allowed |log ratio| of library sizes within a pair."""
    sampling: Literal["stratified", "top"] = "stratified"
    """Draw factuals evenly over strata of equal total activation, or take the strongest."""
    contrast: Literal["absent", "inactive"] = "absent"
    """Counterfactuals lack the concept in their pre-activation too, or are merely inactive [Claye25]."""
    pairing: Literal["distinct", "nearest"] = "distinct"
    """Every counterfactual serves one factual, or each factual takes its nearest [Claye25]."""
    min_pairs: int = 8
    """Concepts with fewer pairs are reported as not attributable."""
    intervention: Literal["substitute", "insert", "mask", "mean", "integrated_gradients", "gradient"] = (
        "substitute"
    )
    """Give the factual the counterfactual's value of a gene, or the reverse (insert); set the gene to zero or
    to its mean (no null floor then, so no drivers); or take gradients instead of edits."""
    aggregate: Literal["relative", "pre"] = "relative"
    """Attribution as share of the activation, or as mean change of the pre-activation."""
    prescreen: int | None = None
    """Estimate the effects of all genes of a pair and measure no more than so many, the largest (scgpt alone;
    default: measure all)."""
    enrichment_method: Literal["gsea", "ulm", "ora"] = "gsea"
    """Preranked GSEA; univariate linear models (fast, no permutations); or over-representation among the
    genes that drive a concept, and for comparison among those with q <= 0.05 that are higher in it."""
    rank_by: Literal["z", "attribution"] = "z"
    """Rank genes for gsea and ulm by attribution / standard error, or by the attribution itself."""
    min_size: int = 10
    """Smallest term tested, in genes that were measured."""
    max_size: int = 500
    """Largest term tested, in genes that were measured."""
    n_permutations: int = 1000
    """Gene permutations of the enrichment null (gsea alone)."""
    seed: int = 0
    """Seed of every random choice."""
    batch_size: int = 4096
    """Edited cells encoded at a time; changes memory and speed, never a result."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device that fits and runs models."""
    workers: int = 1
    """Processes that share the concepts of an attribution; changes speed, never a result."""
    dask: str | None = None
    """Address of a Dask scheduler whose workers share them instead, such as tcp://10.0.0.5:8786."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None:
                require_at_least(name, value, least)
        for name, choices in _choices().items():
            require_choice(name, getattr(self, name), choices)
        if self.seed >= 2**32:
            msg = f"seed is {self.seed}, expected less than 2**32."
            raise InputError(msg)
        if self.caliper is not None and not self.caliper > 0:
            msg = (
                f"caliper is {self.caliper}, expected a difference of log library size above 0, such as 0.5."
            )
            raise InputError(msg)
        if self.min_pairs > self.n_pairs:
            msg = f"n_pairs is {self.n_pairs} and min_pairs {self.min_pairs}: no concept could have enough."
            raise InputError(msg)
        if self.dask is not None and self.workers > 1:
            msg = f"workers is {self.workers} and dask {self.dask}: leave out one of them."
            raise InputError(msg)
        if self.k is not None and self.n_concepts is not None and self.k > self.n_concepts:
            msg = (
                f"k is {self.k} and n_concepts {self.n_concepts}: a cell cannot activate more than there are."
            )
            raise InputError(msg)
        if self.min_size > self.max_size:
            msg = f"min_size is {self.min_size} and max_size {self.max_size}: no term can lie between them."
            raise InputError(msg)

    def to_toml(self) -> str:
        """Return the settings as TOML; keys at their default of none are left out."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return tomli_w.dumps({k: list(v) if isinstance(v, tuple) else v for k, v in values.items()})


_WORKERS = {"workers", "dask"}
"""Settings of which one at most is given."""

_LEAST = {
    "n_concepts": 2,
    "k": 1,
    "n_seeds": 1,
    "evaluation_seeds": 2,
    "n_pairs": 1,
    "n_counterfactuals": 1,
    "prescreen": 1,
    "min_pairs": 2,
    "min_size": 1,
    "max_size": 1,
    "n_permutations": 100,
    "seed": 0,
    "batch_size": 1,
    "workers": 1,
}


@cache
def _choices() -> dict[str, tuple[str, ...]]:
    hints = get_type_hints(RunConfig)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


@cache
def field_documentation() -> dict[str, str]:
    """Read the documentation under each field of `RunConfig` from its source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(RunConfig))).body[0]
    documentation = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in pairwise(statements):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
        ):
            documentation[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return documentation


def build_config(options: dict[str, Any], *, toml: Path | None = None) -> RunConfig:
    """Join a TOML file and explicit options; explicit options win, and workers of either kind replace others.

    Parameters
    ----------
    options
        Values by field name.
    toml
        File with further values under the same names.

    Raises
    ------
    InputError
        If the file is missing or no TOML, a key is unknown, or a value has the wrong type.
    """
    values = _read_toml(toml) if toml else {}
    if options.keys() & _WORKERS:  # who did the work last time does not share it with those asked for now
        values = {name: value for name, value in values.items() if name not in _WORKERS}
    values |= options
    known = {field.name for field in fields(RunConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        msg = f"Unknown settings {', '.join(unknown)}. Known are {', '.join(sorted(known))}."
        raise InputError(msg)
    missing = [name for name in ("data", "out") if name not in values]
    if missing:
        msg = (
            f"Missing: {' and '.join(missing)}. Give DATA.h5ad first, then the options, on the command line; "
            "or set them in the TOML file."
        )
        raise InputError(msg)
    return RunConfig(**{name: _converted(name, value) for name, value in values.items()})


def config_of(path: Path | str, given: dict[str, Any]) -> RunConfig:
    """Read the settings of a run, with some changed.

    Parameters
    ----------
    path
        The run folder.
    given
        Settings that change.

    Raises
    ------
    BundleError
        If it is no run folder.
    InputError
        If a setting is wrong.
    """
    RunFolder.existing(path)
    return build_config({**given, "out": str(path)}, toml=Path(path) / CONFIG)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"The configuration {path} cannot be read ({error.strerror}). Check the path."
        raise InputError(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"The configuration {path} is not valid TOML: {error}."
        raise InputError(msg) from None


def _converted(name: str, value: Any) -> Any:  # noqa: ANN401 - a TOML value may be anything
    hint = get_type_hints(RunConfig)[name]
    kinds = get_args(hint) or (hint,)
    if get_origin(hint) is Literal:
        require_choice(name, value, _choices()[name])
        return value
    if get_origin(hint) is tuple:
        value = (value,) if isinstance(value, str) else value
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif not isinstance(value, bool):
        if float in kinds and isinstance(value, int):
            return float(value)
        if isinstance(value, kinds):
            return value
    expected = "a list of texts" if get_origin(hint) is tuple else " or ".join(_plain(kind) for kind in kinds)
    msg = f"{name} is {value!r}, expected {expected}."
    raise InputError(msg)


def _plain(kind: type) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", type(None): "nothing"}
    return names.get(kind, str(kind))
