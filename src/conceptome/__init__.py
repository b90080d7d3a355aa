"""Conceptome: concepts inside single-cell foundation models.

Import it as ``import conceptome as cm``. Sub-packages load on first use, so that importing costs little.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conceptome import (
        atlas,
        attribution,
        core,
        counterfactuals,
        data,
        dictionaries,
        encoders,
        enrichment,
        evaluation,
        get,
        pipeline,
        plotting,
        testing,
        tools,
        web,
    )
    from conceptome import plotting as pl
    from conceptome import tools as tl

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "atlas",
    "attribution",
    "core",
    "counterfactuals",
    "data",
    "dictionaries",
    "encoders",
    "enrichment",
    "evaluation",
    "get",
    "pipeline",
    "pl",
    "plotting",
    "testing",
    "tl",
    "tools",
    "web",
]

_ALIASES = {"pl": "plotting", "tl": "tools"}


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        msg = f"module 'conceptome' has no attribute {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(msg)
    return importlib.import_module(f"conceptome.{_ALIASES.get(name, name)}")


def __dir__() -> list[str]:
    return __all__
