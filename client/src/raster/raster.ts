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
/** Where a cell is that is out of sight. */
const AWAY = -32768;
const STRONGEST = 256;

/** The radius of a cell in pixels: small where cells are many, larger where the reader is near. */
export function radiusOf(nCells: number, size: Size, zoom: number, ratio: number): number {
  const room = Math.sqrt((size.width * size.height) / Math.max(nCells, 1));
  return Math.min(Math.max(room * 0.17 * zoom ** 0.75, 0.5 * ratio), 6 * ratio);
}

const pack = ([red, green, blue]: Colour): number => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;

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
  #x = new Int16Array(0);
  #y = new Int16Array(0);
  #stamp = stampOf(1);
  #order: Uint32Array = new Uint32Array(0);
  #orderOf: Paint | null = null;

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
    this.#stamp = stampOf(radiusOf(this.n, size, view.zoom, ratio));
    this.#place(view, Math.max(...this.#stamp.dx));
    new Uint32Array(this.#image.data.buffer).fill(pack(ground));
    this.#paintAll(() => base);
    this.#ground = this.#image.data.slice();
    this.#groundFor = name;
  }

  /** Draw one way of colouring cells over the grey map. */
  paint(paint: Paint | null): ImageData {
    this.#image.data.set(this.#ground);
    if (paint?.kind === "strength") this.#paintStrength(paint);
    if (paint?.kind === "groups") this.#paintAll((cell) => paint.colours[paint.codes[cell] as number]);
    return this.#image;
  }

  /** The cell nearest to a pixel; null if none is within reach. */
  nearest(px: number, py: number, within: number): number | null {
    let best = within * within;
    let found: number | null = null;
    for (let cell = 0; cell < this.#x.length; cell++) {
      const dx = (this.#x[cell] as number) - px;
      const dy = (this.#y[cell] as number) - py;
      const distance = dx * dx + dy * dy;
      if (distance < best) [best, found] = [distance, cell];
    }
    return found;
  }

  /** Find the pixel of every cell; those whose disc is out of sight have none. */
  #place(view: View, reach: number): void {
    const { width, height } = this.#size;
    const scale = pixelsPerUnit(view, this.#size);
    if (this.#x.length !== this.n) [this.#x, this.#y] = [new Int16Array(this.n), new Int16Array(this.n)];
    const [coords, xs, ys, n] = [this.#coords, this.#x, this.#y, this.n];
    const [left, top] = [width / 2 - view.x * scale + 0.5, height / 2 + view.y * scale + 0.5];
    for (let cell = 0; cell < n; cell++) {
      const at = coords[2 * cell] as number;
      const x = Math.floor(at * scale + left);
      const y = Math.floor(top - (coords[2 * cell + 1] as number) * scale);
      const seen = at !== NOWHERE && x >= -reach && y >= -reach && x < width + reach && y < height + reach;
      xs[cell] = seen ? x : AWAY;
      ys[cell] = seen ? y : AWAY;
    }
  }

  /** Colour every cell that has a colour. */
  #paintAll(colourOf: (cell: number) => Colour | undefined): void {
    if (this.#stamp.cover.length > 1) {
      for (let cell = 0; cell < this.n; cell++) {
        const colour = colourOf(cell);
        if (colour) this.#disc(cell, colour);
      }
      return;
    }
    const pixels = new Uint32Array(this.#image.data.buffer);
    const { width } = this.#size;
    const [xs, ys] = [this.#x, this.#y];
    let [before, packed] = [undefined as Colour | undefined, 0];
    for (let cell = 0; cell < xs.length; cell++) {
      const x = xs[cell] as number;
      if (x === AWAY) continue;
      const colour = colourOf(cell);
      if (!colour) continue;
      if (colour !== before) [before, packed] = [colour, pack(colour)];
      pixels[(ys[cell] as number) * width + x] = packed;
    }
  }

  #paintStrength(paint: Strength): void {
    if (paint !== this.#orderOf) [this.#order, this.#orderOf] = [byStrength(paint.values), paint];
    const least = Math.max(1, Math.ceil(paint.threshold * 255));
    for (const i of this.#order) {
      const value = paint.values[i] as number;
      if (value >= least) this.#disc(paint.cells[i] as number, paint.colours[value] as Colour);
    }
  }

  #disc(cell: number, colour: Colour): void {
    const x0 = this.#x[cell] as number;
    if (x0 === AWAY) return;
    const y0 = this.#y[cell] as number;
    const { width, height } = this.#size;
    const { dx, dy, cover } = this.#stamp;
    const data = this.#image.data;
    const red = colour[0];
    const green = colour[1];
    const blue = colour[2];
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
