"""The whole run on real cells, small: what it writes, that it resumes, what its results depend on."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.attribution.rows import RowMaker
from conceptome.cli import main
from conceptome.core import ENRICHMENT_COLUMNS, BundleError, InputError
from conceptome.pipeline import RunConfig, config_of, describe_run, run, stages
from conceptome.pipeline.context import Run
from conceptome.pipeline.folder import RunFolder, checksum

COLUMNS = {
    "pairs": "concept pair factual counterfactual activation distance distance_percentile "
    "library_ratio matched",
    "attributions": "concept gene attribution se ci_low ci_high effect_act effect_pre n_pairs n_differing "
    "sign_consistency p q floor drives intervention status",
    "enrichment": " ".join(ENRICHMENT_COLUMNS),
    "de": "concept gene log_fold_change p q",
    "themes": "concept theme theme_term theme_name n_terms collection term name similarity basis size nes p "
    "q_concept q_global leading_edge",
    "concepts": "concept frequency mean_activation best_label best_label_f1 top_genes top_term pair_warning "
    "auto_name confidence evidence themes survival_75 stability module module_strength "
    "card_score card_parts part_fidelity part_stability part_faithfulness part_annotation "
    "part_label variance_lost",
    "completeness": "concept thinning share repeat n_findings n_tested n_survived survival n_new",
    "contrast": "concept collection term name found es_attribution q_global_attribution es_expression "
    "q_global_expression",
    "modules": "module n_concepts share correlation label label_f1",
}
PARQUET = [
    "pairs",
    "pairs_null",
    "attributions",
    "attributions_null",
    "de",
    "enrichment",
    "enrichment_de",
    "themes",
    "completeness",
    "contrast",
    "concepts",
    "modules",
]


def settings(out, **changes):
    config = RunConfig(
        data="demo",
        out=str(out),
        encoder="linear",
        label_key=("cell_type",),
        n_concepts=24,
        k=4,
        n_pairs=16,
        min_size=5,
        n_permutations=200,
    )
    return replace(config, **changes)


pytestmark = pytest.mark.usefixtures("flat_layout")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The whole run, with its UMAP and its report; the others here leave out what they do not look at."""
    return run(settings(tmp_path_factory.mktemp("runs") / "run"))


def checksums(folder, names=PARQUET):
    return {name: checksum(folder / f"{name}.parquet") for name in names}


@pytest.mark.parametrize("name", COLUMNS)
def test_tables_have_the_promised_columns(finished, name):
    table = pd.read_parquet(finished / f"{name}.parquet")
    assert [c for c in COLUMNS[name].split() if c not in table.columns] == []
    assert len(table) > 0


def test_pairs_that_may_confound_are_warned_of(tmp_path):
    adata = cm.data.demo()
    half = np.arange(adata.n_obs) % 2 == 0
    adata.X[half] *= 8  # libraries of one batch are eight times as large
    adata.obs["batch"] = np.where(half, "deep", "shallow")
    adata.write_h5ad(tmp_path / "data.h5ad")
    changes = {"data": str(tmp_path / "data.h5ad"), "donor_key": "batch", "label_key": (), "n_pairs": 12}
    changes |= {"n_concepts": 8, "k": 2}
    folder = run(settings(tmp_path / "run", **changes), until="summarise")
    warned = pd.read_parquet(folder / "concepts.parquet")["pair_warning"]
    assert warned.str.contains("libraries|library sizes").any()


def test_every_promised_file_is_there(finished):
    names = "config.toml manifest.json log.txt embeddings.zarr dictionary/config.json "
    names += "dictionary/weights.safetensors activations.zarr evaluation.json report.html"
    assert [name for name in names.split() if not (finished / name).exists()] == []


def test_the_manifest_vouches_for_everything(finished):
    manifest = json.loads((finished / "manifest.json").read_text())
    assert list(manifest["stages"]) == [stage.name for stage in stages.STAGES]
    for entry in manifest["stages"].values():
        for name, expected in entry["files"].items():
            assert checksum(finished / name) == expected
    assert manifest["versions"]["conceptome"] == cm.__version__
    assert manifest["input"]["n_cells"] == 700


