from .curves import faithfulness
from .forest import attribution_vs_de, genes
from .groups import labels
from .leading_edges import leading_edge
from .maps import concept
from .matchings import sensitivity
from .measures import fidelity
from .returning import returning
from .seeds import stability
from .sweeps import sweep
from .term_map import enrichment_map
from .terms import calibration, running_sum
from .themes import theme_dots
from .thinning import completeness
from .together import modules
from .tree import hierarchy

__all__ = [
    "attribution_vs_de",
    "calibration",
    "completeness",
    "concept",
    "enrichment_map",
    "faithfulness",
    "fidelity",
    "genes",
    "hierarchy",
    "labels",
    "leading_edge",
    "modules",
    "returning",
    "running_sum",
    "sensitivity",
    "stability",
    "sweep",
    "theme_dots",
]
