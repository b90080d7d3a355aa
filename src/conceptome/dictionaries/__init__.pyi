from .affine import AffineDictionary, Weights
from .baselines import IcaDictionary, NeuronDictionary, PcaDictionary
from .batch_topk import BatchTopK, BatchTopKDictionary
from .centroids import KMeansDictionary
from .checkpoint import Checkpoint
from .comparison import Matching, match_concepts
from .fidelity import explained_variance
from .geometry import nearest_concepts
from .heldout import HeldoutSplit
from .jumprelu import JumpReLU, JumpReluDictionary, ThresholdedWeights
from .matryoshka import Matryoshka, MatryoshkaDictionary
from .modules import Modules, concept_modules
from .nesting import Hierarchy, hierarchy
from .nonnegative import NmfDictionary
from .options import TrainingOptions
from .random_sae import RandomSaeDictionary
from .recurrence import Consensus, Stability, consensus, stability
from .relu_l1 import ReluL1, ReluL1Dictionary
from .saelens import export_saelens, import_saelens
from .storage import load
from .sweeping import Sweep, sweep
from .topk import TopK, TopKDictionary
from .training import train

__all__ = [
    "AffineDictionary",
    "BatchTopK",
    "BatchTopKDictionary",
    "Checkpoint",
    "Consensus",
    "HeldoutSplit",
    "Hierarchy",
    "IcaDictionary",
    "JumpReLU",
    "JumpReluDictionary",
    "KMeansDictionary",
    "Matching",
    "Matryoshka",
    "MatryoshkaDictionary",
    "Modules",
    "NeuronDictionary",
    "NmfDictionary",
    "PcaDictionary",
    "RandomSaeDictionary",
    "ReluL1",
    "ReluL1Dictionary",
    "Stability",
    "Sweep",
    "ThresholdedWeights",
    "TopK",
    "TopKDictionary",
    "TrainingOptions",
    "Weights",
    "concept_modules",
    "consensus",
    "explained_variance",
    "export_saelens",
    "hierarchy",
    "import_saelens",
    "load",
    "match_concepts",
    "nearest_concepts",
    "stability",
    "sweep",
    "train",
]
