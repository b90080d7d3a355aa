"""Annotations of genes to ontology terms, with the evidence for each, from GAF files [GAF2]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from conceptome.core import InputError, require_choice
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.text_lines import numbered_lines

Aspect = Literal["P", "F", "C"]
GeneColumn = Literal["symbol", "id"]

EVIDENCE = {
    "experimental": ("EXP", "IDA", "IPI", "IMP", "IGI", "IEP"),
    "high_throughput": ("HTP", "HDA", "HMP", "HGI", "HEP"),
    "phylogenetic": ("IBA", "IBD", "IKR", "IRD"),
    "computational": ("ISS", "ISO", "ISA", "ISM", "IGC", "RCA"),
    "author": ("TAS", "NAS"),
    "curator": ("IC", "ND"),
    "electronic": ("IEA",),
}
"""Evidence codes by the groups of the GO consortium."""

NO_DATA = "ND"  # says that nobody knows anything of the gene, by an annotation to the root
MIN_COLUMNS = 15


@dataclass(frozen=True, eq=False)
class Annotations:
    """Which gene is annotated to which term, and on what evidence."""

    collection: str
    table: pd.DataFrame
    """``gene, term, aspect, evidence, qualifier, taxon``: one row per line of the file that holds."""
    n_negated: int = 0
    """Lines left out because their qualifier is NOT."""

    def gene_sets(
        self,
        *,
        ontology: Ontology | None = None,
        aspect: Aspect | None = None,
        evidence: Sequence[str] | None = None,
    ) -> GeneSets:
        """Make a collection of the genes annotated to each term itself; see `propagate` for those above it.

        Parameters
        ----------
        ontology
            Where names come from; without it a term is named by its identifier.
        aspect
            ``"P"`` biological process, ``"F"`` molecular function, ``"C"`` cellular component; None = all.
        evidence
            Codes (``"IDA"``) or groups of them (``"experimental"``, see `EVIDENCE`); None = all but ``ND``,
            which says that nothing is known.

        Returns
        -------
        The collection, terms in the order of their identifiers, genes in that of the file.

        Raises
        ------
        InputError
            If the aspect or an evidence code is unknown, or no annotation is left.
        """
        codes = _codes(evidence)
        rows = self.table[self.table["evidence"].isin(codes)]
        if aspect is not None:
            require_choice("aspect", aspect, get_args(Aspect))
            rows = rows[rows["aspect"] == aspect]
        if rows.empty:
            asked = f"aspect {aspect or 'any'} and evidence {', '.join(codes)}"
            msg = (
                f"None of the {len(self.table):,} annotations of {self.collection} has {asked}. Ask for more."
            )
            raise InputError(msg)
        members = {str(term): tuple(dict.fromkeys(genes)) for term, genes in rows.groupby("term")["gene"]}
        terms = tuple(members)
        return GeneSets(self.collection, terms, _names(terms, ontology), tuple(members.values()))


def read_gaf(path: Path | str, *, genes: GeneColumn = "symbol") -> Annotations:
    """Read annotations from a GAF file, version 2, plain or gzip.

    Parameters
    ----------
    path
        File such as ``goa_human.gaf.gz``.
    genes
        What names a gene: ``"symbol"`` (column 3) or ``"id"`` (column 2, the identifier in the database).

    Returns
    -------
    All annotations but those whose qualifier is NOT, which say what a gene does not do; these are counted.

    Raises
    ------
    InputError
        If the file is missing or no GAF file (with the line), or an evidence code is unknown.
    """
    require_choice("genes", genes, get_args(GeneColumn))
    path = Path(path)
    column = 2 if genes == "symbol" else 1
    rows, n_negated = [], 0
    for number, line in numbered_lines(path, what="a GAF file"):
        if not line.strip() or line.startswith("!"):
            continue
        fields = _fields(line, where=f"{path}, line {number}")
        if not fields[column]:
            msg = (
                f"{path}, line {number}: the gene has no {genes}. Leave the line out or take another column."
            )
            raise InputError(msg)
        if "NOT" in fields[3].upper().split("|"):
            n_negated += 1
        else:
            rows.append((fields[column], fields[4], fields[8], fields[6], fields[3], fields[12]))
    if not rows:
        msg = f"{path} holds no annotation ({n_negated} with NOT); expected a GAF file. Check the path."
        raise InputError(msg)
    table = pd.DataFrame(rows, columns=["gene", "term", "aspect", "evidence", "qualifier", "taxon"])
    collection = path.name.removesuffix(".gz").removesuffix(".gaf")
    return Annotations(collection, table, n_negated)


def _fields(line: str, *, where: str) -> list[str]:
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) < MIN_COLUMNS or ":" not in fields[4]:
        found = f"found {len(fields)} tab-separated fields"
        msg = f"{where}: {found}, expected 15 to 17, the fifth a term such as GO:0002250, as in a GAF file."
        raise InputError(msg)
    _codes([fields[6]], where=f"{where}: ")
    return fields


def _codes(evidence: Sequence[str] | None, *, where: str = "") -> list[str]:
    known = [code for codes in EVIDENCE.values() for code in codes]
    if evidence is None:
        return [code for code in known if code != NO_DATA]
    unknown = [code for code in evidence if code not in known and code not in EVIDENCE]
    if unknown:
        choices = f"{', '.join(known)} or a group: {', '.join(EVIDENCE)}"
        msg = f"{where}the evidence {unknown[0]!r} is unknown; expected {choices}."
        raise InputError(msg)
    return [code for name in evidence for code in EVIDENCE.get(name, (name,))]


def _names(terms: Sequence[str], ontology: Ontology | None) -> tuple[str, ...]:
    if ontology is None:
        return tuple(terms)
    name_of = dict(zip(ontology.ids, ontology.names, strict=True))
    return tuple(name_of.get(ontology.alternatives.get(term, term), term) for term in terms)
