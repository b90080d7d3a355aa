"""Terms made of ribosomal or mitochondrial genes: found often, and seldom owed to the concept.

Genes of the ribosome and of the respiratory chain are expressed together and highly in all cells. What moves
one of them, such as a cell's quality or size, moves them all, which gene permutation does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Int

FLAGS = ("ribosomal", "mitochondrial")
PATTERNS = (
    r"RP[LS](P?\d+[AXYL]{0,2}\d*|A\d?)",
    # encoded in the mitochondrion, its ribosome, and the complexes of the respiratory chain
    r"MT-.+|MRP[LS]\d+[A-C]?|NDUF([ABCSV]\d+|AB1)|SDH[A-D]|UQCR.+|CYC[1S]|COX[4-8][ABCI][12]?L?|ATP5.+",
)
COPY = r"(\.\d+)?"  # what makes a repeated name unique
LEAST_SHARE = 0.3
"""Hallmark's oxidative phosphorylation holds a third of such genes, ribosome assembly of GO 40%; sets about
other things hold fewer than 30%, but for some that owe their findings to these genes all the same."""
ALPHA = 0.05


def gene_kinds(symbols: Iterable[str]) -> Int[np.ndarray, " genes"]:
    """Tell ribosomal and mitochondrial genes by their symbols, human or mouse.

    Parameters
    ----------
    symbols
        Of the genes.

    Returns
    -------
    0 = neither, otherwise 1 + the position in `FLAGS`.
    """
    compiled = [re.compile(f"({pattern}){COPY}", re.IGNORECASE) for pattern in PATTERNS]
    kinds = [[bool(pattern.fullmatch(symbol)) for pattern in compiled] for symbol in symbols]
    found = np.array(kinds, dtype=np.int64).reshape(-1, len(FLAGS))
    return np.asarray(found @ np.arange(1, len(FLAGS) + 1))


def flag_of(kinds: Int[np.ndarray, " _hits"]) -> str:
    """Say whether a term is made of such genes.

    Parameters
    ----------
    kinds
        Of the term's genes, see `gene_kinds`.

    Returns
    -------
    The more frequent of `FLAGS` if both together hold `LEAST_SHARE` of the genes or more; otherwise empty.
    """
    counts = np.bincount(kinds, minlength=len(FLAGS) + 1)[1:]
    return FLAGS[int(counts.argmax())] if counts.sum() >= LEAST_SHARE * len(kinds) else ""


def suspect_flags(calibration: pd.DataFrame) -> frozenset[str]:
    """Say which flagged terms are called too often where there is nothing to find.

    Parameters
    ----------
    calibration
        Of an `Enrichment`.

    Returns
    -------
    The flags whose rate of p <= 0.05 is above 5%, its whole interval included, under any control.
    """
    if calibration.empty:
        return frozenset()
    rows = calibration[(calibration["flag"] != "") & np.isclose(calibration["alpha"], ALPHA)]
    return frozenset(rows.loc[rows["ci_low"] > ALPHA, "flag"])
