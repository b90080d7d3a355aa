"""Contract tests that the author of an encoder can run, to see that it keeps what the protocol promises."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
