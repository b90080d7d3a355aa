/** The parts of the atlas that several pages use. */
import { copy } from "../copy/copy";
import { ApiError, getBytes, getJson, getRows } from "./api";
import { type Column, unpackColumn } from "./column";
import type { Concept, ObsColumn } from "./types";

export const concepts = (): Promise<readonly Concept[]> => getRows<Concept>("concepts");

/** One concept's row, for those who need no other. */
export async function oneConcept(concept: number): Promise<Concept> {
  if (!copy) return (await getJson<{ concept: Concept }>(`concepts/${concept}`)).concept;
  const found = (await concepts()).find((row) => row.concept === concept);
  if (!found) throw new ApiError(404, "This copy of the atlas does not have this concept.");
  return found;
}

/** Ask for what the page of a concept shows, before somebody goes there. */
export function prefetch(concept: number, group: string | undefined): void {
  if (copy) return;
  const asked = [getBytes(`concepts/${concept}/activations`)] as Promise<unknown>[];
  for (const part of ["", "/genes", "/terms", "/pairs", "/related", "/associations", ...(group ? [`/groups/${group}`] : [])]) {
    asked.push(getJson(`concepts/${concept}${part}`));
  }
  // Whoever goes there will hear of what failed.
  void Promise.allSettled(asked);
}

export async function coords(): Promise<Uint16Array> {
  return new Uint16Array(await getBytes("coords"));
}

export async function activations(concept: number): Promise<Column> {
  return unpackColumn(await getBytes(`concepts/${concept}/activations`));
}

export async function expression(gene: number): Promise<Column> {
  return unpackColumn(await getBytes(`genes/${gene}/expression`));
}

export async function codes(key: string): Promise<Uint16Array> {
  return new Uint16Array(await getBytes(`obs/${key}`));
}

/** The columns that say what cells are, those with a role first. */
export const categorical = (obs: readonly ObsColumn[]): ObsColumn[] =>
  obs.filter((column) => column.kind === "categorical" && column.categories.length > 0);

export function labelColumn(obs: readonly ObsColumn[]): ObsColumn | null {
  return obs.find((column) => column.role === "label") ?? categorical(obs)[0] ?? null;
}

/** Genes or themes of a concept, which travel joined by semicolons. */
export const parts = (joined: string | null): string[] => (joined ? joined.split(";").filter(Boolean) : []);
