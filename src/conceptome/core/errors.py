"""The errors a user can meet. Each message says what was found, what was expected and what to do."""

from __future__ import annotations

import importlib
from types import ModuleType


class ConceptomeError(Exception):
    """Any mistake that the user can mend; the command line prints its message and exits with 1."""


class InputError(ConceptomeError):
    """Data or an argument is not what the method needs."""


class NotEditableError(InputError):
    """The encoder cannot embed edited cells, so nothing can be attributed to genes."""


class MissingExtraError(ConceptomeError):
    """An optional dependency is needed and not installed."""


class DictionaryMismatchError(ConceptomeError):
    """Results of different dictionaries, or of a dictionary and another encoder, were put together."""


class CheckpointError(ConceptomeError):
    """A model file is missing, broken, of an unknown format or unsafe to read."""


class DownloadError(ConceptomeError):
    """A file cannot be fetched, or what came is not what was announced."""


class BundleError(ConceptomeError):
    """A run folder or an atlas is incomplete, damaged or of another version."""


def require_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say how to install it.

    Parameters
    ----------
    module
        Name of the module to import, such as ``"scvi"``.
    extra
        The extra of this package that brings it.

    Returns
    -------
    The imported module.

    Raises
    ------
    MissingExtraError
        If the module is not installed; the message holds the install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise
        install = f"pip install 'conceptome[{extra}]'"
        msg = f"This step needs the package {module!r}, which is not installed. Run: {install}"
        raise MissingExtraError(msg) from None
