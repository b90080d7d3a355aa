/** How much room a text takes, to give names in charts the room they need. */
const context = new OffscreenCanvas(1, 1).getContext("2d");
let family = "";

export function widthOf(text: string, size: number): number {
  family ||= getComputedStyle(document.body).fontFamily;
  if (!context) return text.length * size * 0.62;
  context.font = `${size}px ${family}`;
  return context.measureText(text).width;
}

/** A text as long as it has room. */
export function fit(text: string, room: number, size: number): string {
  if (widthOf(text, size) <= room) return text;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (widthOf(`${text.slice(0, middle)}…`, size) <= room) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low).trimEnd()}…`;
}

/** The room that names need, at most a share of the whole. */
export function roomFor(names: readonly string[], size: number, most: number): number {
  return Math.min(Math.max(0, ...names.map((name) => widthOf(name, size))) + 10, most);
}
