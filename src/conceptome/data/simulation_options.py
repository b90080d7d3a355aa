"""What can be told about simulated cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from conceptome.core import InputError, require_at_least, require_choice, require_positive

Mixing: TypeAlias = Literal["multiplicative", "additive"]

SHARES = ("rare_rate", "activity_rate", "housekeeping_genes", "housekeeping_transcripts")


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """Settings of simulated cells; the marginal ones are set by pbmc3k.

    Raises
    ------
    InputError
        If a value is out of its range, or the programmes need more genes than there are.
    """

    n_cells: int = 2000
    """Cells."""
    n_genes: int = 2000
    """Genes, those in no programme included."""
    n_cell_types: int = 6
    """Cell types. Each has a programme of its own, its identity, which is active in every cell of it."""
    n_programmes: int = 12
    """Programmes in all: identities first, then those that any type may use, rare ones last."""
    n_rare: int = 1
    """How many of the programmes are rare."""
    rare_rate: float = 0.02
    """Share of cells, of whatever type, that use a rare programme."""
    genes_per_programme: int = 40
    """Genes that a programme raises."""
    overlap: float = 0.2
    """Share of its genes that a programme has in common with the next one; at most 0.5."""
    fold_change: float = 4.0
    """Median fold change of a programme's genes at activity 1."""
    activity_rate: float = 0.2
    """Share of all cells that use a programme which is neither an identity nor rare. How large it is in each
    cell type is drawn from a beta distribution, so that a type is a mixture of some of these programmes."""
    activity_shape: float = 4.0
    """Shape of the gamma distribution of the activity, of mean 1, in cells that use a programme."""
    correlation: float = 0.5
    """Between two programmes in turn that are neither identities nor rare: correlation of the normal
    variables behind use and activity, within a cell type."""
    mixing: Mixing = "multiplicative"
    """``"multiplicative"``: the fold changes of the programmes in a cell multiply; ``"additive"``: what each
    adds to the gene's expression adds up. One programme alone does the same at activity 1."""
    library_size: float = 2000.0
    """Median of the log-normal total count of a cell."""
    library_sd: float = 0.4
    """Standard deviation of its natural logarithm."""
    expression_sd: float = 1.75
    """Standard deviation of the natural logarithm of the mean expression of genes."""
    housekeeping_genes: float = 0.01
    """Share of the genes that are housekeeping genes: in no programme, and highly expressed in all cells."""
    housekeeping_transcripts: float = 0.5
    """Share of the transcripts that are theirs in a cell without programmes."""
    dispersion: float = 0.4
    """Median over-dispersion of genes with a mean count of 1: variance = mean + dispersion x mean^2. It is
    proportional to the mean count to the power of -0.3. 0 = Poisson."""
    dropout: float = 0.0
    """Expected count at which half of the counts are lost on top of that; 0 = none."""
    n_batches: int = 2
    """Batches."""
    batch_sd: float = 0.2
    """Standard deviation of the natural logarithm of a batch's factor, drawn for each gene."""
    n_donors: int = 4
    """Donors, dealt out to the batches in turn."""
    donor_sd: float = 0.1
    """The same for donors."""

    def __post_init__(self) -> None:
        for name in ("n_cells", "n_genes", "n_cell_types", "genes_per_programme", "n_batches"):
            require_at_least(name, getattr(self, name), 1)
        for name in (
            "n_rare",
            "library_sd",
            "expression_sd",
            "dispersion",
            "dropout",
            "batch_sd",
            "donor_sd",
        ):
            require_at_least(name, getattr(self, name), 0)
        require_at_least("batch_sd", self.batch_sd, 0)
        require_at_least("donor_sd", self.donor_sd, 0)
        for name in ("fold_change", "activity_shape", "library_size"):
            require_positive(name, getattr(self, name))
        require_at_least("n_donors (each batch has one)", self.n_donors, self.n_batches)
        require_choice("mixing", self.mixing, get_args(Mixing))
        self._require_shares()
        self._require_programmes()

    @property
    def n_shared_genes(self) -> int:
        """Genes that a programme has in common with the next one."""
        return round(self.overlap * self.genes_per_programme)

    @property
    def n_programme_genes(self) -> int:
        """Genes that are in some programme."""
        return self.n_programmes * (self.genes_per_programme - self.n_shared_genes) + self.n_shared_genes

    @property
    def n_housekeeping(self) -> int:
        """Housekeeping genes, at least one."""
        return max(1, round(self.housekeeping_genes * self.n_genes))

    @property
    def n_common(self) -> int:
        """Programmes that are neither identities nor rare."""
        return self.n_programmes - self.n_cell_types - self.n_rare

    def _require_shares(self) -> None:
        for name in SHARES:
            value = getattr(self, name)
            if not 0 < value < 1:
                msg = f"{name} is {value}, expected a share above 0 and below 1."
                raise InputError(msg)
        if not 0 <= self.overlap <= 0.5:
            msg = f"overlap is {self.overlap}, expected a share of at least 0 and at most 0.5."
            raise InputError(msg)
        if not -1 <= self.correlation <= 1:
            msg = f"correlation is {self.correlation}, expected a number between -1 and 1."
            raise InputError(msg)

    def _require_programmes(self) -> None:
        if self.n_common < 0:
            msg = (
                f"n_programmes is {self.n_programmes}, but {self.n_cell_types} cell types and {self.n_rare} "
                f"rare programmes need {self.n_cell_types + self.n_rare}. Ask for more programmes."
            )
            raise InputError(msg)
        if self.n_programme_genes + self.n_housekeeping > self.n_genes:
            msg = (
                f"{self.n_programmes} programmes of {self.genes_per_programme} genes need "
                f"{self.n_programme_genes:,} genes beside {self.n_housekeeping:,} housekeeping genes, and "
                f"n_genes is {self.n_genes:,}. Ask for more genes, or for fewer or smaller programmes."
            )
            raise InputError(msg)
