from .gene_sets import GeneSets as GeneSets
from .gene_sets import load_gene_sets as load_gene_sets
from .gene_sets import read_gmt as read_gmt
from .preranked import gsea as gsea
from .rankings import RunningSum as RunningSum
from .rankings import running_sum as running_sum

__all__ = ["GeneSets", "RunningSum", "gsea", "load_gene_sets", "read_gmt", "running_sum"]
