"""From a run folder to an atlas, by the command line, on real cells."""

import json
import logging
import os
import shutil
import signal
import sys
import urllib.request

import numpy as np
import pandas as pd
import pytest

from conceptome import atlas, enrichment
from conceptome.atlas import concept_pages
from conceptome.cli import main
from conceptome.core import BundleError
from conceptome.pipeline import RunConfig, build_atlas, load_pair_effects, run, stages, storage


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose map and report, which are not looked at here, cost nothing."""
    config = RunConfig(
        data="demo",
        out=str(tmp_path_factory.mktemp("runs") / "run"),
        encoder="linear",
        label_key=("cell_type",),
        n_concepts=24,
        k=4,
        n_pairs=16,
        min_size=5,
        n_permutations=200,
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stages, "umap_layout", lambda embeddings, **_: embeddings.values[:, :2].astype(float))
        patched.setattr(stages, "write_report", lambda path, _: path.write_text("left out"))
        return run(config)


@pytest.fixture(scope="module")
def built(finished):
    assert main(["build", str(finished)]) == 0
    return finished / "atlas"


@pytest.fixture(scope="module")
def opened(built):
    with atlas.Atlas.open(built) as opened:
        yield opened


def test_the_commands_make_check_and_describe_it(built, capsys):
    assert main(["check", str(built)]) == 0
    assert main(["inspect", str(built)]) == 0
    out = capsys.readouterr().out
    assert f"{built} is whole: " in out
    assert f"{built}: atlas of pbmc68k_reduced (scanpy) (700 cells, 24 concepts, 765 genes)" in out
    assert "library_size: numeric (depth)" in out
    assert main(["build", str(built.parent)]) == 1
    assert "is already an atlas. Replace it with --overwrite" in capsys.readouterr().err


@pytest.fixture
def demo_run(finished, tmp_path, monkeypatch):
    """The command's run is the finished one, copied."""
    folder = shutil.copytree(finished, tmp_path / "demo-run", ignore=shutil.ignore_patterns("atlas"))
    monkeypatch.setattr("conceptome.pipeline.run", lambda config: folder)
    return folder


