"""A wide embedding decides itself where training starts."""

import numpy as np
import pytest

from conceptome.dictionaries import Checkpoint, TopK, starts, train
from conceptome.dictionaries.checkpoint import Journal
from conceptome.dictionaries.options import WIDE

OPTIONS = TopK(64, 4, max_epochs=4, batch_size=64)
N_CELLS = 1500


@pytest.fixture(autouse=True)
def short_pilot(monkeypatch):
    monkeypatch.setattr(starts, "PILOT_STEPS", 20)  # two rounds


@pytest.fixture(scope="module")
def dense():
    """Gaussian cells, some of whose axes are longer than others: nothing sparse to find."""
    spread = np.arange(1, WIDE + 1) ** -0.5
    return (np.random.default_rng(0).standard_normal((N_CELLS, WIDE)) * spread).astype(np.float32)


@pytest.fixture(scope="module")
def sparse():
    """Each cell a sum of 4 of 64 directions."""
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((64, WIDE)) / WIDE**0.5
    active = rng.random((N_CELLS, 64)).argsort(axis=1) < 4
    return ((active * rng.gamma(4.0, 0.5, active.shape)) @ atoms).astype(np.float32)


def learned(cells, options=OPTIONS, **more):
    return train(cells, options, progress=False, **more)


def test_axes_where_nothing_is_sparse_and_cells_where_something_is(dense, sparse):
    found = [learned(cells).training["options"]["axes"] for cells in (dense, sparse)]
    assert found == [1.0, 0.0]


@pytest.mark.parametrize("cells", ["dense", "sparse"])
def test_the_start_that_was_chosen_goes_on(cells, request):
    values = request.getfixturevalue(cells)
    chosen = learned(values)
    alone = learned(values, TopK(64, 4, max_epochs=4, batch_size=64, axes=chosen.training["options"]["axes"]))
    assert chosen.dictionary_id == alone.dictionary_id
    assert chosen.training["progress"] == alone.training["progress"]


def test_narrow_embeddings_start_from_cells(dense):
    narrow = np.ascontiguousarray(dense[:, : WIDE - 1])
    assert learned(narrow).training["options"]["axes"] == 0.0


@pytest.mark.parametrize("n_written", [1, 2])
def test_goes_on_after_an_interruption_with_the_start_that_was_chosen(
    dense, n_written, tmp_path, monkeypatch
):
    """The choice is written down first, then every round."""
    write, count = Journal.write, 0

    def interrupted(journal, *state):
        nonlocal count
        write(journal, *state)
        count += 1
        if count == n_written:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "training", every_rounds=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "write", interrupted)
        learned(dense, checkpoint=checkpoint)
    resumed, whole = learned(dense, checkpoint=checkpoint), learned(dense)
    assert resumed.dictionary_id == whole.dictionary_id
    assert resumed.training == whole.training
    assert learned(dense, checkpoint=checkpoint).dictionary_id == whole.dictionary_id
