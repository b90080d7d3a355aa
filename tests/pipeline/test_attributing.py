"""The attribution of a run: effects in single pairs, workers, interruption, and the commands that show it."""

from dataclasses import replace
from shutil import copytree

import numpy as np
import pandas as pd
import pytest

from conceptome.attribution.rows import RowMaker
from conceptome.cli import main
from conceptome.core import InputError
from conceptome.pipeline import RunConfig, config_of, context, load_pair_effects, run
from conceptome.pipeline.folder import checksum
from conceptome.pipeline.storage import load_attributions, save_attributions


def settings(out, **changes):
    config = RunConfig(
        data="demo",
        out=str(out),
        encoder="linear",
        n_concepts=12,
        k=3,
        n_pairs=12,
        encoder_options=("n_components=8",),
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(settings(tmp_path_factory.mktemp("runs") / "run"), until="attribute")


def test_effects_of_single_pairs_add_up_to_the_attribution(finished):
    effects = load_pair_effects(finished / "effects.zarr")
    table = pd.read_parquet(finished / "attributions.parquet")
    pairs = pd.read_parquet(finished / "pairs.parquet")
    assert len(effects.concept) == len(pairs)
    np.testing.assert_array_equal(effects.concept, pairs["concept"])
    n_compared = 0
    for concept, rows in table.groupby("concept"):
        own = effects.of_concept(int(concept))
        if own.empty:
            continue
        total = effects.activation[effects.concept == concept].sum()
        expected = own.groupby("gene")["act"].sum() / total
        found = rows.set_index(rows["gene"].astype(str))["attribution"]
        np.testing.assert_allclose(found[expected.index], expected, atol=1e-6)
        assert (found.drop(expected.index) == 0).all()
        n_compared += len(expected)
    assert n_compared > 1000
    one_gene = effects.of_gene("GNLY")
    assert set(one_gene["concept"]) <= set(table["concept"])
    assert len(one_gene) > 0
    with pytest.raises(InputError, match=r"no gene 'GNLX' among the 765 .* Did you mean GNLY"):
        effects.of_gene("GNLX")


def test_workers_give_the_same_files(finished, tmp_path):
    other = run(settings(tmp_path / "run", workers=2), until="attribute")
    for name in ("attributions.parquet", "attributions_null.parquet"):
        assert checksum(other / name) == checksum(finished / name)


def test_an_interrupted_attribution_goes_on_within_the_stage(finished, tmp_path, monkeypatch):
    make, made = RowMaker.__call__, []

    def interrupted(self, concept):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(concept)
        return make(self, concept)

    monkeypatch.setattr(RowMaker, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(settings(tmp_path / "run"), until="attribute")
    again = []

    def counted(self, concept):
        again.append(concept)
        return make(self, concept)

    monkeypatch.setattr(RowMaker, "__call__", counted)
    other = run(settings(tmp_path / "run"), until="attribute")
    assert not set(again) & set(made)
    assert checksum(other / "attributions.parquet") == checksum(finished / "attributions.parquet")
    assert not (other / ".parts").exists()


def test_attribute_changes_what_it_is_told_and_keeps_the_rest(finished, tmp_path, capsys):
    folder = tmp_path / "run"
    run(settings(folder), until="attribute")
    assert main(["attribute", str(folder), "--n-pairs", "9", "--intervention", "mask"]) == 0
    assert f"conceptome inspect {folder} --concept 0" in capsys.readouterr().out
    table = pd.read_parquet(folder / "attributions.parquet")
    assert set(table["intervention"]) == {"mask"}
    assert table["n_pairs"].max() == 9
    assert set(table["concept"]) == set(pd.read_parquet(finished / "attributions.parquet")["concept"])


def test_attribute_takes_the_workers_it_is_given_and_keeps_later_settings(tmp_path, monkeypatch):
    folder = run(settings(tmp_path / "run", n_permutations=200), until="attribute")
    asked = []

    class Workers:
        def __init__(self, n_workers):
            asked.append(n_workers)

        def map(self, function, items):
            return ((item, function(item)) for item in items)

    monkeypatch.setattr(context, "LocalWorkers", Workers)
    changes = ["--n-pairs", "9", "--workers", "3", "--batch-size", "100"]
    assert main(["attribute", str(folder), *changes]) == 0
    assert asked == [3]
    config = config_of(folder, {})
    assert (config.n_pairs, config.batch_size, config.n_permutations) == (9, 100, 200)


def test_gradients_are_a_setting_too(tmp_path):
    folder = run(settings(tmp_path / "run", intervention="gradient"), until="attribute")
    table = pd.read_parquet(folder / "attributions.parquet")
    assert set(table["intervention"]) == {"gradient"}
    assert (table["attribution"] != 0).any()


def test_what_a_prescreen_measured_is_kept(finished, tmp_path):
    record = load_attributions(finished)
    assert record.exact is None
    assert record.recall is None
    exact = np.where(np.arange(record.attribution.size) % 3, 1.0, 0.25).reshape(record.attribution.shape)
    recall = np.full((len(record.concepts), 3), 0.9)
    recall[0] = np.nan
    save_attributions(replace(record, exact=exact, recall=recall), tmp_path)
    again = load_attributions(tmp_path)
    np.testing.assert_array_equal(again.exact, exact)
    np.testing.assert_array_equal(again.recall, recall)


def test_a_prescreen_needs_an_encoder_that_estimates(finished, tmp_path, capsys):
    folder = tmp_path / "run"
    copytree(finished, folder)
    assert main(["attribute", str(folder), "--prescreen", "20"]) == 1
    assert "There are no estimates with encoder 'linear'. Leave prescreen out." in capsys.readouterr().err


def test_inspect_shows_genes_and_concepts(finished, capsys):
    concept = int(pd.read_parquet(finished / "pairs.parquet")["concept"][0])
    assert main(["inspect", str(finished), "--concept", str(concept), "--n", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"The strongest genes of concept {concept} (substitute, relative):"
    assert len(lines) == 5
    assert main(["inspect", str(finished), "--gene", "CST3"]) == 0
    assert capsys.readouterr().out.startswith("The strongest concepts of CST3")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gene", "CST33"], "There is no gene 'CST33' among the 765 of the attribution. Did you mean CST3"),
        (
            ["--gene", "cst3"],
            "There is no gene 'cst3' among the 765 of the attribution. Did you mean CST3 ",
        ),
        (["--concept", "99"], "Concept 99 is not among the 12 that were attributed."),
        (["--concept", "1", "--gene", "CST3"], "Ask for the genes of one concept"),
    ],
)
def test_inspect_says_what_is_not_there(finished, capsys, options, words):
    assert main(["inspect", str(finished), *options]) == 1
    assert words in capsys.readouterr().err


def test_inspect_says_why_a_concept_has_no_genes(tmp_path, capsys):
    folder = run(settings(tmp_path / "run", n_pairs=700, min_pairs=700), until="attribute")
    assert load_pair_effects(folder / "effects.zarr").of_gene("CST3").empty
    assert main(["inspect", str(folder), "--concept", "0"]) == 0
    found = capsys.readouterr().out
    assert found.startswith("There are no genes of concept 0: not attributable: active in ")
    assert found.endswith("cells, needs 700.\n")
    assert main(["inspect", str(folder), "--gene", "CST3"]) == 0
    assert capsys.readouterr().out == "There are no concepts of CST3: it was never measured.\n"


def test_nothing_attributed_yet(tmp_path, capsys):
    folder = run(settings(tmp_path / "run"), until="embed")
    assert main(["inspect", str(folder), "--gene", "CST3"]) == 1
    assert (
        f"{folder} has no attributions. Make them with: conceptome attribute {folder}"
        in capsys.readouterr().err
    )


def test_workers_or_a_cluster(tmp_path):
    with pytest.raises(InputError, match="workers is 2 and dask tcp://x:1: leave out one of them"):
        settings(tmp_path, workers=2, dask="tcp://x:1")


def test_attribute_needs_a_run(tmp_path, capsys):
    assert main(["attribute", str(tmp_path)]) == 1
    assert "is no run folder" in capsys.readouterr().err
