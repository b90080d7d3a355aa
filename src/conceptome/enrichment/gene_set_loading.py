"""Collections of gene sets by name or from a file of any kind."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

from conceptome.core import InputError
from conceptome.data.download import Download
from conceptome.data.fetching import cache_folder
from conceptome.data.gene_set_registry import COLLECTIONS, COLLECTRI, PANGLAODB
from conceptome.enrichment.gaf import read_gaf
from conceptome.enrichment.gene_set_files import READERS, SUFFIX, read_gmt, read_panglaodb
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.networks import read_network
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.propagation import propagate

GAF = re.compile(r"\.gaf(\.gz)?$", re.IGNORECASE)


def load_gene_sets(name_or_path: Path | str, *, ontology: Ontology | None = None) -> GeneSets:
    """Load a collection that comes with Conceptome or was fetched, or a file.

    Parameters
    ----------
    name_or_path
        Name of a shipped collection, such as ``"immune-starter"``, or of one that ``conceptome data fetch``
        brought, such as ``"hallmark"``; or the path of a file: ``.gmx``, MSigDB's ``.json``, annotations as
        ``.gaf``, anything else is read as GMT; each may be gzipped.
    ontology
        Of the annotations in a ``.gaf``, which hold for all terms above, too; of no use to others.

    Returns
    -------
    The collection.

    Raises
    ------
    InputError
        If it is neither of these, was not fetched yet, or annotations come without their ontology.
    """
    folder = resources.files("conceptome.enrichment") / "collections"
    shipped = {
        entry.name.removesuffix(".gmt"): entry for entry in folder.iterdir() if entry.name.endswith(".gmt")
    }
    if str(name_or_path) in shipped:
        with resources.as_file(shipped[str(name_or_path)]) as path:
            return read_gmt(path, ids="first")
    known = {download.name: download for download in COLLECTIONS}
    if str(name_or_path) in known:
        return _fetched(known[str(name_or_path)])
    if not Path(name_or_path).exists():
        msg = (
            f"{str(name_or_path)!r} is neither a shipped collection ({', '.join(sorted(shipped))}), nor one "
            f"to fetch ({', '.join(known)}), nor an existing file. Give one of these names or a path."
        )
        raise InputError(msg)
    if GAF.search(Path(name_or_path).name):
        return _annotated(Path(name_or_path), ontology)
    kind = SUFFIX.search(Path(name_or_path).name)
    return READERS[kind[1].lower() if kind else "gmt"](name_or_path)


def _annotated(path: Path, ontology: Ontology | None) -> GeneSets:
    """Read annotations and give every term the genes of all terms below it."""
    if ontology is None:
        msg = (
            f"{path} holds annotations, which count for all terms above; that takes their ontology. Give its "
            "OBO file, such as --ontology go-basic.obo."
        )
        raise InputError(msg)
    return propagate(read_gaf(path).gene_sets(ontology=ontology), ontology)


def _fetched(download: Download) -> GeneSets:
    """Read a collection from the cache, under the name of the download."""
    path = cache_folder() / download.name / download.files[0].name
    if not path.is_file():
        msg = (
            f"The collection {download.name} is not at {path}. Run: conceptome data fetch {download.name} "
            f"(licence: {download.licence})"
        )
        raise InputError(msg)
    if download is PANGLAODB:
        return read_panglaodb(path)
    sets = read_network(path) if download is COLLECTRI else read_gmt(path)
    return replace(sets, collection=download.name)
