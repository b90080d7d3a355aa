/** A panel as one SVG figure that stands alone: its texts, lines, charts and maps where they are seen. */
import { LIGHT } from "../palette";

const SVG = "http://www.w3.org/2000/svg";
const LEFT_OUT = ".no-print, .hidden, select, input, [data-no-figure]";
const MARGIN = 12;

/** Maps that a worker draws, whose pixels only the worker can hand over. */
export const pictures = new WeakMap<HTMLCanvasElement, () => Promise<Blob>>();

interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

class Figure {
  readonly root = document.createElementNS(SVG, "svg");
  readonly #corner: DOMRect;
  #right: number;

  constructor(readonly panel: HTMLElement) {
    this.#corner = panel.getBoundingClientRect();
    this.#right = this.#corner.width;
  }

  add(name: string, attributes: Record<string, string | number>, text = ""): SVGElement {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
    element.textContent = text;
    this.root.append(element);
    return element;
  }

  /** Where something lies within the figure. */
  place(rect: Box): { x: number; y: number; width: number; height: number } {
    const [x, y] = [rect.left - this.#corner.left, rect.top - this.#corner.top];
    this.#right = Math.max(this.#right, x + rect.width);
    return { x: round(x), y: round(y), width: round(rect.width), height: round(rect.height) };
  }

  finish(): SVGSVGElement {
    const [width, height] = [Math.ceil(this.#right + MARGIN), Math.ceil(this.#corner.height)];
    const family = getComputedStyle(this.panel).fontFamily;
    for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height, "font-family": family })) {
      this.root.setAttribute(key, String(value));
    }
    const ground = document.createElementNS(SVG, "rect");
    for (const [key, value] of Object.entries({ width, height, fill: LIGHT.surface })) ground.setAttribute(key, String(value));
    this.root.prepend(ground);
    return this.root;
  }
}

const round = (value: number): number => Math.round(value * 100) / 100;

export async function panelFigure(panel: HTMLElement): Promise<SVGSVGElement> {
  const figure = new Figure(panel);
  for (const child of panel.children) await draw(figure, child);
  return figure.finish();
}

async function draw(figure: Figure, element: Element): Promise<void> {
  if (element.matches(LEFT_OUT)) return;
  const rect = element.getBoundingClientRect();
  if (!rect.width || !rect.height) return;
  if (element instanceof SVGSVGElement) return void drawChart(figure, element, rect);
  if (element instanceof HTMLCanvasElement) return drawPixels(figure, element, rect);
  drawBox(figure, element, rect);
  for (const node of element.childNodes) {
    if (node instanceof Element) await draw(figure, node);
    else if (node instanceof Text && node.data.trim()) drawText(figure, node, element);
  }
}

/** A chart as it is, with colours for names of colours, and without links, which lead nowhere from a file. */
function drawChart(figure: Figure, chart: SVGSVGElement, rect: DOMRect): void {
  const copy = chart.cloneNode(true) as SVGSVGElement;
  for (const [key, value] of Object.entries(figure.place(rect))) copy.setAttribute(key, String(value));
  for (const element of [copy, ...copy.querySelectorAll("*")]) {
    for (const { name, value } of [...element.attributes]) {
      if (["class", "style", "href", "tabindex"].includes(name)) element.removeAttribute(name);
      else element.setAttribute(name, value.replace(/var\(--(\w+)\)/g, (whole, token: string) => LIGHT[token as keyof typeof LIGHT] ?? whole));
    }
  }
  figure.root.append(copy);
}

async function drawPixels(figure: Figure, canvas: HTMLCanvasElement, rect: DOMRect): Promise<void> {
  const place = figure.place(rect);
  const picture = pictures.get(canvas);
  const href = picture ? await dataUrl(await picture()) : canvas.toDataURL();
  figure.add("image", { ...place, href });
}

function dataUrl(blob: Blob): Promise<string> {
  const reader = new FileReader();
  return new Promise((resolve, reject) => {
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error("The picture cannot be read."));
    reader.readAsDataURL(blob);
  });
}

function drawBox(figure: Figure, element: Element, rect: DOMRect): void {
  const style = getComputedStyle(element);
  const { x, y, width, height } = figure.place(rect);
  if (!/rgba\(.*, 0\)|transparent/.test(style.backgroundColor)) {
    figure.add("rect", { x, y, width, height, rx: Math.min(Number.parseFloat(style.borderTopLeftRadius) || 0, height / 2), fill: style.backgroundColor });
  }
  if (Number.parseFloat(style.borderBottomWidth) > 0 && element.matches("td, th, li")) {
    figure.add("rect", { x, y: y + height - 1, width, height: 1, fill: style.borderBottomColor });
  }
  if (Number.parseFloat(style.borderLeftWidth) > 1) {
    figure.add("rect", { x, y, width: Number.parseFloat(style.borderLeftWidth), height, fill: style.borderLeftColor });
  }
}

function drawText(figure: Figure, node: Text, parent: Element): void {
  const style = getComputedStyle(parent);
  const size = Number.parseFloat(style.fontSize);
  const look = { "font-size": size, "font-weight": style.fontWeight, fill: style.color };
  for (const { text, box } of lines(node)) {
    const { x, y, height } = figure.place(box);
    figure.add("text", { x, y: round(y + height / 2 + 0.36 * size), ...look }, text);
  }
}

/** The lines into which a text was broken. */
function lines(node: Text): { text: string; box: Box }[] {
  const found: { text: string; box: Box }[] = [];
  const range = document.createRange();
  for (const { 0: word, index } of node.data.matchAll(/\S+/g)) {
    range.setStart(node, index);
    range.setEnd(node, index + word.length);
    const rect = range.getBoundingClientRect();
    if (!rect.width) continue;
    const last = found.at(-1);
    if (last && Math.abs(last.box.top - rect.top) < 2) {
      last.text += ` ${word}`;
      last.box.width = rect.right - last.box.left;
    } else found.push({ text: word, box: { left: rect.left, top: rect.top, width: rect.width, height: rect.height } });
  }
  return found;
}
