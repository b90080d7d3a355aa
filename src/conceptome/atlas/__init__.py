"""The atlas: one folder with everything a browser needs to show concepts, and what people wrote of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
