/** What a panel shows as a file: SVG as it is seen, PNG at twice the size; always in the colours of paper. */
import { tick } from "svelte";

import { csvText } from "./csv";
import { panelFigure } from "./figure";
import { inLight } from "./theme.svelte";

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function saveCsv(rows: readonly object[], name: string): void {
  save(new Blob(["\ufeff", csvText(rows)], { type: "text/csv" }), `${name}.csv`);
}

async function figureText(panel: HTMLElement): Promise<string> {
  const figure = await inLight(async () => {
    await tick();
    return panelFigure(panel);
  });
  return new XMLSerializer().serializeToString(figure);
}

export async function saveSvg(panel: HTMLElement, name: string): Promise<void> {
  save(new Blob([await figureText(panel)], { type: "image/svg+xml" }), `${name}.svg`);
}

export async function savePng(panel: HTMLElement, name: string): Promise<void> {
  const url = URL.createObjectURL(new Blob([await figureText(panel)], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = new OffscreenCanvas(2 * image.naturalWidth, 2 * image.naturalHeight);
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(url);
  save(await canvas.convertToBlob({ type: "image/png" }), `${name}.png`);
}
