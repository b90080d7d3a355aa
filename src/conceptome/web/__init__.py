"""An atlas in the browser: a small server on this machine. Needs the extra ``web``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
