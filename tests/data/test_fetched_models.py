"""The encoders read the folders of the registry as they are laid out."""

import pytest

import conceptome as cm
from conceptome.data.registry import named

GENEFORMER = "geneformer_tiny/Geneformer-V2-tiny", "geneformer_tiny/dictionaries_v2"
MODELS = [("scvi-census", ["scvi_tiny/model_B"], 12), ("scgpt-human", ["scgpt_tiny/checkpoint"], 64)]
MODELS += [("geneformer-v2", GENEFORMER, 40)]


@pytest.mark.parametrize(("name", "fixtures", "d_embed"), MODELS)
def test_a_fetched_model_can_be_loaded(server, download_of, shared, tmp_path, name, fixtures, d_embed):
    entry = named(name)
    sources = [path for fixture in fixtures for path in (shared / "fixtures" / fixture).iterdir()]
    content = {path.name: path.read_bytes() for path in sources}
    names = [file.name for file in entry.files if file.name in content]
    assert len(names) >= len(entry.files) - 1, "the fixtures lack Geneformer's table of gene names"
    files = [server.remote(name, content[name]) for name in names]
    download = download_of(*files, encoder=entry.encoder)
    folder = cm.data.fetch_files(download, tmp_path / "model", allowed_schemes=("http",))
    assert cm.encoders.load(entry.encoder, folder).d_embed == d_embed
