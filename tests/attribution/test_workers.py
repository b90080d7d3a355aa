import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from conceptome.attribution import DaskWorkers, LocalWorkers, attribute, kept_effects
from conceptome.attribution.workers import _with_item
from conceptome.core import CheckpointError, InputError

MATRICES = ("attribution", "se", "ci_low", "p", "q", "drives", "null_attribution", "null_se", "n_differing")
VECTORS = ("floor", "null_driver_rate", "n_pairs", "status", "concepts")


def assert_same(one, other):
    for name in MATRICES + VECTORS:
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name), err_msg=name)


def attributed(world, **options):
    return attribute(world.adata, world.encoder, world.dictionary, world.pairs, seed=3, **options)


def test_processes_change_no_bit(world):
    assert_same(attributed(world), attributed(world, workers=LocalWorkers(2)))


def test_a_process_keeps_what_the_function_remembers():
    class Counts:
        n_calls = 0

        def __call__(self, item):
            self.n_calls += 1
            return self.n_calls

    for _ in range(2):  # the second time in the same processes, with another function
        calls = dict(LocalWorkers(2).map(Counts(), range(8)))
        assert sorted(calls) == list(range(8))
        assert max(calls.values()) >= 4
        assert sorted(calls.values())[:1] == [1]


def test_the_threads_of_a_worker_compute_one_concept_at_a_time():
    at_work, most = [], []

    def function(item):
        at_work.append(item)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.remove(item)
        return -item

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(partial(_with_item, function), range(8)))
    assert found == [(item, -item) for item in range(8)]
    assert max(most) == 1


def test_at_least_one_worker():
    with pytest.raises(InputError, match="n_workers is 0, expected at least 1"):
        LocalWorkers(0)


@pytest.fixture
def cluster():
    """A Dask scheduler and the means to start workers, as a user would: separate processes."""
    dask = [sys.executable, "-m", "dask"]
    started = []

    def start(*words):
        process = subprocess.Popen(
            [*dask, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    for line in scheduler.stdout:
        if "Scheduler at:" in line:
            address = line.split()[-1]
            break
    threading.Thread(target=scheduler.stdout.read, daemon=True).start()

    def start_worker():
        worker = start("worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
        threading.Thread(target=worker.stdout.read, daemon=True).start()
        return worker

    yield address, start_worker
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("n_others", [0, 1], ids=["the only one", "one of two"])
def test_a_killed_worker_loses_nothing(world, cluster, tmp_path, n_others):
    """Also not where it was the only one that held cells and model, and another comes later."""
    address, start_worker = cluster
    options = {"n_bootstrap": 20_000}  # makes a concept take long enough to be interrupted
    victim, *_ = [start_worker() for _ in range(1 + n_others)]
    finished_before = []

    def kill_one():
        while not list(tmp_path.glob("concept_*.npz")):
            time.sleep(0.01)
        os.kill(victim.pid, signal.SIGKILL)
        finished_before.append(len(list(tmp_path.glob("concept_*.npz"))))
        if not n_others:
            start_worker()

    threading.Thread(target=kill_one, daemon=True).start()
    found = attributed(world, **options, workers=DaskWorkers(address), checkpoint=tmp_path)
    n_attributable = int((found.n_pairs > 0).sum())
    assert finished_before
    assert finished_before[0] < n_attributable, "the worker must die while there is work left"
    assert_same(attributed(world, **options), found)


def test_no_scheduler(world):
    with pytest.raises(InputError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9 ") as caught:
        attributed(world, workers=DaskWorkers("tcp://127.0.0.1:9"))
    assert "Start one (dask scheduler), give its address" in str(caught.value)


def test_an_interrupted_attribution_goes_on(world, tmp_path, monkeypatch):
    whole = attributed(world)
    folder = tmp_path / "parts"

    class StopsAfter:
        def map(self, function, items):
            for item in items[:2]:
                yield item, function(item)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attributed(world, workers=StopsAfter(), checkpoint=folder)
    assert len(list(folder.glob("concept_*.npz"))) == 2

    asked = []

    class Counts:
        def map(self, function, items):
            asked.extend(items)
            return ((item, function(item)) for item in items)

    assert_same(whole, attributed(world, workers=Counts(), checkpoint=folder))
    assert len(asked) == int((whole.n_pairs > 0).sum()) - 2


def test_damaged_parts_are_made_again(world, tmp_path):
    whole = attributed(world, checkpoint=tmp_path)
    cut, empty, swapped, *_ = parts = sorted(tmp_path.glob("concept_*.npz"))
    cut.write_bytes(cut.read_bytes()[:100])
    empty.write_bytes(b"")
    content = bytearray(swapped.read_bytes())
    content[len(content) // 2] ^= 255
    swapped.write_bytes(content)
    damaged = {part: part.read_bytes() for part in parts[:3]}
    assert_same(whole, attributed(world, checkpoint=tmp_path))
    assert all(part.read_bytes() != content for part, content in damaged.items())


def test_a_damaged_part_has_no_effects(world, tmp_path):
    whole = attributed(world, checkpoint=tmp_path)
    concept = int(whole.concepts[whole.n_pairs > 0][0])
    (tmp_path / f"concept_{concept:06d}.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"holds no whole effects of concept {concept}. Attribute"):
        list(kept_effects(tmp_path, [concept], genes=whole.genes))


def test_parts_of_another_attribution_are_refused(world, tmp_path):
    attributed(world, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="intervention was 'substitute' and is 'insert'"):
        attributed(world, checkpoint=tmp_path, intervention="insert")


def test_parts_of_other_counts_in_the_same_cells_are_refused(world, tmp_path):
    attributed(world, checkpoint=tmp_path)
    other = world.adata.copy()
    other.X[world.pairs.factual[0], 0] += 1
    with pytest.raises(CheckpointError, match=r"holds the results of another task: counts was '\w+' and is"):
        attributed(replace(world, adata=other), checkpoint=tmp_path)


def test_a_folder_of_something_else_is_refused(world, tmp_path):
    Path(tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError):
        attributed(world, checkpoint=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
