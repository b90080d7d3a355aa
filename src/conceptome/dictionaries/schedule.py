"""The learning rate over the steps of a training: warm-up, and a fall by plateaus or at the end."""

from __future__ import annotations

from typing import Any

from conceptome.dictionaries.options import Recipe

MOST_DROPS = 2
DROP = 0.2
FINAL_SHARE = 0.2  # of the epochs, in which a linear decay takes place


class Schedule:
    """Says what the next learning rate is, and when there is no point in going on.

    Parameters
    ----------
    recipe
        Of the training.
    n_cells
        Cells in a pass.
    rounds_per_pass
        How often in a pass validation cells are measured.
    """

    def __init__(self, recipe: Recipe, *, n_cells: int, rounds_per_pass: int = 1) -> None:
        self.recipe = recipe
        self.patience = recipe.patience * rounds_per_pass
        self.steps_per_epoch = -(-n_cells // recipe.batch_size) + rounds_per_pass - 1  # or a few fewer
        self.lr = recipe.lr
        self.n_steps = self.n_stale = self.n_drops = 0

    @property
    def exhausted(self) -> bool:
        """Whether the learning rate has fallen as often as it may, and validation cells gain no more."""
        return self.n_drops > MOST_DROPS

    @property
    def settling(self) -> bool:
        """Whether the last phase has begun, in which nothing is re-initialised."""
        return self.n_drops >= MOST_DROPS or self._share_left() < 1

    def next_lr(self) -> float:
        """Return the learning rate of the next step, and count it."""
        warm_up = self.recipe.warmup_epochs * self.steps_per_epoch
        rise = min(1.0, (self.n_steps + 1) / warm_up) if warm_up else 1.0
        lr = self.lr * rise * self._share_left()
        self.n_steps += 1
        return lr

    def _share_left(self) -> float:
        total = self.recipe.max_epochs * self.steps_per_epoch
        return min(1.0, max(0.0, (total - self.n_steps) / (FINAL_SHARE * total)))

    def drop_on_plateau(self, *, improved: bool) -> bool:
        """Count a round; lower the learning rate after `patience` passes without improvement.

        Parameters
        ----------
        improved
            Whether validation cells gained by the round.

        Returns
        -------
        Whether the learning rate fell.
        """
        self.n_stale = 0 if improved else self.n_stale + 1
        if self.recipe.decay != "plateau" or self.n_stale < self.patience:
            return False
        self.n_stale = 0
        self.n_drops += 1
        self.lr *= DROP
        return True

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to continue."""
        return {"lr": self.lr, "n_steps": self.n_steps, "n_stale": self.n_stale, "n_drops": self.n_drops}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.lr, self.n_steps = state["lr"], state["n_steps"]
        self.n_stale, self.n_drops = state["n_stale"], state["n_drops"]
