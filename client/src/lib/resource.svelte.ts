/** Something that is loaded: it waits, is there, or failed and can be tried again. */
import { rest } from "./pauses";

export class Resource<Value> {
  status = $state<"loading" | "ready" | "failed">("loading");
  value = $state.raw<Value | null>(null);
  error = $state.raw<Error | null>(null);
  #attempt = $state(0);
  #asked = 0;
  readonly #first: boolean;

  /**
   * Load again whenever something changes that `ask` reads before its first await. What a reader looks at
   * `first` is shown as soon as it is there, everything else a moment later, so that it is not in the way.
   */
  constructor(ask: () => Promise<Value>, first = false) {
    this.#first = first;
    $effect(() => {
      void this.#attempt;
      void this.#take(ask());
    });
  }

  retry = (): void => {
    this.#attempt += 1;
  };

  /** Take an answer, unless something newer was asked meanwhile. */
  async #take(answer: Promise<Value>): Promise<void> {
    const number = ++this.#asked;
    let waiting = true;
    // An answer that is known already replaces the one before without a skeleton between them.
    void rest().then(() => {
      if (waiting && number === this.#asked) this.status = "loading";
    });
    try {
      const value = await answer;
      waiting = false;
      if (!this.#first) await rest();
      if (number === this.#asked) [this.value, this.error, this.status] = [value, null, "ready"];
    } catch (error) {
      waiting = false;
      if (number !== this.#asked) return;
      [this.value, this.error] = [null, error instanceof Error ? error : new Error(String(error))];
      this.status = "failed";
    }
  }
}
