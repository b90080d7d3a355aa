"""What costs most and is seldom looked at: the map of a run."""

import pytest

from conceptome.pipeline import stages


@pytest.fixture
def flat_layout(monkeypatch):
    """Two coordinates of the embedding in place of a UMAP, in runs that are made within the test."""
    monkeypatch.setattr(stages, "umap_layout", lambda embeddings, **_: embeddings.values[:, :2].astype(float))
