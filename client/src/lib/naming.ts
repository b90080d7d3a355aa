/** Names on a map, none across another. */
import { widthOf } from "./text";

export interface Named {
  name: string;
  x: number;
  y: number;
}

const SIZE = 12;
const LINE = 15;
/** How far a name may be moved away from its place, in lines. */
const MOVES = [0, -1, 1, -2, 2, -3, 3];

/** Where each name is written, in pixels; the first ones have the first choice, and one without room is left out. */
export function placed(names: readonly Named[], toPixel: (x: number, y: number) => [number, number], size: { width: number; height: number }): Named[] {
  const taken: { left: number; right: number; y: number }[] = [];
  return names.flatMap(({ name, x, y }) => {
    const [px, py] = toPixel(x, y);
    if (px < 0 || py < 0 || px > size.width || py > size.height) return [];
    const half = widthOf(name, SIZE) * 0.54 + 2;
    const middle = Math.min(Math.max(px, half), Math.max(size.width - half, half));
    const [left, right] = [middle - half, middle + half];
    const free = MOVES.map((move) => Math.min(Math.max(py + move * LINE, LINE), size.height - 4)).find((at) =>
      taken.every((other) => Math.abs(other.y - at) >= LINE || other.right < left || other.left > right),
    );
    if (free === undefined) return [];
    taken.push({ left, right, y: free });
    return [{ name, x: middle, y: free }];
  });
}
