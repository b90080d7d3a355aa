"""Contract tests for authors of encoders and dictionaries: what the protocols promise."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
