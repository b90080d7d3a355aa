"""Labels of two datasets that mean the same: equal but for case, blanks and plural, or by a user's table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from conceptome.core import InputError


def plain_label(label: str) -> str:
    """Write a label in small letters, with single blanks and without the s of plurals."""
    words = re.sub(r"[\s_]+", " ", label).strip().casefold().split(" ")
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)


def read_label_map(path: Path | str) -> dict[str, str]:
    """Read which labels mean the same.

    Parameters
    ----------
    path
        A table of two columns separated by tabs, without a header: a label, and what to call it.

    Returns
    -------
    New by old name, both as `plain_label` writes them.

    Raises
    ------
    InputError
        If the file is missing, or a line has not two columns or contradicts another.
    """
    if not Path(path).is_file():
        msg = f"There is no table of labels {path}. Write one: a label, a tab, what to call it, one per line."
        raise InputError(msg)
    found: dict[str, str] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) != 2:
            msg = f"{path}, line {number} has {len(parts)} columns, expected a label, a tab and its new name."
            raise InputError(msg)
        old, new = map(plain_label, parts)
        if found.setdefault(old, new) != new:
            msg = (
                f"{path}, line {number} calls {parts[0]!r} {new!r}, an earlier line {found[old]!r}. Keep one."
            )
            raise InputError(msg)
    return found


def common_labels(labels: Mapping[str, pd.Series], mapping: Mapping[str, str]) -> dict[str, pd.Series]:
    """Write labels of several runs so that those that mean the same are equal; missing ones stay missing.

    Parameters
    ----------
    labels
        Of the concepts, by run.
    mapping
        See `read_label_map`.

    Returns
    -------
    The same, each label as the first run spells it that has it.
    """
    present = {run: each.where(each.notna() & (each != ""), None) for run, each in labels.items()}
    spelled: dict[str, str] = {}
    for each in present.values():
        for label in each.dropna():
            spelled.setdefault(plain_label(label), label)

    def common(label: str | None) -> str | None:
        if not isinstance(label, str):
            return None
        plain = mapping.get(plain_label(label), plain_label(label))
        return spelled.get(plain, plain)

    return {run: each.map(common) for run, each in present.items()}


def unshared_labels(a: Iterable[str | None], b: Iterable[str | None]) -> tuple[list[str], list[str]]:
    """List the labels that only one side has, sorted."""
    first, second = ({label for label in side if isinstance(label, str)} for side in (a, b))
    return sorted(first - second), sorted(second - first)
