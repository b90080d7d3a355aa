import signal
import subprocess
import sys
import time

import jaxtyping
import numpy as np
import pytest
import torch
from safetensors import safe_open

from conceptome.core import CheckpointError, InputError
from conceptome.dictionaries import BatchTopK, Checkpoint, JumpReLU, Matryoshka, ReluL1, TopK, train
from conceptome.dictionaries.checkpoint import Journal

OPTIONS = [
    TopK(24, 2, max_epochs=24, dead_after=800, patience=2),
    TopK(24, 2, max_epochs=12, ema=0.9, warmup_epochs=2, decay="linear"),
    BatchTopK(24, 2, max_epochs=12, dead_after=800),
    JumpReLU(24, 2, max_epochs=12, dead_after=800, ema=0.9),
    Matryoshka(24, 2, max_epochs=12),
    ReluL1(24, max_epochs=12),
]
TRAIN_UNTIL_KILLED = """
import sys
import numpy as np
import torch
from conceptome.dictionaries import Checkpoint, TopK, train

torch.set_num_threads(int(sys.argv[3]))
checkpoint = Checkpoint(sys.argv[2], every_rounds=1)
train(np.load(sys.argv[1]), TopK(**eval(sys.argv[4])), seed=5, checkpoint=checkpoint)
"""


class Interrupted(Exception):
    pass


def interrupt(monkeypatch, *, after):
    """Let training end as by Ctrl-C when it wants to write for the n-th time."""
    write, written = Journal.write, []

    def write_or_stop(self, tensors, numbers):
        if len(written) == after:
            raise Interrupted
        written.append(1)
        write(self, tensors, numbers)

    monkeypatch.setattr(Journal, "write", write_or_stop)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: type(options).__name__)
def test_an_interrupted_training_continues_to_the_same_weights(planted, tmp_path, monkeypatch, options):
    z, file = planted[0][:300], tmp_path / "training.safetensors"
    checkpoint = Checkpoint(file, every_rounds=5)
    whole = train(z, options, seed=3, progress=False)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt(patch, after=1)
        train(z, options, seed=3, progress=False, checkpoint=checkpoint)
    continued = train(z, options, seed=3, progress=False, checkpoint=checkpoint)
    assert continued.dictionary_id == whole.dictionary_id
    assert continued.training == whole.training


def test_a_killed_training_continues_to_the_same_weights(planted, tmp_path):
    z, file = tmp_path / "z.npy", tmp_path / "training.safetensors"
    np.save(z, planted[0])
    settings = {"n_concepts": 64, "k": 2, "max_epochs": 150, "dead_after": 2000}
    arguments = [str(z), str(file), str(torch.get_num_threads()), repr(settings)]
    process = subprocess.Popen([sys.executable, "-c", TRAIN_UNTIL_KILLED, *arguments])
    try:
        while process.poll() is None and not (file.exists() and rounds_in(file) >= 10):
            time.sleep(0.005)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 10 <= rounds_in(file) < 150
    continued = train(planted[0], TopK(**settings), seed=5, progress=False, checkpoint=file)
    whole = train(planted[0], TopK(**settings), seed=5, progress=False)
    assert len(whole.training["progress"]) > 10
    assert continued.dictionary_id == whole.dictionary_id
    assert continued.training == whole.training


def rounds_in(file):
    with safe_open(file, framework="np") as content:
        return content.metadata()["numbers"].count('"fvu"')


def test_a_finished_training_is_not_repeated(planted, tmp_path, monkeypatch):
    z, options = planted[0][:300], TopK(16, 2, max_epochs=3)
    first = train(z, options, progress=False, checkpoint=tmp_path / "new" / "folder" / "training")
    monkeypatch.setattr("conceptome.dictionaries.optimisation.Training.round", None)
    again = train(z, options, progress=False, checkpoint=tmp_path / "new" / "folder" / "training")
    assert again.dictionary_id == first.dictionary_id
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["training"]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"options": TopK(16, 2, max_epochs=2, lr=1e-3)}, "lr was 0.0070710678118654745 and is 0.001"),
        ({"options": BatchTopK(16, 2, max_epochs=2)}, "family was 'TopK' and is 'BatchTopK'"),
        ({"groups": ["a", "b"] * 50}, "data was "),
        ({"embeddings": np.random.default_rng(1).normal(size=(100, 4))}, "data was "),
    ],
)
def test_refuses_to_continue_another_training(tmp_path, change, difference):
    z = np.random.default_rng(0).normal(size=(100, 4))
    told = {"embeddings": z, "options": TopK(16, 2, max_epochs=2), "seed": 0, "progress": False}
    told["checkpoint"] = tmp_path / "training"
    train(**told)
    with pytest.raises(CheckpointError) as error:
        train(**told | change)
    assert str(error.value).startswith(
        f"{tmp_path / 'training'} is the checkpoint of another training: {difference}"
    )
    assert str(error.value).endswith("Train with what it was begun with, or delete it to begin anew.")


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_refuses_a_damaged_checkpoint(tmp_path, content):
    (tmp_path / "training").write_bytes(content)
    z = np.random.default_rng(0).normal(size=(100, 4))
    with pytest.raises(CheckpointError) as error:
        train(z, TopK(max_epochs=1), progress=False, checkpoint=tmp_path / "training")
    assert str(error.value).startswith(f"{tmp_path / 'training'} is not a checkpoint (")
    assert str(error.value).endswith("). Restore it, or delete it to begin anew.")


def test_who_is_killed_while_writing_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    journal = Journal(Checkpoint(tmp_path / "training"), {"seed": 0})
    journal.write({"a": torch.ones(3)}, {"n": 1})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        journal.write({"a": torch.zeros(3)}, {"n": 2})
    tensors, numbers = journal.read()
    assert numbers == {"n": 1}
    assert tensors["a"].tolist() == [1, 1, 1]


def test_it_is_written_as_often_as_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    by_rounds = Journal(Checkpoint(tmp_path / "a", every_rounds=3), {})
    due = [by_rounds.due(n, finished=n == 7) for n in range(1, 8)]
    assert due == [False, False, True, False, False, True, True]
    by_time = Journal(Checkpoint(tmp_path / "b", every_seconds=10), {})
    due = []
    for now[0] in (9.0, 10.0, 15.0, 21.0):
        due.append(by_time.due(1, finished=False))
        if due[-1]:
            by_time.write({"a": torch.ones(1)}, {})
    assert due == [False, True, False, True]


def test_refuses_senseless_checkpoints(tmp_path):
    with pytest.raises(InputError) as folder:
        Checkpoint(tmp_path)
    assert str(folder.value) == f"The checkpoint {tmp_path} is a folder, expected a file. Name a file in it."
    with pytest.raises(InputError, match="every_rounds is 0, expected at least 1"):
        Checkpoint(tmp_path / "a", every_rounds=0)
    with pytest.raises(InputError, match=r"every_seconds is -1\.0, expected at least 0"):
        Checkpoint(tmp_path / "a", every_seconds=-1.0)
