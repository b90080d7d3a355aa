"""The run: from an AnnData file to a folder with everything that was found, resumable stage by stage."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
