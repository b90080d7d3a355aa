/** What part of the map is seen. Places on the map run from 0 to 65534, y upward. */
export const SPAN = 65534;
export const NOWHERE = 65535;
const FILL = 0.94;

export interface View {
  x: number;
  y: number;
  zoom: number;
}

export interface Size {
  width: number;
  height: number;
}

export const WHOLE: View = { x: SPAN / 2, y: SPAN / 2, zoom: 1 };

export function pixelsPerUnit(view: View, size: Size): number {
  return (view.zoom * FILL * Math.min(size.width, size.height)) / SPAN;
}

export function toPixel(view: View, size: Size, x: number, y: number): [number, number] {
  const scale = pixelsPerUnit(view, size);
  return [(x - view.x) * scale + size.width / 2, size.height / 2 - (y - view.y) * scale];
}

export function toMap(view: View, size: Size, px: number, py: number): [number, number] {
  const scale = pixelsPerUnit(view, size);
  return [(px - size.width / 2) / scale + view.x, (size.height / 2 - py) / scale + view.y];
}

/** Zoom about a pixel, which stays where it is. */
export function zoomed(view: View, size: Size, factor: number, px: number, py: number): View {
  const zoom = Math.min(Math.max(view.zoom * factor, 0.5), 64);
  const [x, y] = toMap(view, size, px, py);
  const ratio = view.zoom / zoom;
  return { x: x + (view.x - x) * ratio, y: y + (view.y - y) * ratio, zoom };
}

export function moved(view: View, size: Size, dx: number, dy: number): View {
  const scale = pixelsPerUnit(view, size);
  return { ...view, x: view.x - dx / scale, y: view.y + dy / scale };
}

/** A view as a text for the address; empty for the whole map. */
export function writeView({ x, y, zoom }: View): string {
  const near = x === WHOLE.x && y === WHOLE.y && zoom === 1;
  return near ? "" : [Math.round(x), Math.round(y), zoom.toFixed(2)].join("_");
}

export function readView(text: string | null): View {
  const [x, y, zoom] = (text ?? "").split("_").map(Number);
  const fine = [x, y, zoom].every(Number.isFinite);
  return fine ? { x: clip(x, -SPAN, 2 * SPAN), y: clip(y, -SPAN, 2 * SPAN), zoom: clip(zoom, 0.5, 64) } : WHOLE;
}

const clip = (value = 0, low: number, high: number): number => Math.min(Math.max(value, low), high);
