/** A map's side of its worker. Of drawings that were asked while one was under way, only the newest is made. */
import { copy, workerAddress } from "../copy/copy";
import type { Answer, Drawing, Paint, Question } from "./messages";

export class RasterClient {
  readonly #worker = copy ? new Worker(workerAddress()) : new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  readonly #waiting = new Map<Answer["answer"], (answer: Answer) => void>();
  #next: Drawing | null = null;
  #busy = false;
  /** What the worker colours cells by; it is sent when it changes, not with every drawing. */
  #paint: Paint | null = null;
  #whenIdle: (() => void)[] = [];

  constructor(
    canvas: HTMLCanvasElement,
    coords: Uint16Array,
    /** Told after each drawing, whether cells were coloured in it. */
    readonly onDrawn: (inColour: boolean) => void,
    readonly onTrouble: (message: string) => void,
  ) {
    const drawn = canvas.transferControlToOffscreen();
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#take(data);
    this.#worker.onerror = (event) => onTrouble(event.message || "its worker did not start");
    this.#tell({ ask: "start", canvas: drawn, coords }, [drawn]);
  }

  draw(drawing: Drawing): void {
    this.#next = drawing;
    this.#send();
  }

  nearest(x: number, y: number, within: number): Promise<number | null> {
    this.#tell({ ask: "nearest", x, y, within });
    return new Promise((resolve) => {
      // One that was asked before and is not answered yet is of no interest any more.
      this.#waiting.get("nearest")?.({ answer: "nearest", cell: null });
      this.#waiting.set("nearest", (answer) => resolve(answer.answer === "nearest" ? answer.cell : null));
    });
  }

  /** The pixels, once everything that was asked is drawn. */
  async picture(): Promise<Blob> {
    if (this.#busy) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    this.#tell({ ask: "picture" });
    return new Promise((resolve, reject) => {
      this.#waiting.set("picture", (answer) =>
        answer.answer === "picture" ? resolve(answer.blob) : reject(new Error("No picture was made.")),
      );
    });
  }

  close(): void {
    this.#worker.terminate();
    this.#waiting.get("nearest")?.({ answer: "nearest", cell: null });
  }

  #tell(question: Question, transfer: Transferable[] = []): void {
    this.#worker.postMessage(question, transfer);
  }

  #send(): void {
    if (this.#busy || !this.#next) return;
    const { paint, ...view } = this.#next;
    if (paint !== this.#paint) this.#tell({ ask: "paint", paint });
    this.#tell({ ask: "draw", ...view });
    [this.#busy, this.#next, this.#paint] = [true, null, paint];
  }

  #take(answer: Answer): void {
    if (answer.answer === "drawn") {
      this.#busy = false;
      this.onDrawn(this.#paint !== null);
      this.#send();
      if (!this.#busy) for (const go of this.#whenIdle.splice(0)) go();
      return;
    }
    this.#waiting.get(answer.answer)?.(answer);
    this.#waiting.delete(answer.answer);
  }
}
