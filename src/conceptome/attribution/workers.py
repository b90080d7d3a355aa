"""Where concepts are attributed: in this process, in several on this machine, or on a Dask cluster.

Concepts are independent of each other and each draws its own random numbers, so that the result is the same
to the bit wherever and in whatever order they are computed.
"""

from __future__ import annotations

import threading
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from conceptome.core import InputError, require_at_least, require_extra

T = TypeVar("T")
CONNECT_SECONDS = 10
RETRIES = 3
_ONE_AT_A_TIME = threading.Lock()
_FUNCTIONS: dict[str, Any] = {}
"""What this process computes, by the name of the call."""


@runtime_checkable
class Workers(Protocol):
    """Computes a function of many items."""

    def map(self, function: Callable[[int], T], items: Sequence[int]) -> Iterator[tuple[int, T]]:
        """Yield each item with its result, as they are finished."""
        ...


@dataclass(frozen=True)
class Serial:
    """One after the other, in this process."""

    def map(self, function: Callable[[int], T], items: Sequence[int]) -> Iterator[tuple[int, T]]:
        """Yield each item with its result, in order."""
        for item in items:
            yield item, function(item)


@dataclass(frozen=True)
class LocalWorkers:
    """Several processes on this machine.

    Raises
    ------
    InputError
        If there is not at least one.
    """

    n_workers: int

    def __post_init__(self) -> None:
        require_at_least("n_workers", self.n_workers, 1)

    def map(self, function: Callable[[int], T], items: Sequence[int]) -> Iterator[tuple[int, T]]:
        """Yield each item with its result, as they are finished; large arrays are shared by memory maps."""
        from joblib import Parallel, delayed

        if not items:
            return
        n_jobs, name = min(self.n_workers, len(items)), uuid.uuid4().hex
        with Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1) as pool:
            yield from pool(delayed(_with_first)(name, function, item) for item in items)


@dataclass(frozen=True)
class DaskWorkers:
    """The workers of a Dask cluster, such as ``dask-jobqueue`` starts on SLURM.

    A worker that is lost is replaced: what it was computing is computed again elsewhere. Each worker computes
    one concept at a time, however many threads it has.
    """

    address: str
    """Of the scheduler, such as ``tcp://10.0.0.5:8786``, or the path of its file."""

    def map(self, function: Callable[[int], T], items: Sequence[int]) -> Iterator[tuple[int, T]]:
        """Yield each item with its result, as they are finished.

        Raises
        ------
        MissingExtraError
            If Dask is not installed.
        InputError
            If no scheduler answers, the cluster has no worker, or workers die again and again.
        """
        distributed = require_extra("distributed", "dask")
        with self._client(distributed) as client:
            with warnings.catch_warnings():  # of its size: cells and model are large, and sent once
                warnings.filterwarnings("ignore", message="Sending large graph")
                shared = client.submit(_itself, function, pure=False)
            futures = [client.submit(_with_item, shared, item, pure=False, retries=RETRIES) for item in items]
            try:
                for future in distributed.as_completed(futures):
                    result = future.result()
                    future.release()
                    yield result
            except (distributed.KilledWorker, distributed.CancelledError) as error:
                msg = (
                    f"The cluster at {self.address} lost its workers again and again ({error}). Finished "
                    "concepts are kept; give workers more memory or time, and run the same command again."
                )
                raise InputError(msg) from None

    def _client(self, distributed: Any) -> Any:  # noqa: ANN401 - an optional package
        try:
            if self.address.startswith(("tcp://", "tls://", "ucx://", "inproc://")) or ":" in self.address:
                client = distributed.Client(self.address, timeout=CONNECT_SECONDS)
            else:
                client = distributed.Client(scheduler_file=self.address, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            msg = (
                f"No Dask scheduler answers at {self.address} ({error}). Start one (dask scheduler), give "
                "its address, such as tcp://10.0.0.5:8786, or the path of its scheduler file."
            )
            raise InputError(msg) from None
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            client.close()
            msg = f"The Dask cluster at {self.address} has no worker. Start some: dask worker {self.address}."
            raise InputError(msg) from None
        return client


def _itself(function: Callable[[int], T]) -> Callable[[int], T]:
    """Return what it is given: as the result of a task it is made again where its holder is lost."""
    return function


def _with_item(function: Callable[[int], T], item: int) -> tuple[int, T]:
    """Compute one item at a time in a process: its threads share the function's memory and BLAS limits."""
    with _ONE_AT_A_TIME:
        return item, function(item)


def _with_first(name: str, function: Callable[[int], T], item: int) -> tuple[int, T]:
    """Compute with the copy of the function that came to this process first, for what it remembers."""
    if name not in _FUNCTIONS:
        _FUNCTIONS.clear()
        _FUNCTIONS[name] = function
    return _with_item(_FUNCTIONS[name], item)
