"""Read and check single-cell data: raw counts, gene names, and the cells of the demo."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