def test_the_demo_tells_how_to_open_its_atlas(demo_run, monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    assert main(["demo"]) == 0
    place = demo_run / "atlas"
    assert capsys.readouterr().out == (
        f"Report: {demo_run / 'report.html'}\nAtlas: {place}\n"
        f"Next: conceptome serve {place} shows it in the browser\n"
    )
    assert atlas.check(place).startswith(f"{place} is whole: ")


def test_the_demo_ends_with_its_atlas_in_the_browser_until_ctrl_c(demo_run, monkeypatch, capsys):
    titles = []
    stranger = logging.Handler()  # of another package, such as absl, whose handler closes its stream
    monkeypatch.setattr(stranger, "close", lambda: titles.append("closed"))

    def browser(address):
        with urllib.request.urlopen(f"{address}api/v1/meta", timeout=10) as answer:
            titles.append(json.load(answer)["title"])
        os.kill(os.getpid(), signal.SIGINT)
        return True

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("webbrowser.open", browser)
    assert main(["demo"]) == 0
    assert titles == ["pbmc68k_reduced (scanpy)"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"Stopped. Open it again with: conceptome serve {demo_run / 'atlas'}"


def test_the_demo_without_the_extra_opens_the_report(demo_run, monkeypatch, capsys):
    opened = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr("webbrowser.open", lambda address: not opened.append(address))
    assert main(["demo"]) == 0
    assert "pip install 'conceptome[web]'" in capsys.readouterr().out
    assert opened == [(demo_run / "report.html").resolve().as_uri()]


def test_concepts_are_those_of_the_run(opened, finished):
    expected = pd.read_parquet(finished / "concepts.parquet")
    found = pd.DataFrame(concept_pages.concept_list(opened))
    for name in ("auto_name", "best_label", "top_genes", "pair_warning"):
        assert found[name].fillna("").tolist() == expected[name].fillna("").tolist()
    for name in ("frequency", "mean_activation", "best_label_f1", "module_strength"):
        np.testing.assert_allclose(found[name].astype(float), expected[name], rtol=1e-6)


def test_running_sums_end_where_the_test_says(opened):
    rows = opened.rows("SELECT c.es, f.es, c.value FROM curves c JOIN findings f USING (concept, term)")
    assert len(rows) > 10
    for curve, tested, value in rows:
        assert curve == pytest.approx(tested, abs=1e-9)
        corners = np.frombuffer(value, "<f4")
        assert np.abs(corners).max() == pytest.approx(abs(tested), abs=1e-6)


def test_corners_say_as_much_as_the_whole_running_sum(opened, finished):
    concept, term, identifier, collection = opened.rows(
        "SELECT concept, term, identifier, collection FROM curves JOIN terms USING (term)"
    )[0]
    scores = storage.load_attributions(finished).scores().loc[concept]
    sets = enrichment.load_gene_sets("immune-starter")
    assert sets.collection == collection
    whole = enrichment.running_sum(scores, sets.members[sets.terms.index(identifier)])
    kept = concept_pages.curve_of(opened, concept, term)
    drawn = np.interp(whole.rank, kept["rank"], kept["value"])
    np.testing.assert_allclose(drawn, whole.value, atol=1e-6)
    assert kept["hits"] == whole.hits.tolist()


def test_changes_are_the_largest_effects_with_the_counts_of_both_cells(opened, finished):
    import conceptome as cm

    cells = cm.data.demo()
    effects = load_pair_effects(finished / "effects.zarr")
    concept = int(effects.concept[0])
    table = concept_pages.pairs_of(opened, concept)
    some = effects.of_concept(concept).query("pair == 0")
    largest = some.loc[some["act"].abs().idxmax()]
    first = table["changes"][0][0]
    assert first["symbol"] == largest["gene"]
    assert first["effect_act"] == pytest.approx(largest["act"])
    assert first["factual_value"] == cells[table["factual_id"][0], first["symbol"]].X.toarray().item()
    other = cells[table["counterfactual_id"][0], first["symbol"]].X.toarray().item()
    assert first["counterfactual_value"] == other
    assert other != first["factual_value"]
    assert len(table["changes"][0]) <= 10


def test_directions_are_compared_as_in_the_dictionary(opened, finished):
    from conceptome.dictionaries import geometry, load

    cosines = geometry.cosines(load(finished / "dictionary"))
    np.fill_diagonal(cosines, -1)
    rows = opened.rows("SELECT concept, similarity FROM related WHERE kind = 'directions' AND rank = 1")
    for concept, similarity in rows:
        assert similarity == pytest.approx(cosines[concept].max(), abs=1e-6)


def test_the_same_run_gives_the_same_atlas(built, finished, tmp_path):
    again = build_atlas(finished, tmp_path / "again.atlas")
    assert (again / "manifest.json").read_bytes() == (built / "manifest.json").read_bytes()


def test_annotations_survive_a_rebuild(finished, tmp_path):
    place = build_atlas(finished, tmp_path / "one.atlas")
    with atlas.Atlas.open(place) as before:
        store = atlas.Annotations.beside(place, before.dictionary_id)
    store.save(atlas.Annotation(concept=5, author="Ada", key="before-the-rebuild", label="kept"))
    build_atlas(finished, place, overwrite=True)
    with atlas.Atlas.open(place) as after:
        kept = atlas.Annotations.beside(place, after.dictionary_id)
    assert kept.newest()["label"] == ["kept"]
    assert main(["annotations", "export", str(place), "--out", str(tmp_path / "a.json")]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["revisions"][0]["label"] == "kept"


def test_an_unfinished_run_is_refused(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["stages"]["layout"], manifest["stages"]["report"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError) as caught:
        build_atlas(copy, tmp_path / "x.atlas")
    assert str(caught.value) == (
        f"{copy} is not finished: layout, report. Finish it first with: {manifest['command']}"
    )


def test_other_data_are_refused(finished, tmp_path):
    import conceptome as cm

    cm.data.demo()[:50].copy().write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(BundleError) as caught:
        build_atlas(finished, tmp_path / "x.atlas", data=str(tmp_path / "other.h5ad"))
    assert str(caught.value) == (
        f"{tmp_path / 'other.h5ad'} is not the file that {finished} was made from. Name that one with --data."
    )
