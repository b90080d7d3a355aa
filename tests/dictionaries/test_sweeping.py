"""Sweeps over cells made of known parts."""

import re
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

import conceptome as cm
from conceptome.core import CheckpointError, Embeddings, InputError
from conceptome.dictionaries import BatchTopK, ReluL1, TopK, consensus, stability, sweep_training
from conceptome.dictionaries.sweep_grid import lay_out

LEARNS = BatchTopK(max_epochs=40, batch_size=200)
SHORT = TopK(max_epochs=2, batch_size=200)


@pytest.fixture(scope="module")
def embeddings(planted):
    z = planted[0]
    return Embeddings(z, pd.RangeIndex(len(z)).astype(str), "e", "planted")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweep") / "out"


@pytest.fixture(scope="module")
def found(embeddings, folder):
    sizes = {"n_concepts": (12, 48), "k": (2,), "n_seeds": 3}
    return cm.dictionaries.sweep(embeddings, LEARNS, **sizes, n_workers=1, progress=False, folder=folder)


def test_every_setting_has_a_row_and_every_dictionary_too(found):
    assert found.settings[["n_concepts", "k"]].values.tolist() == [[48, 2], [12, 2]]
    assert found.settings["expansion"].tolist() == [6.0, 1.5]
    assert found.trained["seed"].tolist() == [0, 1, 2] * 2
    assert [each.dictionary_id for each in found.dictionaries] == found.trained["dictionary_id"].tolist()
    assert len(set(found.trained["dictionary_id"])) == 6
    for measure in ("r2", "l0", "dead", "inactive_heldout", "recurring_activations", "r2_recurring"):
        by_setting = found.trained.groupby(["n_concepts", "k"], sort=False)[measure]
        np.testing.assert_allclose(found.settings[measure], by_setting.mean())
        np.testing.assert_allclose(found.settings[f"{measure}_sd"], by_setting.std())


def test_fidelity_is_that_of_the_dictionaries(found, embeddings):
    each, row = found.dictionaries[4], found.trained.iloc[4]
    assert row["r2"] == each.training["fidelity"]["r2_heldout"]
    split = cm.dictionaries.HeldoutSplit(**each.training["split"])
    heldout = embeddings.values[split.mask(embeddings.cell_ids.tolist())]
    active = each.encode(heldout).toarray() > 0
    assert row["inactive_heldout"] == pytest.approx(1 - active.any(axis=0).mean())
    assert row["l0"] == pytest.approx(active.sum(axis=1).mean(), abs=0.2)


def test_stability_is_that_of_the_module(found, embeddings):
    three, row = found.dictionaries[3:], found.settings.iloc[1]
    for by in ("directions", "activations"):
        expected = stability(three, by=by, embeddings=embeddings.values)
        assert row[by] == pytest.approx(expected.mean)
        assert row[f"{by}_sd"] == pytest.approx(expected.sd)
        assert row[f"{by}_null"] == pytest.approx(expected.null)
        same = consensus(three, by=by, embeddings=embeddings.values, min_recurrence=1.0).concept
        assert found.trained.iloc[3][f"recurring_{by}"] == len(same)
        assert row[f"{by}_null"] < row[f"{by}_random"] < 1
    assert row["excess"] == row["activations"] - max(row["activations_null"], row["activations_random"])


def test_recurring_concepts_keep_what_the_dictionary_decodes_from_them(found, embeddings):
    three = found.dictionaries[3:]
    same = consensus(three, by="activations", embeddings=embeddings.values, min_recurrence=1.0).concept
    split = cm.dictionaries.HeldoutSplit(**three[0].training["split"])
    heldout = embeddings.values[split.mask(embeddings.cell_ids.tolist())]
    activations = three[0].encode(heldout).toarray()
    activations[:, np.setdiff1d(np.arange(12), same)] = 0
    decoded = three[0].decode(activations)
    kept = cm.dictionaries.explained_variance(heldout, decoded, mean=three[0].weights.mean)[0]
    assert 3 <= len(same) <= 12
    assert found.trained.iloc[3]["r2_recurring"] == pytest.approx(kept)


def test_the_planted_size_is_recommended(found):
    assert found.recommended == replace(LEARNS, n_concepts=12, k=2)
    assert found.settings["recommended"].tolist() == [False, True]
    assert found.dictionary is found.dictionaries[3]
    assert re.match(r"12 concepts, [\d.]+ active per cell: the [\d.]+ concepts that come back", found.reason)
    pd.testing.assert_frame_equal(found.to_frame(), found.settings)


