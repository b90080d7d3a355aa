"""Content hashes that name encoders, dictionaries and stages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

ID_LENGTH = 12


def content_id(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> str:
    """Hash settings and arrays into a short identifier.

    Parameters
    ----------
    settings
        JSON-serialisable settings; their order does not matter.
    arrays
        Weights by name; their dtype, shape and bytes enter the hash.

    Returns
    -------
    The first 12 hexadecimal digits of the SHA-256 digest.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name in sorted(arrays or {}):
        array = np.ascontiguousarray((arrays or {})[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:ID_LENGTH]
