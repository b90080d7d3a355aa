from .absorption import LabelUnits, carry_labels
from .cards import card_scores
from .cells import EvaluatedCells, read_cells
from .comparands import ScrambledEncoder, scrambled, why_no_control
from .concept_comparison import ConceptComparison, compare_concepts
from .concept_similarities import ComparedConcepts
from .downstream import Downstream
from .factuals import factual_purity
from .fidelity import measure_fidelity
from .files import read_evaluation, write_evaluation
from .gene_measures import GeneTests, measure_genes, why_no_genes
from .measures import SeedMeasures, combine, evaluate, measure_seed
from .metrics import METRICS, Metric
from .mixing import ilisi, lisi
from .naming import name_concepts
from .neighbours import label_neighbours, neighbours_kept
from .perturbation import PerturbationCheck, check_perturbations
from .phase import cell_cycle_phase
from .probes import fit_probe, probe
from .programmes import Recovery, recovery
from .ranking import rank_dictionaries
from .repeats import measure_repeats
from .retraining import train_like
from .seeds import SeedStability, measure_seeds
from .shifts import concept_shifts
from .splits import seeded_split
from .term_words import readable_term
from .units import chance_f1, label_concepts, match_units
from .verdicts import judge

__all__ = [
    "METRICS",
    "ComparedConcepts",
    "ConceptComparison",
    "Downstream",
    "EvaluatedCells",
    "GeneTests",
    "LabelUnits",
    "Metric",
    "PerturbationCheck",
    "Recovery",
    "ScrambledEncoder",
    "SeedMeasures",
    "SeedStability",
    "card_scores",
    "carry_labels",
    "cell_cycle_phase",
    "chance_f1",
    "check_perturbations",
    "combine",
    "compare_concepts",
    "concept_shifts",
    "evaluate",
    "factual_purity",
    "fit_probe",
    "ilisi",
    "judge",
    "label_concepts",
    "label_neighbours",
    "lisi",
    "match_units",
    "measure_fidelity",
    "measure_genes",
    "measure_repeats",
    "measure_seed",
    "measure_seeds",
    "name_concepts",
    "neighbours_kept",
    "probe",
    "rank_dictionaries",
    "read_cells",
    "read_evaluation",
    "readable_term",
    "recovery",
    "scrambled",
    "seeded_split",
    "train_like",
    "why_no_control",
    "why_no_genes",
    "write_evaluation",
]
