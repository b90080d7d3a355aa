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
