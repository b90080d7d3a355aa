/** What people have written: the newest revision of each concept, shared by lists and forms. */
import { getFresh, rowsOf } from "./api";
import { drafted } from "./kept";
import type { Revision, Table } from "./types";

class Notes {
  newest = $state.raw<ReadonlyMap<number, Revision>>(new Map());
  /** Concepts of which only this browser has what was written last. */
  drafts = $state.raw<readonly number[]>([]);
  /** Why they are not there; empty while they are. */
  trouble = $state("");

  async load(store: string): Promise<void> {
    this.drafts = drafted(store);
    try {
      const rows = rowsOf(await getFresh<Table<Revision>>("annotations"));
      this.newest = new Map(rows.filter(isWritten).map((row) => [row.concept, row]));
      this.trouble = "";
    } catch (error) {
      this.trouble = `Annotations could not be loaded: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  put(revision: Revision): void {
    const next = new Map(this.newest);
    if (isWritten(revision)) next.set(revision.concept, revision);
    else next.delete(revision.concept);
    this.newest = next;
  }

  unsaved(concept: number, yes: boolean): void {
    if (this.drafts.includes(concept) === yes) return;
    this.drafts = yes ? [...this.drafts, concept] : this.drafts.filter((one) => one !== concept);
  }

  label(concept: number): string {
    return this.newest.get(concept)?.label ?? "";
  }
}

/** A revision whose fields are all empty takes an annotation back. */
export const isWritten = ({ label, category, interpretability, confidence, notes }: Revision): boolean =>
  Boolean(label || category || notes) || interpretability !== null || confidence !== null;

export const notes = new Notes();
