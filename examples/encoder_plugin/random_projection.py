"""A random projection as an encoder of Conceptome: copy this file and put your model in the place of W."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from safetensors.numpy import load_file, save_file

from conceptome.core import Embeddings, content_id
from conceptome.data import align, raw_counts
from conceptome.encoders import reencode_edits


class RandomProjection:
    """z = W log(1 + counts per 10,000), with W drawn once: distances between cells are roughly kept."""

    name = "random_projection"  # the embedding goes to obsm["X_random_projection"]
    decoder = None  # or an object with `genes` and `expression(embedding, cells)`

    def __init__(self, weights, genes):
        self.weights, self.genes = weights, pd.Index(genes, dtype=object)
        self.d_embed = weights.shape[1]
        self.encoder_id = content_id({"encoder": self.name, "genes": list(genes)}, {"weights": weights})

    @classmethod
    def fit(cls, adata, *, batch_key=None, seed=0, device="cpu", options=None):
        """Draw W for the genes of the data; leave `fit` out if your model only comes from a file."""
        return cls(np.random.default_rng(seed).normal(size=(adata.n_vars, 32)), adata.var_names)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote; here you read your own checkpoint. Never unpickle a file."""
        genes = json.loads((Path(path) / "config.json").read_text())["genes"]
        return cls(load_file(Path(path) / "weights.safetensors")["weights"], genes)

    def save(self, path):
        """Write settings and weights."""
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / "config.json").write_text(json.dumps({"genes": list(self.genes)}))
        save_file({"weights": self.weights}, Path(path) / "weights.safetensors")

    def known(self, adata):
        """Tell which columns are read."""
        return align(self.genes, adata).known

    def expression(self, adata):
        """Return what `embed` reads and an edit changes: raw counts."""
        return raw_counts(adata).astype(np.float64)

    def embed(self, adata, *, batch_size=4096, device="cpu"):
        """Embed every cell on its own; genes that the data lack count as 0."""
        columns = align(self.genes, adata).columns
        counts = self.expression(adata)[:, columns[columns >= 0]]
        scaled = sp.diags_array(1e4 / np.maximum(counts.sum(axis=1), 1)) @ counts
        values = scaled.log1p() @ self.weights[columns >= 0]
        return Embeddings(values, adata.obs_names, self.encoder_id, self.name)

    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        """Build every edited cell and embed it; override where your model has a faster way."""
        return reencode_edits(self, cells, edits, batch_size=batch_size, device=device)
