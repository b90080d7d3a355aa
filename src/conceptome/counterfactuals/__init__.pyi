from .editing import mask_edits, substitution_edits
from .matching import match

__all__ = ["mask_edits", "match", "substitution_edits"]
