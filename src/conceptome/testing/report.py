"""Run promises one after another and say in words which are broken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import pandas as pd

from conceptome.core import ConceptomeError, InputError, NotEditableError

Trial = TypeVar("Trial")


@dataclass(frozen=True)
class Promise(Generic[Trial]):
    """Something that is promised, and how to find out."""

    check: Callable[[Trial], Iterator[str]]
    """Yields a sentence for everything that is broken."""
    needs: tuple[str, ...] = ()
    """Promises that this one stands on: when one of them is broken, it is not checked."""


@dataclass(frozen=True)
class ContractReport:
    """What became of every promise."""

    subject: str
    """Who was checked."""
    kept: tuple[str, ...]
    """Names of the promises that hold."""
    failures: Mapping[str, tuple[str, ...]]
    """What is broken, in sentences, by the name of the promise."""
    skipped: Mapping[str, str]
    """Promises that were not checked, and why."""

    def to_frame(self) -> pd.DataFrame:
        """Return one row per promise and sentence: ``promise, outcome, why``."""
        rows = [(name, "kept", "") for name in self.kept]
        rows += [(name, "broken", why) for name, sentences in self.failures.items() for why in sentences]
        rows += [(name, "skipped", why) for name, why in self.skipped.items()]
        return pd.DataFrame(rows, columns=["promise", "outcome", "why"])

    def __str__(self) -> str:
        n_promises = len(self.kept) + len(self.failures)
        if not self.failures:
            return f"{self.subject} keeps all {n_promises} promises that were checked."
        lines = [f"- {name}: {why}" for name, sentences in self.failures.items() for why in sentences]
        return "\n".join([f"{self.subject} breaks {len(self.failures)} of {n_promises} promises:", *lines])


class ContractError(ConceptomeError):
    """An encoder or a dictionary breaks the contract; the message lists everything that is broken.

    Parameters
    ----------
    report
        What became of every promise.
    """

    def __init__(self, report: ContractReport) -> None:
        super().__init__(str(report))
        self.report = report


def run_promises(
    subject: str, promises: Mapping[str, Promise[Trial]], trial: Trial, *, skip: Collection[str]
) -> ContractReport:
    """Try every promise and collect what is broken.

    Parameters
    ----------
    subject
        Who is checked, for the message.
    promises
        Promises by name, in their order.
    trial
        What the checks work on.
    skip
        Names of promises that are not made.

    Returns
    -------
    The report, with nothing broken.

    Raises
    ------
    InputError
        If `skip` names no promise.
    ContractError
        If a promise is broken.
    """
    unknown = sorted(set(skip) - set(promises))
    if unknown:
        msg = f"There is no promise {', '.join(unknown)} to skip. Promises: {', '.join(promises)}."
        raise InputError(msg)
    kept: list[str] = []
    failures: dict[str, tuple[str, ...]] = {}
    skipped = dict.fromkeys(skip, "not promised")
    for name, promise in promises.items():
        broken_needs = [need for need in promise.needs if need in failures]
        if name in skipped:
            continue
        if broken_needs:
            skipped[name] = f"stands on {' and '.join(broken_needs)}"
            continue
        try:
            sentences = tuple(promise.check(trial))
        except NotEditableError as refusal:
            skipped[name] = str(refusal)
            continue
        except Exception as error:  # whatever foreign code raises is part of the answer
            sentences = (f"raised {type(error).__name__}: {error}",)
        if sentences:
            failures[name] = sentences
        else:
            kept.append(name)
    report = ContractReport(subject, tuple(kept), failures, skipped)
    if failures:
        raise ContractError(report)
    return report
