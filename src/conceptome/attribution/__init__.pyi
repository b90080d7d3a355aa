from .differential import differential_expression
from .edit_effects import effects
from .estimate import attribute

__all__ = ["attribute", "differential_expression", "effects"]
