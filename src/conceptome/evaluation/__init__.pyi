from .fidelity import measure_fidelity
from .measures import evaluate
from .probes import probe
from .splits import seeded_split
from .units import label_concepts, match_units

__all__ = [
    "evaluate",
    "label_concepts",
    "match_units",
    "measure_fidelity",
    "probe",
    "seeded_split",
]
