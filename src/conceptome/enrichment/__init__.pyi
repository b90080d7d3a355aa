from .contrasting import Contrast as Contrast
from .contrasting import contrast as contrast
from .decorrelation import decorrelate as decorrelate
from .gaf import Annotations as Annotations
from .gaf import read_gaf as read_gaf
from .gene_matching import match_genes as match_genes
from .gene_set_files import read_gmt as read_gmt
from .gene_set_files import read_gmx as read_gmx
from .gene_set_files import read_msigdb_json as read_msigdb_json
from .gene_set_files import read_panglaodb as read_panglaodb
from .gene_set_loading import load_gene_sets as load_gene_sets
from .gene_sets import GeneSets as GeneSets
from .linear_model import ulm as ulm
from .methods import enrich as enrich
from .networks import read_network as read_network
from .obo import read_obo as read_obo
from .ontology import Ontology as Ontology
from .over_representation import ora as ora
from .preranked import gsea as gsea
from .propagation import propagate as propagate
from .rankings import RunningSum as RunningSum
from .rankings import running_sum as running_sum
from .shared_themes import shared_themes as shared_themes
from .similarity import information_content as information_content
from .similarity import semantic_similarity as semantic_similarity
from .slim import roll_up as roll_up
from .slim import slim_of as slim_of
from .term_matching import match_terms as match_terms
from .theming import themes as themes
from .thinning import Thinning as Thinning
from .thinning import completeness as completeness

__all__ = [
    "Annotations",
    "Contrast",
    "GeneSets",
    "Ontology",
    "RunningSum",
    "Thinning",
    "completeness",
    "contrast",
    "decorrelate",
    "enrich",
    "gsea",
    "information_content",
    "load_gene_sets",
    "match_genes",
    "match_terms",
    "ora",
    "propagate",
    "read_gaf",
    "read_gmt",
    "read_gmx",
    "read_msigdb_json",
    "read_network",
    "read_obo",
    "read_panglaodb",
    "roll_up",
    "running_sum",
    "semantic_similarity",
    "shared_themes",
    "slim_of",
    "themes",
    "ulm",
]
