import hashlib
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conceptome.core import InputError
from conceptome.data import available
from conceptome.data.download import size_in_words
from conceptome.data.registry import GENEFORMER_V1, GENEFORMER_V2, SCGPT_HUMAN, named

FILES = [
    pytest.param(file, id=f"{download.name}/{file.name}")
    for download in available()
    for file in download.files
]
PAGE = Path(__file__).parents[2] / "docs" / "downloads.md"


def file_of(download, name):
    return next(file for file in download.files if file.name == name)


def row(download):
    """Write the line of a download in the table of the documentation."""
    checksum = "published" if all(file.sha256 for file in download.files) else "first copy counts"
    host = urlsplit(download.source).netloc
    cite = re.sub(r"(https://[^\s;]+)", r"<\1>", download.reference)
    cells = [f"`{download.name}`", download.what, size_in_words(download.size), checksum, download.licence]
    return "| " + " | ".join([*cells, f"[{host}]({download.source})", cite]) + " |"


def test_names_are_told_apart():
    names = [download.name for download in available()]
    assert len(set(names)) == len(names)
    assert [named(name) for name in names] == list(available())


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError) as caught:
        named("scgpt-humans")
    assert str(caught.value) == (
        "There is no download 'scgpt-humans'. Did you mean 'scgpt-human'? There are scgpt-human, "
        "geneformer-v1, geneformer-v2, scvi-census, hgnc, hallmark, go-bp, go-mf, go-cc, reactome, "
        "collectri, panglaodb."
    )


@pytest.mark.parametrize("file", FILES)
def test_addresses_are_https_and_fixed_to_a_revision(file):
    address = urlsplit(file.url)
    assert address.scheme == "https"
    assert not address.query
    fixed = {
        "huggingface.co": r"/resolve/[0-9a-f]{40}/",
        "data.broadinstitute.org": r"/release/20\d\d\.\d\.Hs/",
        "zenodo.org": r"/records/\d+/",
        "panglaodb.se": r"_27_Mar_2020\.",
    }
    assert re.search(fixed.get(address.netloc, r"20\d\d-\d\d-\d\d"), address.path)
    assert address.path.endswith("/" + file.name)


@pytest.mark.parametrize("download", available(), ids=lambda download: download.name)
def test_the_documentation_has_the_entry(download):
    assert row(download) in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("copy", "file"),
    [
        ("geneformer_30M_token_dictionary.pkl", file_of(GENEFORMER_V1, "token_dictionary_gc30M.pkl")),
        (
            "geneformer_30M_gene_median_dictionary.pkl",
            file_of(GENEFORMER_V1, "gene_median_dictionary_gc30M.pkl"),
        ),
        ("geneformer_30M_gene_name_id_dict.pkl", file_of(GENEFORMER_V1, "gene_name_id_dict_gc30M.pkl")),
        ("geneformer_gc95M_token_dictionary.pkl", file_of(GENEFORMER_V2, "token_dictionary_gc104M.pkl")),
    ],
)
def test_copies_of_published_files_are_those_of_the_registry(shared, copy, file):
    content = (shared / "data" / "vocab" / copy).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)


@pytest.mark.parametrize(
    ("tiny", "download", "fields"),
    [
        (
            "Geneformer-V1-tiny",
            GENEFORMER_V1,
            {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_hidden_layers": 6},
        ),
        (
            "Geneformer-V2-tiny",
            GENEFORMER_V2,
            {
                "hidden_size": 768,
                "intermediate_size": 3072,
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "max_position_embeddings": 4096,
                "transformers_version": "4.44.2",
                "vocab_size": 20275,
            },
        ),
    ],
)
def test_config_written_out_from_its_published_fields_has_the_checksum(shared, tiny, download, fields):
    path = shared / "fixtures" / "geneformer_tiny" / tiny / "config.json"
    config = json.loads(path.read_text()) | fields
    content = (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
    file = file_of(download, "config.json")
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)


def test_the_vocabulary_of_scgpt_has_three_more_tokens_than_that_of_its_code(shared):
    import gzip

    published = gzip.decompress((shared / "data/vocab/scgpt_default_census_vocab.json.gz").read_bytes())
    more = sum(len(f'  "{token}": 60694,\n') for token in ("<pad>", "<cls>", "<eoc>"))
    assert len(published) + more == file_of(SCGPT_HUMAN, "vocab.json").size


def test_the_copy_of_panglaodb_is_that_of_the_registry(shared):
    file = named("panglaodb").files[0]
    content = (shared / "data" / "genesets" / file.name).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
