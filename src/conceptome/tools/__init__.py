"""The notebook's face, `cm.tl`: functions that write their results into an AnnData and return None."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