def test_a_finished_sweep_is_read_and_may_grow(found, folder, embeddings, monkeypatch):
    trained = []
    train = sweep_training.train
    monkeypatch.setattr(
        sweep_training, "train", lambda *a, **kw: trained.append((a[1], kw["seed"])) or train(*a, **kw)
    )
    grid = {"n_concepts": (12, 24), "k": (2,)}
    again = cm.dictionaries.sweep(embeddings, LEARNS, **grid, n_workers=1, progress=False, folder=folder)
    assert trained == [(replace(LEARNS, n_concepts=24, k=2), seed) for seed in range(3)]
    pd.testing.assert_series_equal(
        again.settings.iloc[1].drop(["on_front", "recommended"]),
        found.settings.iloc[1].drop(["on_front", "recommended"]),
        check_names=False,
    )


def test_the_number_of_workers_changes_nothing(embeddings, tmp_path):
    sizes = {"n_concepts": (12, 24), "k": (2,), "n_seeds": 2, "progress": False}
    alone = cm.dictionaries.sweep(embeddings, SHORT, **sizes, n_workers=1)
    both = cm.dictionaries.sweep(embeddings, SHORT, **sizes, n_workers=2, folder=tmp_path)
    pd.testing.assert_frame_equal(alone.trained, both.trained)
    pd.testing.assert_frame_equal(alone.settings, both.settings)
    assert alone.reason == both.reason


def test_an_interrupted_sweep_keeps_what_is_finished(planted, tmp_path, monkeypatch):
    train, finished = sweep_training.train, []

    def train_two(*args, **kwargs):
        if len(finished) == 2:
            raise KeyboardInterrupt
        finished.append(1)
        return train(*args, **kwargs)

    sizes = {"n_concepts": (12, 24), "k": (2,), "n_seeds": 2, "n_workers": 1, "progress": False}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sweep_training, "train", train_two)
        cm.dictionaries.sweep(planted[0], SHORT, **sizes, folder=tmp_path)
    kept = sorted(item.name for item in (tmp_path / "dictionaries").glob("n*"))
    assert kept == ["n24_k2_seed0", "n24_k2_seed1"]
    times = {name: (tmp_path / "dictionaries" / name / "config.json").stat().st_mtime_ns for name in kept}
    continued = cm.dictionaries.sweep(planted[0], SHORT, **sizes, folder=tmp_path)
    for name, saved in times.items():
        assert (tmp_path / "dictionaries" / name / "config.json").stat().st_mtime_ns == saved
    whole = cm.dictionaries.sweep(planted[0], SHORT, **sizes)
    pd.testing.assert_frame_equal(continued.settings, whole.settings)


def test_a_dictionary_that_another_process_trains_is_waited_for(planted, tmp_path):
    """As the worker of a killed sweep does, which is not told to stop."""
    sizes = {"n_concepts": (12,), "k": (2,), "n_seeds": 2, "n_workers": 1, "progress": False}
    cm.dictionaries.sweep(planted[0], SHORT, **sizes, folder=tmp_path)
    whole = tmp_path / "dictionaries" / "n12_k2_seed0"
    elsewhere, locked = whole.rename(tmp_path / "elsewhere"), threading.Event()
    saved = (elsewhere / "config.json").stat().st_mtime_ns

    def finish():
        with FileLock(tmp_path / "dictionaries" / ".locks" / whole.name):
            locked.set()
            time.sleep(0.5)
            elsewhere.rename(whole)

    other = threading.Thread(target=finish)
    other.start()
    locked.wait()
    cm.dictionaries.sweep(planted[0], SHORT, **sizes, folder=tmp_path)
    other.join()
    assert (whole / "config.json").stat().st_mtime_ns == saved


def test_a_folder_in_use_is_refused(planted, tmp_path):
    sizes = {"n_concepts": (12,), "k": (2,), "n_seeds": 2, "n_workers": 1, "progress": False}
    with FileLock(tmp_path / ".lock"), pytest.raises(CheckpointError) as error:
        cm.dictionaries.sweep(planted[0], SHORT, **sizes, folder=tmp_path)
    assert str(error.value) == (
        f"{tmp_path} is in use by another conceptome process. Wait for it, or name another folder."
    )
    assert [item.name for item in tmp_path.iterdir()] == [".lock"]