def test_the_best_b_cell_concept_is_driven_by_b_cell_markers(finished):
    concepts = pd.read_parquet(finished / "concepts.parquet")
    b_cell = concepts[concepts["best_label"] == "CD19+ B"].sort_values("best_label_f1").iloc[-1]
    assert b_cell["best_label_f1"] > 0.7
    scores = pd.read_parquet(finished / "attributions.parquet").query("concept == @b_cell.concept")
    strongest = scores.nlargest(15, "attribution")["gene"].astype(str)
    assert {"CD79A", "CD79B", "MS4A1", "HLA-DRA", "CD74"} & set(strongest), strongest.tolist()


def test_a_second_run_keeps_every_stage(finished, caplog):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.parquet")}
    with caplog.at_level("INFO", logger="conceptome"):
        run(settings(finished))
    assert sum("kept" in message for message in caplog.messages) == len(stages.STAGES)
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*.parquet")}


def test_same_seed_gives_identical_tables_whatever_the_batch_size(finished, tmp_path):
    again = run(settings(tmp_path / "again", batch_size=100), until="summarise")
    assert checksums(again) == checksums(finished)


def test_an_interrupted_run_continues_to_the_same_tables(finished, tmp_path, monkeypatch, caplog):
    done = []

    def interrupted_row(maker, concept):
        done.append(concept)
        if len(done) == 5:
            raise KeyboardInterrupt
        return make(maker, concept)

    make = RowMaker.__call__
    with monkeypatch.context() as patch:
        patch.setattr(RowMaker, "__call__", interrupted_row)
        with pytest.raises(KeyboardInterrupt):
            run(settings(tmp_path / "run"), until="summarise")
    assert len(done) == 5
    assert not (tmp_path / "run" / "attributions.parquet").exists()
    assert not (tmp_path / "run" / ".partial").exists()
    assert "stopped by KeyboardInterrupt" in (tmp_path / "run" / "log.txt").read_text()
    trained = (tmp_path / "run" / "dictionary" / "weights.safetensors").stat().st_mtime_ns
    with caplog.at_level("INFO", logger="conceptome"):
        run(settings(tmp_path / "run"), until="summarise")
    kept = [message for message in caplog.messages if "kept" in message]
    assert [message.split()[1].rstrip(":") for message in kept] == ["embed", "train", "match"]
    assert (tmp_path / "run" / "dictionary" / "weights.safetensors").stat().st_mtime_ns == trained
    assert checksums(tmp_path / "run") == checksums(finished)


