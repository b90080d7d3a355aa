from .affine import AffineDictionary, Weights
from .baselines import NeuronDictionary, PcaDictionary
from .fidelity import explained_variance
from .heldout import HeldoutSplit
from .options import TrainingOptions
from .storage import load
from .topk import TopK, TopKDictionary
from .training import train

__all__ = [
    "AffineDictionary",
    "HeldoutSplit",
    "NeuronDictionary",
    "PcaDictionary",
    "TopK",
    "TopKDictionary",
    "TrainingOptions",
    "Weights",
    "explained_variance",
    "load",
    "train",
]
