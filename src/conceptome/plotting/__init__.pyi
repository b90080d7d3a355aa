from .forest import attribution_vs_de, genes
from .groups import labels
from .maps import concept
from .measures import fidelity
from .seeds import stability
from .sweeps import sweep
from .terms import calibration, running_sum

__all__ = [
    "attribution_vs_de",
    "calibration",
    "concept",
    "fidelity",
    "genes",
    "labels",
    "running_sum",
    "stability",
    "sweep",
]
