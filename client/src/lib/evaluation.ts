/** What the API answers on the evaluation of a dictionary. */

type Maybe = number | null;

export interface Measure {
  dictionary: string;
  metric: string;
  label_key: string;
  label: string;
  value: Maybe;
}

export interface Verdict {
  metric: string;
  label_key: string;
  evidence: string;
  reason: string;
}

export interface Unit {
  dictionary: string;
  label_key: string;
  label: string;
  unit: number;
  f1: Maybe;
  f1_chance: Maybe;
}

export interface Calibration {
  control: string;
  flag: string;
  alpha: Maybe;
  rate: Maybe;
  ci_low: Maybe;
  ci_high: Maybe;
  n_tests: Maybe;
}

export interface Module {
  module: number;
  n_concepts: number;
  share: Maybe;
  correlation: Maybe;
  label: string | null;
  label_f1: Maybe;
}
