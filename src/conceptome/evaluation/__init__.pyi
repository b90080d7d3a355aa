from .fidelity import measure_fidelity
from .measures import evaluate
from .naming import name_concepts
from .probes import probe
from .programmes import Recovery, recovery
from .seeds import SeedStability, measure_seeds
from .splits import seeded_split
from .term_words import readable_term
from .units import label_concepts, match_units

__all__ = [
    "Recovery",
    "SeedStability",
    "evaluate",
    "label_concepts",
    "match_units",
    "measure_fidelity",
    "measure_seeds",
    "name_concepts",
    "probe",
    "readable_term",
    "recovery",
    "seeded_split",
]
