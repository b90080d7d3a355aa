"""The downloads that are known by name.

Sizes and checksums were published by those who keep or who fetched the files; above each entry stands where.
We have not fetched them ourselves.
"""

from __future__ import annotations

from conceptome.core import InputError
from conceptome.data.download import Download, RemoteFile
from conceptome.data.gene_set_registry import COLLECTIONS
from conceptome.data.wording import did_you_mean

# The authors' own release is a Google Drive folder (linked from https://github.com/bowang-lab/scGPT), which
# plain clients cannot fetch. https://huggingface.co/wanglab/scGPT-human is the mirror of the authors'
# laboratory; the revision is a commit there. https://huggingface.co/u-cellm/scGPT-whole-human lists the
# checksums of the files in the Drive folder; people who fetched either publish the same, with these sizes.
# That of vocab.json also follows from scgpt/tokenizer/default_census_vocab.json in the scGPT repository:
# 1,317,585 bytes and three more lines of 18. The licence is that repository's; the weights state no other.
_SCGPT = "https://huggingface.co/wanglab/scGPT-human/resolve/a24c237737a40f3720f75abb555489e9fe753be6/"
SCGPT_HUMAN = Download(
    name="scgpt-human",
    what="scGPT whole-human, pretrained on 33 million cells",
    files=(
        RemoteFile(
            name="args.json",
            url=_SCGPT + "args.json",
            size=1_300,
            sha256="c18e075e018140cb8b2d9029387b9de26607a5ce6a8ccabd6ead70cd76b95d60",
        ),
        RemoteFile(
            name="vocab.json",
            url=_SCGPT + "vocab.json",
            size=1_317_639,
            sha256="acca93d114ca62c3f0f50debbd23e8c87f0714f4737764454f6b2b13f2e8580f",
        ),
        RemoteFile(
            name="best_model.pt",
            url=_SCGPT + "best_model.pt",
            size=205_385_258,
            sha256="6cb5d451ab5c4b33eb673adbe4fddc61d2389df1b89b7651a9fe2e557572b922",
        ),
    ),
    licence="MIT",
    source="https://huggingface.co/wanglab/scGPT-human",
    reference="Cui et al. 2024, https://doi.org/10.1038/s41592-024-02201-0",
    encoder="scgpt",
)

# The pages of the large files at https://huggingface.co/ctheodoris/Geneformer/tree/<revision> show their
# checksums under "Git LFS details". Read there in commits of its history: gene_name_id_dict 8ce598f and
# ensembl_mapping_dict 4cdb505 (size and checksum), token_dictionary 933ca80 and model.safetensors 61f15d2
# (checksum). The rest is published by people who fetched this revision. Copies of three dictionaries were
# hashed, and config.json was written out again from its published fields: all agree.
_GENEFORMER = "https://huggingface.co/ctheodoris/Geneformer/resolve/04c2b2e84da7c0f385c3f9ad8f3ec24bab6650e5/"
_GENEFORMER_30M = _GENEFORMER + "geneformer/gene_dictionaries_30m/"
GENEFORMER_V1 = Download(
    name="geneformer-v1",
    what="Geneformer V1, 10 million parameters, pretrained on 30 million cells",
    files=(
        RemoteFile(
            name="config.json",
            url=_GENEFORMER + "Geneformer-V1-10M/config.json",
            size=565,
            sha256="9cf69ca3bdb0215c4188b54c451b6f02adfe68b8f66011a57d0f32845133fd4b",
        ),
        RemoteFile(
            name="model.safetensors",
            url=_GENEFORMER + "Geneformer-V1-10M/model.safetensors",
            size=41_183_536,
            sha256="a5e33a757431643b3697de7ef6127950cdc49e06e58d4266b3a3ab191b683f14",
        ),
        RemoteFile(
            name="token_dictionary_gc30M.pkl",
            url=_GENEFORMER_30M + "token_dictionary_gc30M.pkl",
            size=788_424,
            sha256="ab9dc40973fa5224d77b793e2fd114cacf3d08423ed9c4c49caf0ba9c7f218f1",
        ),
        RemoteFile(
            name="gene_median_dictionary_gc30M.pkl",
            url=_GENEFORMER_30M + "gene_median_dictionary_gc30M.pkl",
            size=940_965,
            sha256="b3b589bb5ec75040d05fc44dd6bf0184cf87f3c362cf158d196a6ed3b7fe5f39",
        ),
        RemoteFile(
            name="ensembl_mapping_dict_gc30M.pkl",
            url=_GENEFORMER_30M + "ensembl_mapping_dict_gc30M.pkl",
            size=584_125,
            sha256="eac0fb0b3007267871b6305ac0003ceba19d4f28d85686cb9067ecf142787869",
        ),
        RemoteFile(
            name="gene_name_id_dict_gc30M.pkl",
            url=_GENEFORMER_30M + "gene_name_id_dict_gc30M.pkl",
            size=1_117_117,
            sha256="55e67962e79c0039a6c32d43c5c99f38e51964bbcfa32f736150ee1e285c438c",
        ),
    ),
    licence="Apache-2.0",
    source="https://huggingface.co/ctheodoris/Geneformer",
    reference="Theodoris et al. 2023, https://doi.org/10.1038/s41586-023-06139-9",
    encoder="geneformer",
)