def test_a_changed_setting_repeats_only_what_depends_on_it(finished, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(stages, "write_report", lambda path, _: path.write_text("left out"))
    shutil.copytree(finished, tmp_path / "run")
    with caplog.at_level("INFO", logger="conceptome"):
        run(settings(tmp_path / "run", min_size=6))
    kept = {message.split()[1].rstrip(":") for message in caplog.messages if "kept" in message}
    assert kept == {"embed", "train", "match", "attribute", "compare", "evaluate", "stability", "layout"}


@pytest.mark.parametrize("method", ["ulm", "ora"])
def test_the_command_enrich_repeats_the_enrichment_alone(finished, tmp_path, capsys, monkeypatch, method):
    monkeypatch.setattr(stages, "write_report", lambda path, _: path.write_text("left out"))
    shutil.copytree(finished, tmp_path / "run")
    before = RunFolder(finished).manifest["stages"]
    assert main(["enrich", str(tmp_path / "run"), "--enrichment-method", method]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Enrichment: ")
    assert "under expression-matched sets: " in told
    named = pd.read_parquet(tmp_path / "run" / "concepts.parquet").nlargest(1, "confidence")
    assert f"{named['auto_name'].iloc[0]} (confidence {named['confidence'].iloc[0]:.2f})" in told
    after = RunFolder(tmp_path / "run").manifest["stages"]
    assert {name for name in after if after[name] != before[name]} == {"enrich", "summarise", "report"}
    config = replace(settings(tmp_path / "run"), enrichment_method=method)
    assert config_of(tmp_path / "run", {}) == config
    folder = Run(config, RunFolder(tmp_path / "run"))
    for name in ("enrichment", "enrichment_de"):
        record = folder.enrichment(name)
        assert record.method == method
        assert record.table["nes"].isna().all()
        controls = {"gene-permuted scores", "expression-matched sets", "null-pair scores"}
        expected = controls if name == "enrichment" else controls - {"null-pair scores"}
        assert set(record.calibration["control"]) == expected


def test_survival_in_the_table_of_concepts_is_that_of_the_counts(finished):
    counts = pd.read_parquet(finished / "completeness.parquet")
    tested = pd.read_parquet(finished / "enrichment.parquet")
    found = (tested["q_global"] <= 0.05).groupby(tested["concept"]).sum()
    for concept, rows in counts.groupby("concept"):
        assert (rows["n_findings"] == found[concept]).all()
    mean = counts[np.isclose(counts["share"], 0.75)].groupby("concept")["survival"].mean()
    concepts = pd.read_parquet(finished / "concepts.parquet").set_index("concept")["survival_75"]
    assert concepts.notna().any()
    pd.testing.assert_series_equal(concepts.dropna(), mean.dropna(), check_names=False)


def test_a_folder_written_before_flags_and_methods_is_read(finished, tmp_path):
    from conceptome.pipeline import enrichment_files, storage

    shutil.copytree(finished, tmp_path / "run")
    table, meta = storage.read_table(finished / "enrichment.parquet")
    old = [{key: value for key, value in row.items() if key != "flag"} for row in meta["calibration"]]
    path = tmp_path / "run" / "enrichment.parquet"
    facts = {"dictionary_id": meta["dictionary_id"], "rank_by": meta["rank_by"]}
    storage.write_table(table.drop(columns="flag"), path, calibration=old, **facts)
    for name in ("completeness", "contrast"):
        (tmp_path / "run" / f"{name}.parquet").unlink()
    record = enrichment_files.load_enrichment(path)
    assert (record.method, set(record.table["flag"])) == ("gsea", {""})
    assert set(record.calibration["flag"]) == {""}
    work = Run(settings(tmp_path / "run"), RunFolder(tmp_path / "run"))
    assert work.completeness is None
    assert work.contrast is None
    assert "enrich     damaged" in describe_run(tmp_path / "run")


def test_the_contrast_comes_back_from_the_folder(finished):
    work = Run(settings(finished), RunFolder(finished))
    both = cm.enrichment.contrast(work.enrichment("enrichment"), work.enrichment("enrichment_de"), seed=0)
    again = work.contrast
    pd.testing.assert_frame_equal(again.findings, both.findings)
    pd.testing.assert_frame_equal(again.concepts, both.concepts)
    assert (again.jaccard, again.expected, again.p) == (both.jaccard, both.expected, both.p)


def test_other_data_is_refused_and_the_run_stays(finished, tmp_path):
    cm.data.demo()[:100].write_h5ad(tmp_path / "other.h5ad")
    before = checksums(finished)
    with pytest.raises(
        BundleError, match=r"holds a run on other data .*Choose another --out, or remove the folder"
    ):
        run(settings(finished, data=str(tmp_path / "other.h5ad")))
    assert checksums(finished) == before


def test_a_run_without_labels_ends_in_a_report(tmp_path):
    folder = run(settings(tmp_path / "run", label_key=(), n_pairs=8, n_concepts=8, k=2))
    concepts = pd.read_parquet(folder / "concepts.parquet")
    assert concepts["best_label"].isna().all()
    assert "given no label column" in (folder / "report.html").read_text()
    assert "best concept for each label" not in describe_run(folder)


def test_foreign_gene_sets_leave_enrichment_out_and_say_why(tmp_path):
    (tmp_path / "fly.gmt").write_text("FLY\tfly\t" + "\t".join(f"Fbgn{i:04d}" for i in range(30)) + "\n")
    folder = run(
        settings(tmp_path / "run", gene_sets=(str(tmp_path / "fly.gmt"),), n_pairs=8, n_concepts=8, k=2)
    )
    reason = json.loads((folder / "manifest.json").read_text())["stages"]["enrich"]["missing"]
    assert reason.startswith("No term of ")
    assert "has 5 to 500 of the measured genes" in reason
    assert not (folder / "enrichment.parquet").exists()
    assert "No term of " in (folder / "report.html").read_text()


def test_another_model_in_the_same_folder_is_noticed(finished, tmp_path, caplog):
    adata = cm.data.demo()
    cm.encoders.fit("linear", adata, options=cm.encoders.LinearOptions(n_components=8)).save(
        tmp_path / "model"
    )
    config = settings(tmp_path / "run", encoder=f"linear:{tmp_path / 'model'}", n_pairs=8, n_concepts=8, k=2)
    run(config, until="train")
    cm.encoders.fit("linear", adata, options=cm.encoders.LinearOptions(n_components=6)).save(
        tmp_path / "model"
    )
    with caplog.at_level("INFO", logger="conceptome"):
        run(config, until="train")
    assert f"[1/{len(stages.STAGES)}] embed: 700 cells, 6 coordinates" in "\n".join(caplog.messages)
    assert not any("kept" in message for message in caplog.messages)


def test_a_model_saved_again_with_another_edit_is_noticed(tmp_path):
    """Its embeddings are the same, and so is its encoder_id; its attributions are not."""
    encoder = cm.encoders.fit("linear", cm.data.demo(), options=cm.encoders.LinearOptions(n_components=6))
    folder, digests = tmp_path / "model", []
    for edit in ("values", "normalised", "values"):
        options = replace(encoder.options, edit=edit)
        again = cm.encoders.LinearEncoder(encoder.weights, encoder.bias, encoder.genes, options=options)
        again.save(folder)
        config = settings(tmp_path / "run", encoder=f"linear:{folder}")
        digests.append(Run(config, RunFolder(config.out)).model_digest)
    assert digests[0] == digests[2] != digests[1]


def test_a_rerun_that_fails_leaves_nothing_out_of_date_vouched_for(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(stages.counterfactuals, "match", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(settings(tmp_path / "run", k=3))
    text = describe_run(tmp_path / "run")
    assert "  attribute  not done" in text
    assert "  report     not done" in text
    assert text.splitlines()[-1].startswith("Next: continue with the same command: conceptome run --config ")


def test_a_failed_first_attempt_does_not_block_the_folder(tmp_path):
    with pytest.raises(InputError, match="nonsense"):
        run(settings(tmp_path / "run", encoder="nonsense"))
    cm.data.demo()[:200].copy().write_h5ad(tmp_path / "other.h5ad")
    folder = run(settings(tmp_path / "run", data=str(tmp_path / "other.h5ad")), until="embed")
    assert json.loads((folder / "manifest.json").read_text())["input"]["n_cells"] == 200


def test_cuda_is_refused_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=r"^device is 'cuda', but PyTorch finds no CUDA device here"):
        run(settings(tmp_path / "run", device="cuda"))
    assert not (tmp_path / "run").exists()


def test_precomputed_embeddings_give_everything_but_attribution(tmp_path):
    adata = cm.data.demo()
    adata.obsm["X_mine"] = cm.encoders.fit("linear", adata, seed=0).embed(adata).values[:, :10]
    adata.write_h5ad(tmp_path / "mine.h5ad")
    changes = {"data": str(tmp_path / "mine.h5ad"), "n_concepts": 8, "k": 2}
    folder = run(settings(tmp_path / "run", encoder="obsm:X_mine", **changes))
    assert not (folder / "attributions.parquet").exists()
    assert not (folder / "enrichment.parquet").exists()
    assert len(pd.read_parquet(folder / "enrichment_de.parquet")) > 0
    assert len(pd.read_parquet(folder / "completeness.parquet")) > 0
    assert not (folder / "contrast.parquet").exists()
    assert "findings by expression, " in (folder / "report.html").read_text()
    concepts = pd.read_parquet(folder / "concepts.parquet")
    assert set(concepts["top_genes"]) == {""}
    reason = json.loads((folder / "manifest.json").read_text())["stages"]["attribute"]["missing"]
    assert "is a finished embedding" in reason
    assert "is a finished embedding" in (folder / "report.html").read_text()


def test_the_overview_tells_the_state_and_the_next_step(finished):
    text = describe_run(finished)
    assert text.splitlines()[0].startswith(
        f"{finished}: run on pbmc68k_reduced (scanpy) (700 cells x 765 genes)"
    )
    assert text.splitlines()[-1] == f"Next: open {finished / 'report.html'}"
    assert "CD19+ B (F1 " in text


def test_the_overview_notices_damage(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "de.parquet").write_bytes(b"PAR1")
    text = describe_run(tmp_path / "run")
    assert "compare    damaged: its files are not what it wrote" in text
    assert text.splitlines()[-1].startswith("Next: continue with the same command")


def test_records_come_back_from_the_folder_exactly(finished):
    from conceptome.pipeline import RunFolder
    from conceptome.pipeline.context import Run

    work = Run(settings(finished), RunFolder(finished))
    first = work.attributions
    pairs = work.pairs
    direct = cm.attribution.attribute(work.adata, work.encoder, work.dictionary, pairs, seed=0)
    for name in ("attribution", "se", "ci_low", "p", "q", "floor", "null_attribution", "null_driver_rate"):
        np.testing.assert_array_equal(getattr(first, name), getattr(direct, name))
    assert list(first.status) == list(direct.status)
    assert first.noise_floor == direct.noise_floor
