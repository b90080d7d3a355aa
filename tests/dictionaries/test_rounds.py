"""Rounds of cells in memory, and of cells that are read block by block."""

import numpy as np
import pandas as pd
import pytest
import torch

from conceptome.core import CheckpointError, Embeddings
from conceptome.dictionaries import BatchTopK, Checkpoint, TopK, rounds, sources, train
from conceptome.dictionaries.checkpoint import Journal
from conceptome.dictionaries.rounds import Rounds
from conceptome.dictionaries.scaling import Scaling
from conceptome.dictionaries.sources import Source

SMALL_BLOCK, SMALL_ROUND = 32, 4 * 8 * 250


@pytest.fixture
def small(monkeypatch):
    """As if some hundred cells were too many for memory."""
    monkeypatch.setattr(sources, "BLOCK_ROWS", SMALL_BLOCK)
    monkeypatch.setattr(rounds, "ROUND_BYTES", SMALL_ROUND)


def begin(z, *, learned=None, seed=0):
    learned = np.ones(len(z), dtype=bool) if learned is None else learned
    return Rounds(Source.of(z), learned, Scaling(np.zeros(z.shape[1]), 1.0), seed=seed, device="cpu")


def rows_of(cells, z):
    """Find the row of z that each cell is."""
    where = {tuple(row): at for at, row in enumerate(z.tolist())}
    return [where[tuple(row)] for row in cells.tolist()]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_pass_holds_every_cell_to_learn_from_once(planted, request, streamed):
    if streamed:
        request.getfixturevalue("small")
    z = planted[0]
    learned = np.random.default_rng(1).random(len(z)) < 0.8
    with begin(z, learned=learned) as cells:
        assert cells.per_pass == (3 if streamed else 1)
        passes = [
            rows_of(
                torch.cat([cells.shuffled(at * cells.per_pass + part) for part in range(cells.per_pass)]), z
            )
            for at in range(2)
        ]
    for rows in passes:
        assert sorted(rows) == np.flatnonzero(learned).tolist()
    assert passes[0] != passes[1]
    assert abs(np.corrcoef(np.arange(learned.sum()), passes[0])[0, 1]) < 0.3


def test_any_round_can_be_read_again(planted, small):
    with begin(planted[0]) as cells:
        found = {number: cells.shuffled(number) for number in (0, 1, 2, 3, 4, 5)}
        again = {number: cells.shuffled(number) for number in (4, 0, 5)}
    assert all(torch.equal(found[number], again[number]) for number in again)
    with begin(planted[0], seed=1) as others:
        assert not torch.equal(others.shuffled(0), found[0])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", ["npy", "zarr"])
def test_a_file_trains_as_the_array_does(planted, tmp_path, request, streamed, kind):
    import zarr

    if streamed:
        request.getfixturevalue("small")
    z, options = planted[0], TopK(24, 2, max_epochs=4)
    if kind == "npy":
        file = tmp_path / "z.npy"
        np.save(file, z)
    else:
        file = tmp_path / "z.zarr"
        chunks = (100, 8)
        zarr.create_array(str(file), shape=z.shape, chunks=chunks, dtype=z.dtype)[:] = z
    expected = train(z, options, seed=2, progress=False)
    found = train(file, options, seed=2, progress=False)
    assert found.dictionary_id == expected.dictionary_id
    assert found.training == expected.training
    per_epoch = 3 if streamed else 1
    epochs = [each["epoch"] for each in found.training["progress"]]
    assert epochs == [number / per_epoch for number in range(1, 4 * per_epoch + 1)]


def test_streamed_training_learns_as_well(planted, monkeypatch):
    options = TopK(24, 2, max_epochs=40)
    whole = train(planted[0], options, progress=False)
    monkeypatch.setattr(sources, "BLOCK_ROWS", SMALL_BLOCK)
    monkeypatch.setattr(rounds, "ROUND_BYTES", SMALL_ROUND)
    streamed = train(planted[0], options, progress=False)
    kept = [each.training["fidelity"]["r2_heldout"] for each in (whole, streamed)]
    assert kept[1] > kept[0] - 0.02


@pytest.mark.parametrize(
    "options", [TopK(24, 2, max_epochs=5, dead_after=500), BatchTopK(24, 2, max_epochs=5)]
)
def test_streamed_training_continues_in_the_middle_of_a_pass(planted, small, tmp_path, monkeypatch, options):
    file = tmp_path / "training.safetensors"
    checkpoint = Checkpoint(file, every_rounds=1)
    whole = train(planted[0], options, seed=3, progress=False)
    write, written = Journal.write, []

    def write_or_stop(self, *entry):
        if len(written) == 6:
            raise KeyboardInterrupt
        written.append(1)
        write(self, *entry)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", write_or_stop)
        with pytest.raises(KeyboardInterrupt):
            train(planted[0], options, seed=3, progress=False, checkpoint=checkpoint)
    continued = train(planted[0], options, seed=3, progress=False, checkpoint=checkpoint)
    assert continued.dictionary_id == whole.dictionary_id
    assert continued.training == whole.training


def test_no_round_is_empty_where_whole_stretches_are_held_out(planted, small):
    z = planted[0]
    with begin(z, learned=np.arange(len(z)) >= 700) as cells:
        assert cells.per_pass == 1
    every_other = np.arange(len(z)) % 320 < 160
    with begin(z, learned=every_other) as cells:
        sizes = [len(cells.shuffled(number)) for number in range(2 * cells.per_pass)]
    assert cells.per_pass == 2
    assert min(sizes) > 0
    assert sum(sizes) == 2 * every_other.sum()


@pytest.mark.parametrize("streamed", [False, True])
def test_cells_go_to_the_device(planted, request, streamed):
    if streamed:
        request.getfixturevalue("small")
    everything = np.ones(len(planted[0]), dtype=bool)
    with Rounds(Source.of(planted[0]), everything, Scaling(np.zeros(8), 1.0), seed=0, device="meta") as cells:
        assert cells.shuffled(0).device.type == "meta"


def test_a_checkpoint_of_cells_with_other_names_is_refused(planted, tmp_path):
    options, file = TopK(24, 2, max_epochs=2), tmp_path / "training.safetensors"
    train(planted[0], options, progress=False, checkpoint=file)
    names = pd.Index([f"cell{row}" for row in range(len(planted[0]))], dtype=object)
    with pytest.raises(CheckpointError, match="is the checkpoint of another training: data was"):
        train(Embeddings(planted[0], names, ""), options, progress=False, checkpoint=file)
