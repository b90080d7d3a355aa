from .differential import differential_expression
from .edit_effects import effects
from .estimate import attribute
from .gradients import gradient_effects
from .sensitivity import sensitivity
from .workers import DaskWorkers, LocalWorkers, Serial

__all__ = [
    "DaskWorkers",
    "LocalWorkers",
    "Serial",
    "attribute",
    "differential_expression",
    "effects",
    "gradient_effects",
    "sensitivity",
]
