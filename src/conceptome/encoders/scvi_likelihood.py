"""What scVI says of the counts of a cell, and how likely that makes the counts it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

from conceptome.core import InputError


@dataclass(frozen=True, eq=False)
class CountDistribution:
    """What scVI says of the counts of each cell, in the words of scvi-tools."""

    likelihood: str
    """``"nb"``, ``"zinb"``, ``"poisson"`` or ``"normal"``."""
    scale: Float[np.ndarray, "cells model_genes"]
    """``px_scale``: share of each gene in the cell's expression; sums to 1, but not with a size factor."""
    rate: Float[np.ndarray, "cells model_genes"]
    """``px_rate``: `scale` times library size, the expected count before zero inflation."""
    theta: Float[np.ndarray, "cells model_genes"]
    """``px_r``: inverse dispersion, variance = rate + rate**2 / theta for ``"nb"``; unused by Poisson."""
    zi_logits: Float[np.ndarray, "cells model_genes"] | None
    """``px_dropout``: log odds of an extra zero; None without zero inflation."""

    def negative_log_likelihood(
        self, counts: Float[np.ndarray, "cells model_genes"]
    ) -> Float[np.ndarray, " cells"]:
        """Compute the reconstruction loss of scVI: minus the log probability of the counts, over genes.

        Parameters
        ----------
        counts
            Raw counts, in the genes of the model.

        Returns
        -------
        One number per cell, in nats; lower is better.

        Raises
        ------
        InputError
            If the likelihood is not one for counts.
        """
        if self.likelihood == "poisson":
            log_p = counts * np.log(self.rate + _EPS) - self.rate - gammaln(counts + 1)
        elif self.likelihood == "nb":
            log_p = self._log_negative_binomial(counts)
        elif self.likelihood == "zinb":
            log_p = self._log_zero_inflated(counts)
        else:
            msg = f"The likelihood is {self.likelihood!r}, expected nb, zinb or poisson: those of counts."
            raise InputError(msg)
        return np.asarray(-log_p.sum(axis=1))

    def _log_negative_binomial(self, counts: np.ndarray) -> np.ndarray:
        rate, theta = self.rate, self.theta
        log_total = np.log(theta + rate + _EPS)
        choose = gammaln(counts + theta) - gammaln(theta) - gammaln(counts + 1)
        return np.asarray(
            theta * (np.log(theta + _EPS) - log_total) + counts * (np.log(rate + _EPS) - log_total) + choose
        )

    def _log_zero_inflated(self, counts: np.ndarray) -> np.ndarray:
        log_nb, logits = self._log_negative_binomial(counts), self.zi_logits
        log_extra, log_other = -np.logaddexp(0.0, -np.asarray(logits)), -np.logaddexp(0.0, np.asarray(logits))
        zero = np.logaddexp(log_extra, log_other + log_nb)
        return np.asarray(np.where(counts > 0, log_other + log_nb, zero))


_EPS = 1e-8
"""Added to rates before logarithms, as in scvi-tools."""
