"""Moved to `conceptome.counterfactuals.clusters`."""

from conceptome.counterfactuals.clusters import cluster_labels

__all__ = ["cluster_labels"]
