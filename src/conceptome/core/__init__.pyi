from .attributions import Attributions, PairEffects, Ranking, signal_to_noise
from .blocks import BLOCK_ROWS, map_blocks, row_batches
from .errors import (
    BundleError,
    CheckpointError,
    ConceptomeError,
    DictionaryMismatchError,
    DownloadError,
    InputError,
    MissingExtraError,
    NotEditableError,
    require_extra,
)
from .faithfulness import AREAS, CURVES, FACTUAL_COLUMNS, CurveName, Faithfulness
from .hashing import content_id
from .once import log_once
from .options import require_at_least, require_choice, require_positive
from .protocols import (
    Decoder,
    Dictionary,
    Differentiable,
    EditEstimator,
    Encoder,
    OneHiddenLayer,
    Reinitialisable,
    ScoredDecoder,
    ThresholdedConcepts,
)
from .records import Activations, ConceptRule, Edits, Effects, Embeddings, HiddenLayer, Pairs
from .results import (
    ENRICHMENT_COLUMNS,
    DifferentialExpression,
    DifferentialMeasure,
    Enrichment,
    EnrichmentMethod,
    Evaluation,
)
from .types import Csr, Names
from .whole import writing_whole

__all__ = [
    "AREAS",
    "BLOCK_ROWS",
    "CURVES",
    "ENRICHMENT_COLUMNS",
    "FACTUAL_COLUMNS",
    "Activations",
    "Attributions",
    "BundleError",
    "CheckpointError",
    "ConceptRule",
    "ConceptomeError",
    "Csr",
    "CurveName",
    "Decoder",
    "Dictionary",
    "DictionaryMismatchError",
    "Differentiable",
    "DifferentialExpression",
    "DifferentialMeasure",
    "DownloadError",
    "EditEstimator",
    "Edits",
    "Effects",
    "Embeddings",
    "Encoder",
    "Enrichment",
    "EnrichmentMethod",
    "Evaluation",
    "Faithfulness",
    "HiddenLayer",
    "InputError",
    "MissingExtraError",
    "Names",
    "NotEditableError",
    "OneHiddenLayer",
    "PairEffects",
    "Pairs",
    "Ranking",
    "Reinitialisable",
    "ScoredDecoder",
    "ThresholdedConcepts",
    "content_id",
    "log_once",
    "map_blocks",
    "require_at_least",
    "require_choice",
    "require_extra",
    "require_positive",
    "row_batches",
    "signal_to_noise",
    "writing_whole",
]
