from .linear import LinearEncoder, LinearOptions
from .plain import reencode_edits
from .registry import fit, from_spec, load
from .scvi_options import ScviOptions

__all__ = [
    "LinearEncoder",
    "LinearOptions",
    "ScviOptions",
    "fit",
    "from_spec",
    "load",
    "reencode_edits",
]
