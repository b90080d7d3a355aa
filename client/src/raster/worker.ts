/** The worker of a map: draws it and finds cells, so that the page never waits. */
import type { Answer, Paint, Question } from "./messages";
import { Raster } from "./raster";

let raster: Raster | null = null;
let canvas: OffscreenCanvas | null = null;
let paint: Paint | null = null;

const tell = (answer: Answer): void => self.postMessage(answer);

function draw(question: Question & { ask: "draw" }, raster: Raster, canvas: OffscreenCanvas): void {
  const { width, height } = question.size;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  raster.look(question.view, question.size, question.ratio, question.ground, question.base);
  canvas.getContext("2d", { alpha: false })?.putImageData(raster.paint(paint), 0, 0);
  tell({ answer: "drawn" });
}

self.onmessage = ({ data: question }: MessageEvent<Question>): void => {
  if (question.ask === "start") {
    canvas = question.canvas;
    raster = new Raster(question.coords);
  } else if (question.ask === "paint") {
    paint = question.paint;
  } else if (raster && canvas) {
    if (question.ask === "draw") draw(question, raster, canvas);
    if (question.ask === "nearest") {
      tell({ answer: "nearest", cell: raster.nearest(question.x, question.y, question.within) });
    }
    if (question.ask === "picture") {
      void canvas.convertToBlob({ type: "image/png" }).then((blob) => tell({ answer: "picture", blob }));
    }
  }
};
