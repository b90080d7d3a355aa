"""Make lisi.npz, the LISI of scib-metrics 0.5.10. Run where that is installed; the output is kept."""

from pathlib import Path

import numpy as np
from scib_metrics import ilisi_knn, lisi_knn
from scib_metrics.nearest_neighbors import NeighborsResults

rng = np.random.default_rng(0)
batches = rng.integers(0, 3, 300)
features = rng.normal(size=(300, 5)) + batches[:, None] * np.array([1.5, 0, 0, 0, 0])
squared = ((features[:, None] - features[None]) ** 2).sum(axis=2)
indices = np.argsort(squared, axis=1, kind="stable")[:, :91]  # with the cell itself, which scib-metrics masks
distances = np.sqrt(np.take_along_axis(squared, indices, axis=1))
neighbours = NeighborsResults(indices=indices, distances=distances)
np.savez_compressed(
    Path(__file__).with_name("lisi.npz"),
    features=features,
    batches=batches,
    lisi=lisi_knn(neighbours, batches, perplexity=30),
    ilisi=ilisi_knn(neighbours, batches, perplexity=30, scale=True),
)
