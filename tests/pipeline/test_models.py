"""Whole runs on published models: real cells, small models with random weights."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from conceptome.cli import main

pytestmark = pytest.mark.usefixtures("flat_layout")


@pytest.fixture(scope="module")
def file(shared, tmp_path_factory):
    """120 real cells, 60 genes that scGPT's small vocabulary knows, 10 that it does not."""
    adata = ad.read_h5ad(shared / "data" / "pbmc3k_10x_raw.h5ad")[::22]
    vocabulary = json.loads((shared / "fixtures/scgpt_tiny/checkpoint/vocab.json").read_text())
    known = adata.var_names.isin(list(vocabulary))
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    chosen = np.concatenate([np.argsort(-total * known)[:60], np.argsort(-total * ~known)[:10]])
    path = tmp_path_factory.mktemp("cells") / "pbmc.h5ad"
    adata[:, np.sort(chosen)].copy().write_h5ad(path)
    return path


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("scgpt:{fixtures}/scgpt_tiny/checkpoint", ["layer=2", "pooling=average"]),
        ("geneformer:{fixtures}/geneformer_tiny/Geneformer-V1-tiny", []),
    ],
)
def test_a_run_on_a_published_model(shared, file, tmp_path, capsys, spec, options):
    words = ["run", str(file), "--out", str(tmp_path / "run"), "--label-key", "cell_type"]
    words += ["--encoder", spec.format(fixtures=shared / "fixtures"), "--n-concepts", "4", "--k", "2"]
    words += ["--n-pairs", "4", "--min-pairs", "2", "--n-permutations", "100", "--min-size", "2"]
    assert main([*words, *(["--encoder-options", *options] if options else [])]) == 0
    report = tmp_path / "run" / "report.html"
    assert capsys.readouterr().out.startswith(f"Report: {report}\nNext: conceptome build ")
    table = pd.read_parquet(tmp_path / "run" / "attributions.parquet")
    genes = ad.read_h5ad(file).var_names
    assert set(table["gene"]) == set(genes)
    known = table.groupby("gene")["attribution"].apply(lambda values: values.notna().any())
    assert known.sum() >= 40
    if spec.startswith("scgpt"):
        assert known.sum() == 60
    assert table["attribution"].abs().max() > 0.01
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["config"]["encoder_options"] == options
    assert (tmp_path / "run" / "encoder" / "weights.safetensors").is_file()
    assert not list((tmp_path / "run").rglob("*.pt"))
