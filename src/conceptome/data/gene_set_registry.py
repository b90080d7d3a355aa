"""The collections of gene sets known by name; see `conceptome.data.registry` for what is vouched for."""

from __future__ import annotations

from conceptome.data.download import Download, RemoteFile

_MSIGDB = "https://data.broadinstitute.org/gsea-msigdb/msigdb/release/2024.1.Hs/"
_MSIGDB_PAGE = "https://www.gsea-msigdb.org/gsea/msigdb/human/collections.jsp"
_MSIGDB_CITE = "Liberzon et al. 2015, https://doi.org/10.1016/j.cels.2015.12.004"
_GO_CITE = "Gene Ontology Consortium 2023, https://doi.org/10.1093/genetics/iyad031; " + _MSIGDB_CITE


# Address: the release folder of MSigDB, used with these names by many projects on GitHub. Licence:
# https://www.gsea-msigdb.org/gsea/msigdb_license_terms.jsp. Nobody was found to publish sizes or checksums.
def _of_msigdb(name: str, what: str, file: str, *, licence: str, reference: str) -> Download:
    return Download(
        name=name,
        what=what,
        files=(RemoteFile(name=file, url=_MSIGDB + file, size=None, sha256=None),),
        licence=licence,
        source=_MSIGDB_PAGE,
        reference=reference,
    )


HALLMARK = _of_msigdb(
    "hallmark",
    "MSigDB 2024.1 Hallmark: 50 gene sets, human",
    "h.all.v2024.1.Hs.symbols.gmt",
    licence="CC BY 4.0",
    reference=_MSIGDB_CITE,
)
REACTOME = _of_msigdb(
    "reactome",
    "Reactome pathways of MSigDB 2024.1, human",
    "c2.cp.reactome.v2024.1.Hs.symbols.gmt",
    licence="CC BY 4.0 (Reactome: CC0)",
    reference="Milacic et al. 2024, https://doi.org/10.1093/nar/gkad1025; " + _MSIGDB_CITE,
)
GO_BP, GO_MF, GO_CC = (
    _of_msigdb(
        f"go-{aspect}",
        f"Gene Ontology, {words}, of MSigDB 2024.1, human",
        f"c5.go.{aspect}.v2024.1.Hs.symbols.gmt",
        licence="CC BY 4.0",
        reference=_GO_CITE,
    )
    for aspect, words in (
        ("bp", "biological process"),
        ("mf", "molecular function"),
        ("cc", "cellular component"),
    )
)

# Address: decoupler reads the same; a public catalogue of reference data on GitHub pins this record with size
# and checksum. Its licence is the record's; the databases that it joins have terms of their own.
COLLECTRI = Download(
    name="collectri",
    what="CollecTRI: transcription factors and their targets with signs, human",
    files=(
        RemoteFile(
            name="CollecTRI_regulons.csv",
            url="https://zenodo.org/records/8192729/files/CollecTRI_regulons.csv",
            size=4_345_649,
            sha256="4473c9189dd53dacc80297709ad1452dda1086a1cc2185f9a56146c261668701",
        ),
    ),
    licence="CC BY 4.0 (sources have terms of their own)",
    source="https://zenodo.org/records/8192729",
    reference="Mueller-Dott et al. 2023, https://doi.org/10.1093/nar/gkad841",
)

# A public project on GitHub pins this checksum of the file as served; a copy that we could hash agrees, and
# has this size. The site states no licence.
PANGLAODB = Download(
    name="panglaodb",
    what="PanglaoDB 27 March 2020: marker genes of cell types, human and mouse",
    files=(
        RemoteFile(
            name="PanglaoDB_markers_27_Mar_2020.tsv.gz",
            url="https://panglaodb.se/markers/PanglaoDB_markers_27_Mar_2020.tsv.gz",
            size=311_558,
            sha256="6779952ad40aa5a124de7bd0e18975c6630bd6006d6b3ef210a916caaa6b53c9",
        ),
    ),
    licence="not stated",
    source="https://panglaodb.se/markers.html",
    reference="Franzen et al. 2019, https://doi.org/10.1093/database/baz046",
)

COLLECTIONS = (HALLMARK, GO_BP, GO_MF, GO_CC, REACTOME, COLLECTRI, PANGLAODB)
