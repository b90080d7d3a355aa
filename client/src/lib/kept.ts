/** Drafts in this browser: what was written of a concept, and on top of which revision. */
import { recall, remember } from "./storage";

export interface Fields {
  label: string;
  category: string;
  interpretability: number | null;
  confidence: number | null;
  notes: string;
}

export interface Kept {
  fields: Fields;
  base: number | null;
}

const nameOf = (store: string, concept: number | string): string => `conceptome.draft.${store}.${concept}`;

export function keep(store: string, concept: number, kept: Kept): void {
  remember(nameOf(store, concept), JSON.stringify(kept));
}

export const forget = (store: string, concept: number): void => remember(nameOf(store, concept), null);

/** What was being written; null if nothing was, or nothing that can be read. */
export function recallDraft(store: string, concept: number): Kept | null {
  try {
    const kept = JSON.parse(recall(nameOf(store, concept)) ?? "null") as Partial<Kept> | null;
    return kept?.fields ? { fields: kept.fields, base: kept.base ?? null } : null;
  } catch {
    return null;
  }
}

/** Concepts of which this browser has a draft. */
export function drafted(store: string): number[] {
  try {
    const start = nameOf(store, "");
    return Object.keys(localStorage).filter((name) => name.startsWith(start)).map((name) => Number(name.slice(start.length)));
  } catch {
    return [];
  }
}
