from .linear import LinearEncoder
from .linear_fit import LinearOptions
from .plain import reencode_edits
from .precomputed import PrecomputedEncoder
from .registry import fit, from_spec, load
from .scvi import ScviEncoder
from .scvi_fit import ScviOptions

__all__ = [
    "LinearEncoder",
    "LinearOptions",
    "PrecomputedEncoder",
    "ScviEncoder",
    "ScviOptions",
    "fit",
    "from_spec",
    "load",
    "reencode_edits",
]
