"""Collections of gene sets come from a server into the cache and load by their names."""

import gzip
import re
from dataclasses import replace

import pytest

import conceptome as cm
from conceptome.core import ConceptomeError
from conceptome.data.fetching import cache_folder
from conceptome.data.registry import COLLECTIONS, named

GENESETS = "data/genesets"
COLLECTRI = "source,target,weight\nMYC,TERT,1\nMYC,CDKN1A,-1\nTP53,CDKN1A,1\n"


def content_of(name, shared):
    """Give what the server of a collection would send: its own bytes where they are at hand."""
    folder = shared / GENESETS
    if name == "collectri":
        return COLLECTRI.encode()
    if name == "panglaodb":
        return (folder / "PanglaoDB_markers_27_Mar_2020.tsv.gz").read_bytes()
    if name == "hallmark":
        return (folder / "hallmark_msigdb_v2024.1.Hs.symbols.gmt").read_bytes()
    if name == "reactome":
        return gzip.decompress((folder / "reactome_msigdb_v2023.1.Hs.symbols.gmt.gz").read_bytes())
    return gzip.decompress((folder / "gobp_msigdb_v2023.1.Hs.max300genes.symbols.gmt.gz").read_bytes())


@pytest.mark.parametrize("name", [download.name for download in COLLECTIONS])
def test_a_fetched_collection_loads_by_its_name(server, shared, tmp_path, monkeypatch, name):
    monkeypatch.setenv("CONCEPTOME_CACHE", str(tmp_path))
    entry, body = named(name), content_of(name, shared)
    (file,) = entry.files
    served = server.remote(file.name, body)
    local = replace(file, url=served.url, size=served.size if name == "collectri" else file.size)
    local = replace(local, sha256=served.sha256 if name == "collectri" else file.sha256)
    folder = cm.data.fetch_files(
        replace(entry, files=(local,)), cache_folder() / name, allowed_schemes=("http",), verify=True
    )
    assert (folder / file.name).read_bytes() == body
    sets = cm.enrichment.load_gene_sets(name)
    assert sets.collection == name
    expected = {"hallmark": 50, "panglaodb": 163, "collectri": 2}
    assert len(sets) == expected.get(name, len(body.splitlines()))
    assert bool(sets.weights) == (name == "collectri")


def test_a_collection_that_came_damaged_is_refused(server, shared, tmp_path):
    """The checksum in the registry is that of the true file."""
    entry = named("panglaodb")
    body = bytearray(content_of("panglaodb", shared))
    body[1000] ^= 1
    local = replace(entry.files[0], url=server.remote(entry.files[0].name, bytes(body)).url)
    with pytest.raises(ConceptomeError, match=re.escape(entry.files[0].sha256[:12])):
        cm.data.fetch_files(replace(entry, files=(local,)), tmp_path / "x", allowed_schemes=("http",))
    assert not (tmp_path / "x" / entry.files[0].name).exists()
