"""Say a thing once: what encoders find out about data they find out again for every batch of cells."""

from __future__ import annotations

import functools
import logging


@functools.cache
def log_once(logger: logging.Logger, level: int, message: str) -> None:
    """Log a message the first time that this process has it.

    Parameters
    ----------
    logger
        Logger of the module that says it.
    level
        Level, such as ``logging.WARNING``.
    message
        What is said.
    """
    logger.log(level, message)
