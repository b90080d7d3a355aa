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

/** A category for every cell. */
export interface Groups {
  kind: "groups";
  codes: Uint16Array;
  colours: Colour[];
}

export type Paint = Strength | Groups;

export type Question =
  | { ask: "start"; canvas: OffscreenCanvas; coords: Uint16Array }
  | { ask: "draw"; view: View; size: Size; ratio: number; ground: Colour; base: Colour; paint: Paint | null }
  | { ask: "nearest"; x: number; y: number; within: number }
  | { ask: "picture" };

export type Answer =
  | { answer: "drawn"; milliseconds: number }
  | { answer: "nearest"; cell: number | null }
  | { answer: "picture"; blob: Blob };
