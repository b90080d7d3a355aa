/** Cells drawn as discs into pixels: all of them grey, the active ones on top, the strongest last. */
import type { Colour } from "../palette";
import type { Paint, Strength } from "./messages";
import { NOWHERE, pixelsPerUnit, type Size, type View } from "./view";

/** Offsets of the pixels of a disc, and how much of each it covers, 1 to 255. */
interface Stamp {
  dx: Int16Array;
  dy: Int16Array;
  cover: Uint8Array;
}

const FINE = 4;
const STRONGEST = 256;

/** The radius of a cell in pixels: small where cells are many, larger where the reader is near. */
export function radiusOf(nCells: number, size: Size, zoom: number, ratio: number): number {
  const room = Math.sqrt((size.width * size.height) / Math.max(nCells, 1));
  return Math.min(Math.max(room * 0.17 * Math.sqrt(zoom), 0.5 * ratio), 6 * ratio);
}

export function stampOf(radius: number): Stamp {
  if (radius < 0.9) return { dx: new Int16Array(1), dy: new Int16Array(1), cover: new Uint8Array([255]) };
  const reach = Math.ceil(radius);
  const found: [number, number, number][] = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const cover = coverage(dx, dy, radius);
      if (cover) found.push([dx, dy, cover]);
    }
  }
  return {
    dx: Int16Array.from(found, ([dx]) => dx),
    dy: Int16Array.from(found, ([, dy]) => dy),
    cover: Uint8Array.from(found, ([, , cover]) => cover),
  };
}

function coverage(dx: number, dy: number, radius: number): number {
  let inside = 0;
  for (let i = 0; i < FINE; i++) {
    for (let j = 0; j < FINE; j++) {
      const x = dx + (i + 0.5) / FINE - 0.5;
      const y = dy + (j + 0.5) / FINE - 0.5;
      if (x * x + y * y <= radius * radius) inside++;
    }
  }
  return Math.round((inside * 255) / (FINE * FINE));
}

export class Raster {
  readonly n: number;
  readonly #coords: Uint16Array;
  #image = new ImageData(1, 1);
  #ground = new Uint8ClampedArray(4);
  #groundFor = "";
  #size: Size = { width: 1, height: 1 };
  #x = new Int32Array(0);
  #y = new Int32Array(0);
  #stamp = stampOf(1);

  constructor(coords: Uint16Array) {
    this.#coords = coords;
    this.n = coords.length / 2;
  }

  /** Make the grey map of a view, unless it is there already. */
  look(view: View, size: Size, ratio: number, ground: Colour, base: Colour): void {
    const name = JSON.stringify([view, size, ratio, ground, base]);
    if (name === this.#groundFor) return;
    if (size.width !== this.#size.width || size.height !== this.#size.height) {
      this.#image = new ImageData(size.width, size.height);
    }
    this.#size = size;
    this.#place(view);
    this.#stamp = stampOf(radiusOf(this.n, size, view.zoom, ratio));
    const packed = (255 << 24) | (ground[2] << 16) | (ground[1] << 8) | ground[0];
    new Uint32Array(this.#image.data.buffer).fill(packed);
    for (let cell = 0; cell < this.n; cell++) this.#disc(cell, base);
    this.#ground = this.#image.data.slice();
    this.#groundFor = name;
  }

  /** Draw one way of colouring cells over the grey map. */
  paint(paint: Paint | null): ImageData {
    this.#image.data.set(this.#ground);
    if (paint?.kind === "strength") this.#paintStrength(paint);
    if (paint?.kind === "groups") {
      for (let cell = 0; cell < this.n; cell++) {
        const colour = paint.colours[paint.codes[cell] as number];
        if (colour) this.#disc(cell, colour);
      }
    }
    return this.#image;
  }

  /** The cell nearest to a pixel; null if none is within reach. */
  nearest(px: number, py: number, within: number): number | null {
    let best = within * within;
    let found: number | null = null;
    for (let cell = 0; cell < this.n; cell++) {
      const dx = (this.#x[cell] as number) - px;
      const dy = (this.#y[cell] as number) - py;
      const distance = dx * dx + dy * dy;
      if (distance < best) [best, found] = [distance, cell];
    }
    return found;
  }

  #place(view: View): void {
    const { width, height } = this.#size;
    const scale = pixelsPerUnit(view, this.#size);
    if (this.#x.length !== this.n) [this.#x, this.#y] = [new Int32Array(this.n), new Int32Array(this.n)];
    for (let cell = 0; cell < this.n; cell++) {
      const x = this.#coords[2 * cell] as number;
      const y = this.#coords[2 * cell + 1] as number;
      const away = x === NOWHERE;
      this.#x[cell] = away ? -1e6 : Math.round((x - view.x) * scale + width / 2);
      this.#y[cell] = away ? -1e6 : Math.round(height / 2 - (y - view.y) * scale);
    }
  }

  #paintStrength(paint: Strength): void {
    const least = Math.max(1, Math.ceil(paint.threshold * 255));
    for (const i of byStrength(paint.values)) {
      const value = paint.values[i] as number;
      if (value >= least) this.#disc(paint.cells[i] as number, paint.colours[value] as Colour);
    }
  }

  #disc(cell: number, colour: Colour): void {
    const { width, height } = this.#size;
    const { dx, dy, cover } = this.#stamp;
    const data = this.#image.data;
    const x0 = this.#x[cell] as number;
    const y0 = this.#y[cell] as number;
    if (x0 < -8 || y0 < -8 || x0 > width + 8 || y0 > height + 8) return;
    const [red, green, blue] = colour;
    for (let k = 0; k < cover.length; k++) {
      const x = x0 + (dx[k] as number);
      const y = y0 + (dy[k] as number);
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      const part = (cover[k] as number) / 255;
      const at = 4 * (y * width + x);
      data[at] = (data[at] as number) + (red - (data[at] as number)) * part;
      data[at + 1] = (data[at + 1] as number) + (green - (data[at + 1] as number)) * part;
      data[at + 2] = (data[at + 2] as number) + (blue - (data[at + 2] as number)) * part;
    }
  }
}

/** Positions in the order of their values, by counting. */
function byStrength(values: Uint8Array): Uint32Array {
  const start = new Uint32Array(STRONGEST + 1);
  for (const value of values) start[value + 1] = (start[value + 1] as number) + 1;
  for (let value = 1; value <= STRONGEST; value++) {
    start[value] = (start[value] as number) + (start[value - 1] as number);
  }
  const order = new Uint32Array(values.length);
  values.forEach((value, i) => {
    const at = start[value] as number;
    order[at] = i;
    start[value] = at + 1;
  });
  return order;
}
