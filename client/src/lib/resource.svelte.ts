/** Something that is loaded: it waits, is there, or failed and can be tried again. */
export class Resource<Value> {
  status = $state<"loading" | "ready" | "failed">("loading");
  value = $state.raw<Value | null>(null);
  error = $state.raw<Error | null>(null);
  #attempt = $state(0);
  #asked = 0;

  /** Load again whenever something changes that `ask` reads before its first await. */
  constructor(ask: () => Promise<Value>) {
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
    this.status = "loading";
    try {
      const value = await answer;
      if (number === this.#asked) [this.value, this.error, this.status] = [value, null, "ready"];
    } catch (error) {
      if (number !== this.#asked) return;
      [this.value, this.error] = [null, error instanceof Error ? error : new Error(String(error))];
      this.status = "failed";
    }
  }
}
