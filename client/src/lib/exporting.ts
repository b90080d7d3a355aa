/** Figures as files: SVG as it is drawn, PNG at twice the size; always in the colours of paper. */
import { LIGHT } from "../palette";

const SVG = "http://www.w3.org/2000/svg";

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The text of a figure that stands alone: no variables, no classes, a white ground. */
export function standalone(figure: SVGSVGElement): string {
  const copy = figure.cloneNode(true) as SVGSVGElement;
  const [, , width, height] = (figure.getAttribute("viewBox") ?? "0 0 600 400").split(" ") as string[];
  const ground = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", fill: LIGHT.surface })) {
    ground.setAttribute(name, value);
  }
  copy.prepend(ground);
  for (const [name, value] of Object.entries({ xmlns: SVG, width, height, "font-family": "sans-serif" })) {
    copy.setAttribute(name, String(value));
  }
  for (const element of copy.querySelectorAll("*")) element.removeAttribute("class");
  const text = new XMLSerializer().serializeToString(copy);
  return text.replace(/var\(--(\w+)\)/g, (whole, name: string) => LIGHT[name as keyof typeof LIGHT] ?? whole);
}

export function saveSvg(figure: SVGSVGElement, name: string): void {
  save(new Blob([standalone(figure)], { type: "image/svg+xml" }), `${name}.svg`);
}

export async function savePng(figure: SVGSVGElement, name: string): Promise<void> {
  const url = URL.createObjectURL(new Blob([standalone(figure)], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = new OffscreenCanvas(2 * image.naturalWidth, 2 * image.naturalHeight);
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(url);
  save(await canvas.convertToBlob({ type: "image/png" }), `${name}.png`);
}

/** A picture of pixels within an SVG, for those who put figures together. */
export async function savePictureAsSvg(picture: Blob, size: { width: number; height: number }, name: string): Promise<void> {
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    reader.onload = resolve;
    reader.onerror = () => reject(reader.error ?? new Error("The picture cannot be read."));
    reader.readAsDataURL(picture);
  });
  const figure = document.createElementNS(SVG, "svg");
  figure.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  const image = document.createElementNS(SVG, "image");
  for (const [key, value] of Object.entries({ ...size, href: String(reader.result) })) image.setAttribute(key, String(value));
  figure.append(image);
  saveSvg(figure, name);
}
