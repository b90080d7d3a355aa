/** What a map asks of its worker, and what the worker answers. */
import type { Colour } from "../palette";
import type { Size, View } from "./view";

/** Values to colour cells by, strongest on top. */
export interface Strength {
  kind: "strength";
  cells: Uint32Array;
  values: Uint8Array;
  scale: "linear" | "log" | "rank";
  /** From 0 to 1 of the largest value; weaker cells stay grey. */
  threshold: number;
  colours: Colour[];
}

/** A category for every cell; one without a colour stays grey. */
export interface Groups {
  kind: "groups";
  codes: Uint16Array;
  colours: (Colour | undefined)[];
}

export type Paint = Strength | Groups;

export interface Drawing {
  view: View;
  size: Size;
  ratio: number;
  ground: Colour;
  base: Colour;
  paint: Paint | null;
}

export type Question =
  | { ask: "start"; canvas: OffscreenCanvas; coords: Uint16Array }
  | { ask: "paint"; paint: Paint | null }
  | ({ ask: "draw" } & Omit<Drawing, "paint">)
  | { ask: "nearest"; x: number; y: number; within: number }
  | { ask: "picture" };

export type Answer =
  | { answer: "drawn" }
  | { answer: "nearest"; cell: number | null }
  | { answer: "picture"; blob: Blob };
