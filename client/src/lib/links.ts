/** Addresses of pages. */
import type { Found } from "./types";

export const toConcept = (concept: number, list = ""): string => `/concepts/${concept}${list}`;
export const toGene = (gene: number | string): string => `/genes/${encodeURIComponent(gene)}`;
export const toTerm = (term: number): string => `/terms/${term}`;
export const toGroup = (key: string, code: number): string => `/groups/${key}/${code}`;
export const toCell = (cell: number): string => `/cells/${cell}`;

export function toFound({ kind, ref }: Found): string {
  const folder = { concept: "concepts", annotation: "concepts", gene: "genes", term: "terms", category: "groups", cell: "cells" };
  return `/${folder[kind]}/${ref.split("/").map(encodeURIComponent).join("/")}`;
}

export const KIND_NAMES: Record<Found["kind"], string> = {
  concept: "Concept",
  gene: "Gene",
  term: "Term",
  category: "Cell type",
  cell: "Cell",
  annotation: "Annotation",
};
