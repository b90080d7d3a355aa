from .diagnosis import diagnose
from .editing import mask_edits, substitution_edits
from .matching import match
from .splitting import hold_out

__all__ = [
    "diagnose",
    "hold_out",
    "mask_edits",
    "match",
    "substitution_edits",
]
