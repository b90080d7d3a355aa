import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from conceptome.attribution import DaskWorkers, LocalWorkers, attribute
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


def test_at_least_one_worker():
    with pytest.raises(InputError, match="n_workers is 0, expected at least 1"):
        LocalWorkers(0)


@pytest.fixture
def cluster():
    """A Dask scheduler and two workers, as a user would start them: separate processes."""
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
    workers = [start("worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard") for _ in range(2)]
    for worker in workers:
        threading.Thread(target=worker.stdout.read, daemon=True).start()
    yield address, workers
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(world, cluster, tmp_path):
    address, workers = cluster
    options = {"n_bootstrap": 40_000}  # makes a concept take long enough to be interrupted
    killed = []

    def kill_one():
        while not list(tmp_path.glob("concept_*.npz")):
            time.sleep(0.01)
        os.kill(workers[0].pid, signal.SIGKILL)
        killed.append(len(list(tmp_path.glob("concept_*.npz"))))

    threading.Thread(target=kill_one, daemon=True).start()
    found = attributed(world, **options, workers=DaskWorkers(address), checkpoint=tmp_path)
    n_attributable = int((found.n_pairs > 0).sum())
    assert killed
    assert killed[0] < n_attributable, "the worker must die while there is work left"
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


def test_a_damaged_part_is_made_again(world, tmp_path):
    whole = attributed(world, checkpoint=tmp_path)
    part = next(iter(sorted(tmp_path.glob("concept_*.npz"))))
    part.write_bytes(part.read_bytes()[:100])
    assert_same(whole, attributed(world, checkpoint=tmp_path))


def test_parts_of_another_attribution_are_refused(world, tmp_path):
    attributed(world, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="intervention"):
        attributed(world, checkpoint=tmp_path, intervention="insert")


def test_a_folder_of_something_else_is_refused(world, tmp_path):
    Path(tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError):
        attributed(world, checkpoint=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
