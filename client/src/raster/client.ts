/** A map's side of its worker. Of drawings that were asked while one was under way, only the newest is made. */
import { copy, workerAddress } from "../copy/copy";
import type { Answer, Question } from "./messages";

type Drawing = Question & { ask: "draw" };

export class RasterClient {
  readonly #worker = copy ? new Worker(workerAddress()) : new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  readonly #waiting = new Map<Answer["answer"], (answer: Answer) => void>();
  #next: Drawing | null = null;
  #busy = false;

  constructor(
    canvas: HTMLCanvasElement,
    coords: Uint16Array,
    readonly onDrawn: (milliseconds: number) => void,
  ) {
    const drawn = canvas.transferControlToOffscreen();
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#take(data);
    this.#worker.postMessage({ ask: "start", canvas: drawn, coords } satisfies Question, [drawn]);
  }

  draw(drawing: Drawing): void {
    this.#next = drawing;
    this.#send();
  }

  nearest(x: number, y: number, within: number): Promise<number | null> {
    this.#worker.postMessage({ ask: "nearest", x, y, within } satisfies Question);
    return new Promise((resolve) => {
      this.#waiting.set("nearest", (answer) => resolve(answer.answer === "nearest" ? answer.cell : null));
    });
  }

  picture(): Promise<Blob> {
    this.#worker.postMessage({ ask: "picture" } satisfies Question);
    return new Promise((resolve, reject) => {
      this.#waiting.set("picture", (answer) =>
        answer.answer === "picture" ? resolve(answer.blob) : reject(new Error("No picture was made.")),
      );
    });
  }

  close(): void {
    this.#worker.terminate();
  }

  #send(): void {
    if (this.#busy || !this.#next) return;
    this.#worker.postMessage(this.#next);
    [this.#busy, this.#next] = [true, null];
  }

  #take(answer: Answer): void {
    if (answer.answer === "drawn") {
      this.#busy = false;
      this.onDrawn(answer.milliseconds);
      this.#send();
      return;
    }
    this.#waiting.get(answer.answer)?.(answer);
    this.#waiting.delete(answer.answer);
  }
}
