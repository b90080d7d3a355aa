"""Find and read the dictionaries that belong to a Geneformer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

from conceptome.core import CheckpointError
from conceptome.data.wording import some
from conceptome.encoders.checkpoint import read_dictionary
from conceptome.encoders.geneformer_vocabulary import CLS, EOS, GeneformerVocabulary

T = TypeVar("T", int, float, str)

TOKENS = "token_dictionary"
MEDIANS = "gene_median_dictionary"
MAPPING = "ensembl_mapping_dict"
SYMBOLS = "gene_name_id_dict"
SUFFIXES = (".pkl", ".json")
INSIDE, BESIDE = ("", "*/"), ("", "*/", "geneformer/*/")
"""Where they are looked for in the model's folder, then in the one around it."""


def find_vocabulary(folder: Path, *, n_tokens: int) -> GeneformerVocabulary:
    """Find the dictionaries of a model.

    Parameters
    ----------
    folder
        Folder of the model. They are looked for in it and its subfolders, then beside it, in the folders
        beside it and in ``../geneformer/*``, where V1's are published.
    n_tokens
        Tokens of the network; dictionaries of other models have another number.

    Returns
    -------
    The dictionaries of one folder whose names end alike; without a mapping every id stands for itself. As in
    the original, an id that is mapped to no id (None, NaN) is not read.

    Raises
    ------
    CheckpointError
        If there are none that fit or several, or a file is damaged or unsafe.
    """
    seen: dict[Path, int] = {}
    home = folder.resolve()
    for base, places in ((home, INSIDE), (home.parent, BESIDE)):
        patterns = [f"{place}{TOKENS}*{suffix}" for place in places for suffix in SUFFIXES]
        paths = sorted(path for pattern in patterns for path in base.glob(pattern))
        found = {path: read_dictionary(path) for path in paths}
        seen |= {path: len(tokens) for path, tokens in found.items()}
        fitting = [path for path, tokens in found.items() if len(tokens) == n_tokens]
        if len(fitting) > 1:
            msg = (
                f"Several token dictionaries have the {n_tokens:,} tokens of {folder}: {some(fitting)}. Copy "
                "the dictionaries that were published with the model into its folder."
            )
            raise CheckpointError(msg)
        if fitting:
            return _read(fitting[0], found[fitting[0]], n_tokens)
    listed = some(f"{path} with {n:,}" for path, n in seen.items())
    msg = (
        f"{folder} asks for {n_tokens:,} tokens, but no token dictionary near it has as many (found: "
        f"{listed}). Copy {TOKENS}*, {MEDIANS}* and {MAPPING}* of this model into it."
    )
    raise CheckpointError(msg)


def require_vocabulary(source: Path, vocabulary: GeneformerVocabulary, *, n_tokens: int) -> None:
    """Refuse dictionaries that do not fit the network or each other.

    Parameters
    ----------
    source
        File, for the message.
    vocabulary
        The dictionaries.
    n_tokens
        Tokens of the network.

    Raises
    ------
    CheckpointError
        If the tokens are not the network's, or no gene has both a token and a median.
    """
    tokens = vocabulary.tokens
    if set(tokens.values()) != set(range(n_tokens)) or len(tokens) != n_tokens:
        msg = (
            f"{source} does not number its {len(tokens):,} tokens from 0 to {n_tokens - 1:,}, each "
            "once, as the network does. Take the dictionaries published with the model."
        )
        raise CheckpointError(msg)
    if (CLS in tokens) != (EOS in tokens) or tokens.get("<pad>") != 0:
        msg = f"{source} needs '<pad>' with the number 0, and {CLS!r} and {EOS!r} together or not at all."
        raise CheckpointError(msg)
    wrong = [gene for gene, median in vocabulary.medians.items() if not 0.0 < median < math.inf]
    if wrong:
        msg = f"{source}: the medians of {some(wrong)} are not above 0. Take the dictionaries as published."
        raise CheckpointError(msg)
    if not len(vocabulary.genes):
        msg = f"{source}: no gene has both a token and a median. Take dictionaries of one model."
        raise CheckpointError(msg)


def _read(file: Path, tokens: dict[str, Any], n_tokens: int) -> GeneformerVocabulary:
    medians = _beside(file, MEDIANS, float)
    if medians is None:
        name = MEDIANS + file.stem.removeprefix(TOKENS)
        msg = f"{file} needs {name} (.pkl or .json) beside it. Copy it there."
        raise CheckpointError(msg)
    vocabulary = GeneformerVocabulary(
        _of_kind(file, tokens, int), medians, _beside(file, MAPPING, str), _beside(file, SYMBOLS, str)
    )
    require_vocabulary(file, vocabulary, n_tokens=n_tokens)
    return vocabulary


def _beside(file: Path, name: str, kind: type[T]) -> dict[str, T] | None:
    """Read the dictionary whose name ends like that of the tokens; None if there is none."""
    ending = file.stem.removeprefix(TOKENS)
    paths = [file.parent / f"{name}{ending}{suffix}" for suffix in SUFFIXES]
    found = [path for path in paths if path.is_file()]
    if len(found) > 1:
        msg = f"{file.parent} holds both {found[0].name} and {found[1].name}. Keep one of them."
        raise CheckpointError(msg)
    return _of_kind(found[0], read_dictionary(found[0]), kind) if found else None


def _of_kind(file: Path, table: dict[str, Any], kind: type[T]) -> dict[str, T]:
    if kind is str:  # an id that maps to nothing
        return {key: value for key, value in table.items() if isinstance(value, str)}
    allowed = (int, float) if kind is float else kind
    wrong = [key for key, value in table.items() if not isinstance(value, allowed)]
    if wrong:
        msg = f"{file} should hold {kind.__name__} only, but not so for {some(wrong)}. Take it as published."
        raise CheckpointError(msg)
    return table
