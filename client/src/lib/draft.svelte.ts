/** What somebody is writing about a concept: kept in this browser at once, on the server soon after. */
import { ApiError, getFresh, post, rowsOf } from "./api";
import { type Fields, forget, keep, type Kept, recallDraft } from "./kept";
import { notes } from "./notes.svelte";
import { recall, remember } from "./storage";
import type { Revision, Table } from "./types";

const WAIT = 1500;
const AGAIN = 10_000;
const AUTHOR = "conceptome.author";
const EMPTY: Fields = { label: "", category: "", interpretability: null, confidence: null, notes: "" };

const fieldsOf = ({ label, category, interpretability, confidence, notes }: Fields): Fields => ({
  label, category, interpretability, confidence, notes,
});
const same = (a: Fields, b: Fields): boolean => JSON.stringify(fieldsOf(a)) === JSON.stringify(fieldsOf(b));

export class Draft {
  fields = $state<Fields>({ ...EMPTY });
  author = $state(recall(AUTHOR) ?? "");
  status = $state<"loading" | "saved" | "changed" | "saving" | "failed" | "stale">("loading");
  trouble = $state("");
  history = $state.raw<Revision[]>([]);
  /** What somebody else has written meanwhile. */
  theirs = $state.raw<Revision | null>(null);
  #base: Revision | null = null;
  /** Whether the revisions on the server were read. */
  #read = false;
  #left = false;
  #timer = 0;
  #key = "";
  #saving: Promise<void> = Promise.resolve();

  constructor(
    readonly concept: number,
    readonly store: string,
  ) {}

  /** Show the newest revision, or what was being written when the page was closed. */
  async load(): Promise<void> {
    const kept = recallDraft(this.store, this.concept);
    this.fields = fieldsOf({ ...EMPTY, ...kept?.fields });
    try {
      this.history = rowsOf(await getFresh<Table<Revision>>(`annotations/${this.concept}`));
      this.#read = true;
    } catch (error) {
      return this.#failed(error);
    }
    const newest = this.history[0] ?? null;
    // Somebody may have begun to write while it was being read.
    const written = recallDraft(this.store, this.concept);
    if (!written || same(written.fields, newest ?? EMPTY)) return this.#take(newest);
    this.fields = fieldsOf(written.fields);
    this.#base = newest;
    if (this.#isNews(written, newest)) [this.theirs, this.status] = [newest, "stale"];
    else {
      this.status = "changed";
      this.touched();
    }
  }

  /** Whether somebody else has written since a draft was begun. */
  #isNews(kept: Kept, newest: Revision | null): boolean {
    if (!newest || newest.revision === kept.base) return false;
    return newest.author !== this.author.trim() || newest.supersedes !== kept.base;
  }

  /** Remember a change, and save it when the writer pauses. */
  touched(): void {
    remember(AUTHOR, this.author);
    this.#keep();
    if (this.status === "loading" || this.status === "stale") return;
    this.status = "changed";
    this.#key = crypto.randomUUID();
    this.#later(WAIT);
  }

  #keep(): void {
    keep(this.store, this.concept, { fields: fieldsOf(this.fields), base: this.#base?.revision ?? null });
    notes.unsaved(this.concept, true);
  }

  #later(wait: number): void {
    clearTimeout(this.#timer);
    if (!this.#left) this.#timer = window.setTimeout(() => void this.save(), wait);
  }

  /** Save now what is not saved yet; saves follow one another. */
  save(): Promise<void> {
    clearTimeout(this.#timer);
    this.#saving = this.#saving.then(() => this.#send());
    return this.#saving;
  }

  /** Save a last time; the form is closed. */
  leave(): void {
    this.#left = true;
    void this.save();
  }

  async #send(): Promise<void> {
    if (this.status !== "changed" && this.status !== "failed") return;
    if (!this.#read) return this.load();
    const sent = fieldsOf(this.fields);
    if (same(sent, this.#base ?? EMPTY)) return this.#settle();
    if (!this.author.trim()) {
      [this.status, this.trouble] = ["failed", "Not saved yet: write your name first."];
      return;
    }
    this.status = "saving";
    this.#key ||= crypto.randomUUID();
    const body = { ...sent, concept: this.concept, author: this.author.trim(), supersedes: this.#base?.revision ?? null, key: this.#key };
    try {
      const revision = await post<Revision>("annotations", body);
      this.#base = revision;
      this.history = [revision, ...this.history];
      notes.put(revision);
      if (same(sent, this.fields)) this.#settle();
      else this.#keep();
    } catch (error) {
      this.#refused(error);
    }
  }

  #refused(error: unknown): void {
    const current = error instanceof ApiError && error.status === 409 ? (error.answer as { current?: Revision }).current : null;
    if (!current) return this.#failed(error);
    this.theirs = current;
    this.history = [current, ...this.history];
    [this.status, this.trouble] = ["stale", ""];
  }

  /** Say what went wrong; a server that is away may come back. */
  #failed(error: unknown): void {
    [this.status, this.trouble] = ["failed", error instanceof Error ? error.message : String(error)];
    const passes = error instanceof ApiError && (error.status === 0 || error.status >= 500);
    if (passes) this.#later(AGAIN);
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
    this.theirs = null;
  }

  #take(revision: Revision | null): void {
    this.#base = revision;
    this.fields = fieldsOf(revision ?? EMPTY);
    this.#settle();
  }

  #settle(): void {
    forget(this.store, this.concept);
    notes.unsaved(this.concept, false);
    [this.status, this.trouble] = ["saved", ""];
  }
}