def test_a_folder_of_other_cells_or_options_is_refused(embeddings, folder, found):
    sizes = {"n_concepts": (12,), "k": (2,), "n_workers": 1, "progress": False, "folder": folder}
    with pytest.raises(CheckpointError) as error:
        cm.dictionaries.sweep(embeddings, replace(LEARNS, max_epochs=9), **sizes)
    assert str(error.value) == (
        f"{folder} holds the results of another task: max_epochs was 40 and is 9. Name another folder, or go "
        "on with what it was begun with."
    )
    with pytest.raises(CheckpointError, match=r"another task: cells was '\w{12}' and is '\w{12}'\. Name"):
        cm.dictionaries.sweep(embeddings.values[:700], LEARNS, **sizes)
    donors = ["a", "b"] * 400
    with pytest.raises(CheckpointError, match="another task: cells was"):
        cm.dictionaries.sweep(embeddings, LEARNS, groups=donors, **sizes)


def test_whole_groups_are_held_out(planted):
    groups = np.repeat(["a", "b", "c", "d"], 200).tolist()
    sizes = {"n_concepts": (12,), "k": (2,), "n_seeds": 2, "n_workers": 1, "progress": False}
    found = cm.dictionaries.sweep(planted[0], SHORT, **sizes, groups=groups)
    heldout = cm.dictionaries.HeldoutSplit(**found.dictionary.training["split"]).mask(groups)
    assert heldout.sum() == 200
    active = np.asarray((found.dictionary.encode(planted[0][heldout]).toarray() > 0).any(axis=0))
    assert found.trained["inactive_heldout"][0] == pytest.approx(1 - active.mean())


@pytest.mark.parametrize(
    ("family", "n_cells", "d_embed", "expected"),
    [
        (TopK(), 2700, 10, [(n, k) for n in (80, 40, 20, 10) for k in (5, 3, 2)]),
        (TopK(k=8), 2700, 50, [(218, 8), (109, 8), (55, 8), (28, 8)]),
        (BatchTopK(n_concepts=64), 100_000, 512, [(64, 16), (64, 8), (64, 4)]),
        (TopK(), 100_000, 512, [(n, k) for n in (512, 256, 128, 64, 32) for k in (16, 8, 4)]),
        (ReluL1(), 2700, 10, [(80, None), (40, None), (20, None), (10, None)]),
    ],
)
def test_the_usual_grid_follows_the_data(family, n_cells, d_embed, expected):
    settings = lay_out(family, n_concepts=None, k=None, n_cells=n_cells, d_embed=d_embed)
    assert [(each.n_concepts, getattr(each, "k", None)) for each in settings] == expected
    assert {type(each) for each in settings} == {type(family)}


def test_a_family_without_k_is_swept_over_sizes(planted):
    found = cm.dictionaries.sweep(
        planted[0],
        ReluL1(max_epochs=5, l1_weight=0.05),
        n_concepts=(12, 24),
        n_seeds=2,
        n_workers=1,
        progress=False,
    )
    assert found.settings["k"].isna().all()
    assert found.recommended.l1_weight == 0.05


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        (TopK(), {"n_seeds": 1}, "n_seeds is 1, expected at least 2."),
        (TopK(), {"n_workers": 0}, "n_workers is 0, expected at least 1."),
        (
            TopK(),
            {"n_concepts": ()},
            "n_concepts is an empty list. Give at least one number, or leave it out.",
        ),
        (
            TopK(k=3),
            {"k": (2, 4)},
            "k is 3 in the options and [2, 4] in the sweep. Give one of them.",
        ),
        (
            TopK(),
            {"n_concepts": (4, 6), "k": (5,)},
            "No setting is left: every n_concepts of [6, 4] is below twice every k of [5]. Give larger "
            "n_concepts or smaller k.",
        ),
        (ReluL1(), {"k": (2,)}, "ReluL1 has no k; its L0 follows from other options. Leave k out."),
    ],
)
def test_wrong_options_are_refused_before_anything_is_trained(planted, tmp_path, family, options, message):
    with pytest.raises(InputError) as error:
        cm.dictionaries.sweep(planted[0], family, **options, progress=False, folder=tmp_path / "out")
    assert str(error.value) == message
