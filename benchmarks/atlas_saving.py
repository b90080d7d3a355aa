"""What `atlas_server.py` measures of saving: many people at once, and a server that is killed."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np

HEADERS = {"X-Conceptome": "1", "Content-Type": "application/json"}


def save(address: str, concept: int, key: str) -> float:
    """Save once; seconds until the server says that it is kept."""
    body = {"concept": concept, "author": "rater", "label": "a reading", "notes": "why " * 50, "key": key}
    start = time.perf_counter()
    request = urllib.request.Request(f"{address}annotations", json.dumps(body).encode(), HEADERS)
    with urllib.request.urlopen(request) as answer:
        answer.read()
    return time.perf_counter() - start


def at_once(work: Callable[[int], None], n: int) -> None:
    """Do the same in many threads that begin together."""
    gate = threading.Barrier(n)

    def begin(who: int) -> None:
        gate.wait()
        work(who)

    threads = [threading.Thread(target=begin, args=(who,)) for who in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def writers(address: str, n_writers: int = 20, n_saves: int = 10) -> dict[str, float]:
    """Let people save at the same moment, each about concepts of their own."""
    times: list[float] = []

    def write(who: int) -> None:
        for number in range(n_saves):
            times.append(save(address, who * n_saves + number, f"writer-{who:04d}-{number:04d}"))

    at_once(write, n_writers)
    milliseconds = np.array(times) * 1e3
    return {
        "writers": n_writers,
        "saves": len(times),
        "p50_ms": round(float(np.median(milliseconds)), 1),
        "p95_ms": round(float(np.quantile(milliseconds, 0.95)), 1),
    }


def killed(server: subprocess.Popen[bytes], address: str, saved: Path, n_writers: int = 20) -> dict[str, int]:
    """Kill a server while people save; count what it had called kept, and what of that is not in the file."""
    kept: set[str] = set()

    def write(who: int) -> None:
        for number in range(1000):
            key = f"killed-{who:04d}-{number:04d}"
            try:
                save(address, 1000 + who * 100 + number % 100, key)
            except OSError:  # also of a revision that is stale, from the second round on
                if server.poll() is not None:
                    return
            else:
                kept.add(key)

    timer = threading.Timer(1.0, server.send_signal, [signal.SIGKILL])
    timer.start()
    at_once(write, n_writers)
    server.wait()
    with sqlite3.connect(saved) as connection:
        found = {key for (key,) in connection.execute("SELECT key FROM revisions")}
    connection.close()
    return {"said_to_be_kept": len(kept), "lost": len(kept - found)}
