/** Cells by where they are on the map. */
import { NOWHERE, SPAN } from "../raster/view";
import { coords } from "./atlas";
import type { Category } from "./types";

export type Point = [x: number, y: number];

const MAX_CORNERS = 200;
/** How far beyond the map a lasso may reach. */
const MARGIN = 16384;

/** The middle cell of each category, to write its name there. */
export function middles(coords: Uint16Array, codes: Uint16Array, categories: Category[]): { name: string; x: number; y: number }[] {
  const found = new Map<number, [number[], number[]]>();
  codes.forEach((code, cell) => {
    const x = coords[2 * cell] as number;
    if (x === NOWHERE) return;
    const [xs, ys] = found.get(code) ?? [[], []];
    xs.push(x);
    ys.push(coords[2 * cell + 1] as number);
    found.set(code, [xs, ys]);
  });
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] as number;
  return categories.flatMap(({ code, name }) => {
    const places = found.get(code);
    return places ? [{ name, x: median(places[0]), y: median(places[1]) }] : [];
  });
}

/** A lasso as a text for the address, with at most 200 corners. */
export function writeLasso(polygon: Point[]): string {
  const step = Math.ceil(polygon.length / MAX_CORNERS);
  const clip = (value: number): string => Math.min(Math.max(Math.round(value) + MARGIN, 0), SPAN + 2 * MARGIN).toString(36);
  return polygon
    .filter((_, i) => i % step === 0)
    .map(([x, y]) => `${clip(x)}-${clip(y)}`)
    .join(".");
}

/** Read a lasso; null if the text is none. */
export function readLasso(text: string): Point[] | null {
  const corners = text.split(".").map((corner) => corner.split("-").map((part) => Number.parseInt(part, 36) - MARGIN));
  const fine = corners.length > 2 && corners.length <= MAX_CORNERS && corners.every((c) => c.length === 2 && c.every((v) => v >= -MARGIN && v <= SPAN + MARGIN));
  return fine ? (corners as Point[]) : null;
}

/** Runs of neighbouring cells that lie within a polygon, the end of each not included. */
export function cellsWithin(coords: Uint16Array, polygon: Point[]): Point[] {
  const xs = polygon.map(([x]) => x);
  const ys = polygon.map(([, y]) => y);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const bands = edgesByBand(polygon, low, high);
  const perBand = BANDS / (high - low || 1);
  const runs: Point[] = [];
  for (let cell = 0; 2 * cell < coords.length; cell++) {
    const x = coords[2 * cell] as number;
    const y = coords[2 * cell + 1] as number;
    if (x < left || x > right || y < low || y > high || x === NOWHERE) continue;
    if (!isWithin(x, y, bands[Math.min(Math.floor((y - low) * perBand), BANDS - 1)] as Edge[])) continue;
    const run = runs.at(-1);
    if (run?.[1] === cell) run[1] = cell + 1;
    else runs.push([cell, cell + 1]);
  }
  return runs;
}

type Edge = [fromX: number, fromY: number, toX: number, toY: number];
const BANDS = 512;

/** The edges of a polygon that each of the bands of its height meets, so that a cell is held against few of them. */
function edgesByBand(polygon: Point[], low: number, high: number): Edge[][] {
  const bands: Edge[][] = Array.from({ length: BANDS }, () => []);
  const bandOf = (y: number): number => Math.min(Math.floor(((y - low) * BANDS) / (high - low || 1)), BANDS - 1);
  polygon.forEach(([x, y], i) => {
    const [beforeX, beforeY] = polygon.at(i - 1) as Point;
    for (let band = bandOf(Math.min(y, beforeY)); band <= bandOf(Math.max(y, beforeY)); band++) {
      bands[band]?.push([beforeX, beforeY, x, y]);
    }
  });
  return bands;
}

function isWithin(x: number, y: number, edges: Edge[]): boolean {
  let inside = false;
  for (const [fromX, fromY, toX, toY] of edges) {
    if (toY > y !== fromY > y && x < ((fromX - toX) * (y - toY)) / (fromY - toY) + toX) inside = !inside;
  }
  return inside;
}

let outline: Promise<Uint8Array> | null = null;

/** Which pixels of a small map have cells, rows from the top. */
export function silhouette(side: number): Promise<Uint8Array> {
  outline ??= coords().then((places) => {
    const filled = new Uint8Array(side * side);
    const pixel = (value: number): number => Math.min(Math.floor((value * side) / (SPAN + 1)), side - 1);
    for (let cell = 0; 2 * cell < places.length; cell++) {
      const x = places[2 * cell] as number;
      if (x !== NOWHERE) filled[(side - 1 - pixel(places[2 * cell + 1] as number)) * side + pixel(x)] = 1;
    }
    return filled;
  });
  outline.catch(() => (outline = null));
  return outline;
}
