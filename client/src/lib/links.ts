/** Addresses of pages; in a copy, which has no server to answer them, they stand behind a #. */
import { copy } from "../copy/copy";
import type { Found } from "./types";

export const toPage = (path: string): string => (copy ? `#${path}` : path);
export const toConcept = (concept: number, list = ""): string => toPage(`/concepts/${concept}${list}`);
export const toGene = (gene: number | string): string => toPage(`/genes/${encodeURIComponent(gene)}`);
export const toTerm = (term: number): string => toPage(`/terms/${term}`);
export const toGroup = (key: string, code: number): string => toPage(`/groups/${key}/${code}`);
export const toCell = (cell: number): string => toPage(`/cells/${cell}`);

export function toFound({ kind, ref }: Found): string {
  const folder = { concept: "concepts", annotation: "concepts", gene: "genes", term: "terms", category: "groups", cell: "cells" };
  return toPage(`/${folder[kind]}/${ref.split("/").map(encodeURIComponent).join("/")}`);
}

export const KIND_NAMES: Record<Found["kind"], string> = {
  concept: "Concept",
  gene: "Gene",
  term: "Term",
  category: "Cell type",
  cell: "Cell",
  annotation: "Annotation",
};
