from .fidelity import measure_fidelity
from .measures import evaluate
from .naming import name_concepts
from .perturbation import PerturbationCheck, check_perturbations
from .probes import probe
from .programmes import Recovery, recovery
from .seeds import SeedStability, measure_seeds
from .shifts import concept_shifts
from .splits import seeded_split
from .term_words import readable_term
from .units import label_concepts, match_units

__all__ = [
    "PerturbationCheck",
    "Recovery",
    "SeedStability",
    "check_perturbations",
    "concept_shifts",
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
