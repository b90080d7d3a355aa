"""Evaluation: what a dictionary keeps, and what its concepts know, beside its baselines."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
