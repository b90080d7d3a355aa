/** The parts of the atlas that several pages use. */
import { getBytes, getRows } from "./api";
import { type Column, unpackColumn } from "./column";
import type { Concept, ObsColumn } from "./types";

export const concepts = (): Promise<Concept[]> => getRows<Concept>("concepts");

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
