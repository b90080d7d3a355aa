/** What the API answers, as docs/atlas.md describes it. */

export interface Table<Row extends object> {
  n: number;
  columns: { [Name in keyof Row]: Row[Name][] };
  missing?: string;
}

type Maybe = number | null;

export interface Category {
  code: number;
  name: string;
  n_cells: number;
}

export interface ObsColumn {
  key: string;
  name: string;
  kind: "categorical" | "numeric";
  role: string;
  n_missing: number;
  minimum: Maybe;
  maximum: Maybe;
  categories: Category[];
}

export interface Meta {
  digest: string;
  dictionary_id: string;
  title: string;
  version: string;
  n_cells: number;
  n_concepts: number;
  n_genes: number;
  facts: { name: string; value: string }[];
  provenance: {
    created?: string;
    command?: string;
    config?: Record<string, unknown>;
    versions?: Record<string, string>;
    stages?: Record<string, string>;
    encoder_id?: string;
  };
  obs: ObsColumn[];
  missing: Record<string, string>;
  thumbs: { side: number; per_sheet: number; n_sheets: number };
  annotations: { writable: boolean; reason: string };
}

export interface Concept {
  concept: number;
  n_active: number;
  n_drivers: number;
  n_pairs: number;
  module: Maybe;
  frequency: Maybe;
  mean_activation: Maybe;
  max_activation: Maybe;
  best_label_f1: Maybe;
  top_term_q: Maybe;
  confidence: Maybe;
  stability: Maybe;
  stability_null: Maybe;
  stability_activations: Maybe;
  floor: Maybe;
  null_driver_rate: Maybe;
  auto_name: string | null;
  evidence: string | null;
  status: string | null;
  best_label_key: string | null;
  best_label: string | null;
  top_genes: string | null;
  top_term: string | null;
  themes: string | null;
  pair_warning: string | null;
  /** Further columns of the run, where it has them. */
  card_score?: Maybe;
  part_label?: Maybe;
  part_annotation?: Maybe;
  part_fidelity?: Maybe;
  part_faithfulness?: Maybe;
  part_stability?: Maybe;
  donor_evenness?: Maybe;
  technical?: Maybe;
  drivers_expressed?: Maybe;
}

export interface Driving {
  rank: Maybe;
  attribution: Maybe;
  se: Maybe;
  ci_low: Maybe;
  ci_high: Maybe;
  n_differing: Maybe;
  sign_consistency: Maybe;
  q: Maybe;
  drives: number;
  log_fold_change: Maybe;
  score: Maybe;
  q_de: Maybe;
}

export interface DrivingGene extends Driving {
  gene: number;
  symbol: string;
  n_driven: Maybe;
  expression: Maybe;
}

export interface DrivenConcept extends Driving {
  concept: number;
  auto_name: string | null;
  floor: Maybe;
}

export interface Gene {
  gene: number;
  name: string;
  symbol: string;
  ensembl: string | null;
  aliases: string | null;
  n_driven: Maybe;
  n_listed: number;
  expression: Maybe;
}

interface Tested {
  rank: Maybe;
  size: Maybe;
  es: Maybe;
  nes: Maybe;
  q_concept: Maybe;
  q_global: Maybe;
  flag: string | null;
  nes_de: Maybe;
  q_de: Maybe;
  leading_edge: string[];
  has_curve: number;
}

export interface ConceptTerm extends Tested {
  term: number;
  collection: string;
  identifier: string;
  name: string;
  overlap: Maybe;
  theme: Maybe;
  theme_name: string | null;
}

export interface TermConcept extends Tested {
  concept: number;
  auto_name: string | null;
}

export interface Term {
  term: number;
  collection: string;
  identifier: string;
  name: string;
  n_found: number;
}

export interface Curve {
  n_genes: number;
  es: number;
  peak: number;
  rank: number[];
  value: number[];
  hits: number[];
}

export interface GroupShare {
  code: number;
  name: string;
  n_cells: number;
  n_active: number;
  share: Maybe;
  mean: Maybe;
}

export interface Enriched {
  concept: number;
  auto_name: string | null;
  n_active: number;
  share: Maybe;
  share_elsewhere: Maybe;
  mean: Maybe;
  mean_elsewhere: Maybe;
  log2_ratio: Maybe;
  phi: Maybe;
}

export interface Association {
  key: string;
  name: string;
  role: string;
  measure: "spearman" | "eta_squared" | "evenness";
  value: Maybe;
}

export interface Change {
  gene: number;
  symbol: string;
  factual_value: Maybe;
  counterfactual_value: Maybe;
  effect_act: Maybe;
  effect_pre: Maybe;
}

export interface Pair {
  number: number;
  factual: number;
  counterfactual: number;
  factual_id: string;
  counterfactual_id: string;
  activation: Maybe;
  distance: Maybe;
  distance_percentile: Maybe;
  library_ratio: Maybe;
  matched: string | null;
  n_differing: Maybe;
  changes: Change[];
}

export interface Related {
  kind: "directions" | "activations" | "genes";
  rank: number;
  other: number;
  auto_name: string | null;
  similarity: Maybe;
  shared: Maybe;
  expected: Maybe;
}

export interface Found {
  kind: "concept" | "gene" | "term" | "category" | "cell" | "annotation";
  ref: string;
  name: string;
  other: string | null;
}

export interface Revision {
  revision: number;
  concept: number;
  author: string;
  created: string;
  label: string;
  category: string;
  interpretability: Maybe;
  confidence: Maybe;
  notes: string;
  supersedes: Maybe;
}

export interface CellAnswer {
  cell: { position: number; id: string; x: Maybe; y: Maybe };
  obs: { key: string; name: string; kind: string; value: string | number | null }[];
  concepts: Table<{ concept: number; auto_name: string | null; activation: number }>;
  pairs: Table<{ concept: number; number: number; side: string }>;
}

export interface SelectionAnswer {
  n_cells: number;
  concepts: Table<Enriched>;
  groups: Record<string, Table<{ code: number; name: string; n_selected: number; n_cells: number }>>;
}
