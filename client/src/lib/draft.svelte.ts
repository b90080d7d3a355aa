/** What somebody is writing about a concept: kept in this browser at once, on the server soon after. */
import { ApiError, getFresh, post, rowsOf } from "./api";
import { notes } from "./notes.svelte";
import type { Revision, Table } from "./types";

export interface Fields {
  label: string;
  category: string;
  interpretability: number | null;
  confidence: number | null;
  notes: string;
}

const WAIT = 1500;
const AUTHOR = "conceptome.author";
const EMPTY: Fields = { label: "", category: "", interpretability: null, confidence: null, notes: "" };

const fieldsOf = (from: Fields): Fields => {
  const { label, category, interpretability, confidence, notes } = from;
  return { label, category, interpretability, confidence, notes };
};
const same = (a: Fields, b: Fields): boolean => JSON.stringify(fieldsOf(a)) === JSON.stringify(fieldsOf(b));

export class Draft {
  fields = $state<Fields>({ ...EMPTY });
  author = $state(localStorage.getItem(AUTHOR) ?? "");
  status = $state<"loading" | "saved" | "changed" | "saving" | "failed" | "stale">("loading");
  trouble = $state("");
  history = $state.raw<Revision[]>([]);
  /** What somebody else has written meanwhile. */
  theirs = $state.raw<Revision | null>(null);
  #base: Revision | null = null;
  #timer = 0;
  #key = "";
  #saving: Promise<void> = Promise.resolve();

  constructor(
    readonly concept: number,
    readonly store: string,
  ) {}

  get #place(): string {
    return `conceptome.draft.${this.store}.${this.concept}`;
  }

  /** Show the newest revision, or what was being written when the page was closed. */
  async load(): Promise<void> {
    this.status = "loading";
    try {
      this.history = rowsOf(await getFresh<Table<Revision>>(`annotations/${this.concept}`));
    } catch (error) {
      [this.status, this.trouble] = ["failed", messageOf(error)];
      return;
    }
    this.#take(this.history[0] ?? null);
    const kept = readKept(this.#place);
    if (kept && !same(kept, this.fields)) {
      this.fields = kept;
      this.touched();
    }
  }

  /** Remember a change, and save it when the writer pauses. */
  touched(): void {
    if (this.status === "loading") return;
    localStorage.setItem(AUTHOR, this.author);
    localStorage.setItem(this.#place, JSON.stringify(fieldsOf(this.fields)));
    if (this.status !== "stale") this.status = "changed";
    this.#key = crypto.randomUUID();
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.save(), WAIT);
  }

  /** Save now what is not saved yet; saves follow one another. */
  save(): Promise<void> {
    clearTimeout(this.#timer);
    this.#saving = this.#saving.then(() => this.#send());
    return this.#saving;
  }

  async #send(): Promise<void> {
    if (this.status !== "changed" && this.status !== "failed") return;
    if (!this.author.trim()) {
      [this.status, this.trouble] = ["failed", "Not saved yet: write your name first."];
      return;
    }
    const sent = fieldsOf(this.fields);
    if (same(sent, this.#base ?? EMPTY)) return this.#settle();
    this.status = "saving";
    this.#key ||= crypto.randomUUID();
    const body = { ...sent, concept: this.concept, author: this.author.trim(), supersedes: this.#base?.revision ?? null, key: this.#key };
    try {
      const revision = await post<Revision>("annotations", body);
      this.#base = revision;
      this.history = [revision, ...this.history];
      notes.put(revision);
      if (same(sent, this.fields)) this.#settle();
    } catch (error) {
      this.#refused(error);
    }
  }

  #refused(error: unknown): void {
    const current = error instanceof ApiError && error.status === 409 ? (error.answer as { current?: Revision }).current : null;
    this.theirs = current ?? null;
    if (current) this.history = [current, ...this.history];
    [this.status, this.trouble] = [current ? "stale" : "failed", messageOf(error)];
  }

  /** After somebody else has written: go on with mine, on top of theirs. */
  async keepMine(): Promise<void> {
    this.#base = this.theirs;
    [this.theirs, this.status] = [null, "changed"];
    this.touched();
    await this.save();
  }

  takeTheirs(): void {
    clearTimeout(this.#timer);
    this.#take(this.theirs);
    localStorage.removeItem(this.#place);
    this.theirs = null;
  }

  #take(revision: Revision | null): void {
    this.#base = revision;
    this.fields = fieldsOf(revision ?? EMPTY);
    [this.status, this.trouble] = ["saved", ""];
  }

  #settle(): void {
    localStorage.removeItem(this.#place);
    [this.status, this.trouble] = ["saved", ""];
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function readKept(place: string): Fields | null {
  try {
    const kept = JSON.parse(localStorage.getItem(place) ?? "null") as Partial<Fields> | null;
    return kept && { ...EMPTY, ...fieldsOf({ ...EMPTY, ...kept }) };
  } catch {
    return null;
  }
}
