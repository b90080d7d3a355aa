/** The colour of each of the 255 values of a column, for a scale. */
import { type Colour, shade } from "../palette";
import type { Strength } from "./messages";

export type Scale = Strength["scale"];
export const SCALES: readonly Scale[] = ["linear", "log", "rank"];

/** Where each value from 0 to 255 lies on the scale, 0 to 1. */
export function places(values: Uint8Array, scale: Scale): Float64Array {
  const all = Float64Array.from({ length: 256 }, (_, value) => value / 255);
  if (scale === "log") return all.map((at) => Math.log1p(99 * at) / Math.log(100));
  if (scale === "linear") return all;
  const counts = new Float64Array(256);
  for (const value of values) counts[value] = (counts[value] as number) + 1;
  let below = 0;
  return counts.map((count) => {
    const middle = (below + count / 2) / Math.max(values.length, 1);
    below += count;
    return middle;
  });
}

export function shades(values: Uint8Array, scale: Scale, corners: readonly string[]): Colour[] {
  return Array.from(places(values, scale), (at) => shade(corners, at));
}
