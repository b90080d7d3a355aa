"""Embeddings whose dictionary is known."""

import numpy as np
import pytest

N_PLANTED = 12


@pytest.fixture(scope="session")
def planted():
    """Cells made of two of twelve directions each, and a little noise."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(N_PLANTED, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    used = np.argsort(rng.random((800, N_PLANTED)), axis=1)[:, :2]
    strength = np.zeros((800, N_PLANTED))
    np.put_along_axis(strength, used, rng.uniform(1, 3, size=used.shape), axis=1)
    z = strength @ directions + 0.02 * rng.normal(size=(800, 8)) + 5
    return z.astype(np.float32), directions, strength
