"""Encoders: what turns a cell's expression into an embedding, and embeds edited cells."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
