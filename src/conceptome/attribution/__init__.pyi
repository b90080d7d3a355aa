from .baselines import baseline_scores, logistic_weights, random_scores
from .comparison import Comparison, compare, compare_dictionaries
from .curves import faithfulness
from .differential import differential_expression
from .edit_effects import effects
from .estimate import attribute
from .gradients import gradient_effects
from .parts import kept_effects
from .sanity import sanity_check
from .sensitivity import sensitivity
from .synergy import redundancy
from .trial import Trial, try_attribution
from .workers import DaskWorkers, LocalWorkers, Serial, Workers

__all__ = [
    "Comparison",
    "DaskWorkers",
    "LocalWorkers",
    "Serial",
    "Trial",
    "Workers",
    "attribute",
    "baseline_scores",
    "compare",
    "compare_dictionaries",
    "differential_expression",
    "effects",
    "faithfulness",
    "gradient_effects",
    "kept_effects",
    "logistic_weights",
    "random_scores",
    "redundancy",
    "sanity_check",
    "sensitivity",
    "try_attribution",
]
