from .alignment import Alignment, align, look_up
from .checking import DataReport, inspect, validate
from .counts import counts_source, library_size, raw_counts
from .embedded import demo
from .genes import ensembl_ids, gene_naming, strip_version, symbols, symbols_or_names
from .reading import read

__all__ = [
    "Alignment",
    "DataReport",
    "align",
    "counts_source",
    "demo",
    "ensembl_ids",
    "gene_naming",
    "inspect",
    "library_size",
    "look_up",
    "raw_counts",
    "read",
    "strip_version",
    "symbols",
    "symbols_or_names",
    "validate",
]
