from .affine import AffineDictionary, Weights
from .baselines import IcaDictionary, NeuronDictionary, PcaDictionary
from .centroids import KMeansDictionary
from .fidelity import explained_variance
from .heldout import HeldoutSplit
from .nonnegative import NmfDictionary
from .options import TrainingOptions
from .random_sae import RandomSaeDictionary
from .storage import load
from .topk import TopK, TopKDictionary
from .training import train

__all__ = [
    "AffineDictionary",
    "HeldoutSplit",
    "IcaDictionary",
    "KMeansDictionary",
    "NeuronDictionary",
    "NmfDictionary",
    "PcaDictionary",
    "RandomSaeDictionary",
    "TopK",
    "TopKDictionary",
    "TrainingOptions",
    "Weights",
    "explained_variance",
    "load",
    "train",
]
