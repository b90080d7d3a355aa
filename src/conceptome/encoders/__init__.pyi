from .geneformer import GeneformerEncoder
from .geneformer_options import GeneformerOptions
from .linear import LinearEncoder
from .linear_fit import LinearOptions
from .plain import reencode_edits
from .precomputed import PrecomputedEncoder
from .registry import fit, from_spec, load, parse_options
from .scgpt import ScgptEncoder
from .scgpt_options import ScgptOptions
from .scvi import ScviEncoder
from .scvi_fit import ScviOptions

__all__ = [
    "GeneformerEncoder",
    "GeneformerOptions",
    "LinearEncoder",
    "LinearOptions",
    "PrecomputedEncoder",
    "ScgptEncoder",
    "ScgptOptions",
    "ScviEncoder",
    "ScviOptions",
    "fit",
    "from_spec",
    "load",
    "parse_options",
    "reencode_edits",
]