# As above. The dictionaries called gc104M were called gc95M at first: ensembl_mapping_dict 47341ab and
# gene_name_id_dict 01d3ea8 (size and checksum), gene_median_dictionary 1e18102 and token_dictionary 933ca80
# (checksum). Several people who fetched this revision publish the rest.
GENEFORMER_V2 = Download(
    name="geneformer-v2",
    what="Geneformer V2, 104 million parameters, pretrained on 104 million cells",
    files=(
        RemoteFile(
            name="config.json",
            url=_GENEFORMER + "Geneformer-V2-104M/config.json",
            size=590,
            sha256="467d4492f0dd53b4d60afffe20812db484ca1cf9fdbeb6a6e060e93564f70859",
        ),
        RemoteFile(
            name="model.safetensors",
            url=_GENEFORMER + "Geneformer-V2-104M/model.safetensors",
            size=417_571_156,
            sha256="fff5cba29ddd8792991fa77b4872246fbe548a178cebda3775cdc72b67780e7f",
        ),
        RemoteFile(
            name="token_dictionary_gc104M.pkl",
            url=_GENEFORMER + "geneformer/token_dictionary_gc104M.pkl",
            size=425_590,
            sha256="67c445f4385127adfc48dcc072320cd65d6822829bf27dd38070e6e787bc597f",
        ),
        RemoteFile(
            name="gene_median_dictionary_gc104M.pkl",
            url=_GENEFORMER + "geneformer/gene_median_dictionary_gc104M.pkl",
            size=1_512_661,
            sha256="a51c53f6a771d64508dfaf61529df70e394c53bd20856926117ae5d641a24bf5",
        ),
        RemoteFile(
            name="ensembl_mapping_dict_gc104M.pkl",
            url=_GENEFORMER + "geneformer/ensembl_mapping_dict_gc104M.pkl",
            size=3_957_652,
            sha256="0819bcbd869cfa14279449b037eb9ed1d09a91310e77bd1a19d927465030e95c",
        ),
        RemoteFile(
            name="gene_name_id_dict_gc104M.pkl",
            url=_GENEFORMER + "geneformer/gene_name_id_dict_gc104M.pkl",
            size=1_660_882,
            sha256="fabfa0c2f49c598c59ae432a32c3499a5908c033756c663b5e0cddf58deea8e1",
        ),
    ),
    licence="Apache-2.0",
    source="https://huggingface.co/ctheodoris/Geneformer",
    reference="Chen et al. 2024, https://doi.org/10.1101/2024.08.16.608180",
    encoder="geneformer",
)

# Address: the notebooks on scVI in the documentation of the CELLxGENE Census,
# https://chanzuckerberg.github.io/cellxgene-census/. 2024-07-01 is one of its long-term releases. Neither an
# exact size (about 177 MB, say some) nor a SHA-256 nor a licence of the weights was found.
SCVI_CENSUS = Download(
    name="scvi-census",
    what="scVI of the CELLxGENE Census 2024-07-01, human",
    files=(
        RemoteFile(
            name="model.pt",
            url="https://cellxgene-contrib-public.s3.us-west-2.amazonaws.com/"
            "models/scvi/2024-07-01/homo_sapiens/model.pt",
            size=None,
            sha256=None,
        ),
    ),
    licence="not stated",
    source="https://virtualcellmodels.cziscience.com/model/0192c0b9-e574-7f7e-bf7d-167ed1ef2ced",
    reference="Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2; "
    "CZI Cell Science Program 2025, https://doi.org/10.1093/nar/gkae1142",
    encoder="scvi",
)

# Address: https://www.genenames.org/download/archive/; licence: https://www.genenames.org/about/license/.
# Several projects on GitHub pin this quarterly snapshot with the same size and checksum.
HGNC = Download(
    name="hgnc",
    what="HGNC complete set 2026-07-07: symbols and Ensembl ids of human genes",
    files=(
        RemoteFile(
            name="hgnc_complete_set_2026-07-07.txt",
            url="https://storage.googleapis.com/public-download-files/hgnc/archive/archive/quarterly/tsv/"
            "hgnc_complete_set_2026-07-07.txt",
            size=16_913_890,
            sha256="e73e9259177884b5994fc81ed733c1b3d4df34c84290bc9dddc86e960d5d6419",
        ),
    ),
    licence="CC0 1.0",
    source="https://www.genenames.org/download/archive/",
    reference="Seal et al. 2023, https://doi.org/10.1093/nar/gkac888",
)

_DOWNLOADS = (SCGPT_HUMAN, GENEFORMER_V1, GENEFORMER_V2, SCVI_CENSUS, HGNC, *COLLECTIONS)


def available() -> tuple[Download, ...]:
    """List what `fetch` can bring.

    Returns
    -------
    The downloads, models first.
    """
    return _DOWNLOADS


def named(name: str) -> Download:
    """Find a download.

    Parameters
    ----------
    name
        Its name, such as ``"scgpt-human"``.

    Returns
    -------
    The download.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    by_name = {download.name: download for download in _DOWNLOADS}
    if name not in by_name:
        names = ", ".join(by_name)
        msg = f"There is no download {name!r}.{did_you_mean(name, list(by_name))} There are {names}."
        raise InputError(msg)
    return by_name[name]
