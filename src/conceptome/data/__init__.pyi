from .alignment import Alignment, align, look_up
from .checking import DataReport, inspect, validate
from .counts import count_chunks, counts_source, library_size, raw_counts
from .download import Download, RemoteFile
from .embedded import demo
from .fetching import cache_folder, describe_downloads, describe_fetched, fetch, fetch_files
from .gene_table import translate_genes
from .genes import ensembl_ids, gene_column, gene_naming, strip_version, symbols, symbols_or_names
from .reading import read
from .registry import available
from .simulation import simulate
from .simulation_options import SimulationOptions
from .transfer import Patience

__all__ = [
    "Alignment",
    "DataReport",
    "Download",
    "Patience",
    "RemoteFile",
    "SimulationOptions",
    "align",
    "available",
    "cache_folder",
    "count_chunks",
    "counts_source",
    "demo",
    "describe_downloads",
    "describe_fetched",
    "ensembl_ids",
    "fetch",
    "fetch_files",
    "gene_column",
    "gene_naming",
    "inspect",
    "library_size",
    "look_up",
    "raw_counts",
    "read",
    "simulate",
    "strip_version",
    "symbols",
    "symbols_or_names",
    "translate_genes",
    "validate",
]
