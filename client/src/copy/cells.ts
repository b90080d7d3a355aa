/** What a copy computes by itself: pages of cells, of their categories, and of selections. */
import { ApiError } from "../lib/errors";
import type { Concept, Enriched, Meta, ObsColumn, SelectionAnswer, Table } from "../lib/types";
import { copy, entry, jsonEntry } from "./copy";

const MISSING = 65535;

/** Which concepts fire in the cells of a shard: of each cell where its part ends, then concepts and activations. */
interface Block {
  first: number;
  ends: Uint32Array;
  concepts: Uint32Array;
  values: Float32Array;
}

interface Sums {
  active: Float64Array;
  total: Float64Array;
}

const perShard = (): number => copy?.cells_per_shard ?? 1;

async function aligned(shard: string, address: string): Promise<ArrayBuffer> {
  const found = await entry(shard, address);
  if (!found) throw new ApiError(404, "This copy of the atlas does not have this cell.");
  return found.slice().buffer;
}

async function blockOf(cell: number): Promise<Block> {
  const number = Math.floor(cell / perShard());
  const [ends, concepts, values] = await Promise.all(
    ["ends", "concepts", "values"].map((part) => aligned(`cells-${number}`, `cells/${number}/${part}`)),
  );
  return {
    first: number * perShard(),
    ends: new Uint32Array(ends as ArrayBuffer),
    concepts: new Uint32Array(concepts as ArrayBuffer),
    values: new Float32Array(values as ArrayBuffer),
  };
}

const concepts = (): Promise<Table<Concept>> => jsonEntry("atlas", "concepts");
const obs = async (): Promise<ObsColumn[]> => (await jsonEntry<Meta>("atlas", "meta")).obs;
const codes = async ({ key }: ObsColumn): Promise<Uint16Array> => new Uint16Array(await aligned(`obs-${key}`, `obs/${key}`));
const numbers = async ({ key }: ObsColumn): Promise<Float32Array> => new Float32Array(await aligned(`obs-${key}`, `obs/${key}`));

/** One cell: what is known of it, which concepts fire in it, which pairs it is part of. */
export async function cellAnswer(cell: number): Promise<object> {
  const block = await blockOf(cell);
  const at = cell - block.first;
  if (!(at < block.ends.length)) throw new ApiError(404, `This copy of the atlas has no cell ${cell}.`);
  const number = Math.floor(cell / perShard());
  const [names, pairs, table, columns, places] = await Promise.all([
    jsonEntry<string[]>(`cells-${number}`, `cells/${number}/names`),
    jsonEntry<Record<string, [number, number, string][]>>(`cells-${number}`, `cells/${number}/pairs`),
    concepts(),
    obs(),
    aligned("coords", "coords"),
  ]);
  const fires = [];
  for (let i = at ? (block.ends[at - 1] as number) : 0; i < (block.ends[at] as number); i++) {
    fires.push({ concept: block.concepts[i] as number, activation: block.values[i] as number });
  }
  fires.sort((a, b) => b.activation - a.activation || a.concept - b.concept);
  const called = new Map(table.columns.concept.map((one, i) => [one, table.columns.auto_name[i] ?? null]));
  const [x, y] = new Uint16Array(places, 4 * cell, 2);
  const off = x === MISSING;
  const within = pairs[String(cell)] ?? [];
  return {
    cell: { position: cell, id: names[at], x: off ? null : x, y: off ? null : y },
    obs: await Promise.all(columns.map(async (column) => ({ key: column.key, name: column.name, kind: column.kind, value: await valueOf(column, cell) }))),
    concepts: {
      n: fires.length,
      columns: {
        concept: fires.map((one) => one.concept),
        auto_name: fires.map((one) => called.get(one.concept) ?? null),
        activation: fires.map((one) => one.activation),
      },
    },
    pairs: {
      n: within.length,
      columns: { concept: within.map(([one]) => one), number: within.map(([, one]) => one), side: within.map(([, , one]) => one) },
    },
  };
}

async function valueOf(column: ObsColumn, cell: number): Promise<string | number | null> {
  if (column.kind === "numeric") {
    const value = (await numbers(column))[cell] as number;
    return Number.isNaN(value) ? null : value;
  }
  const code = (await codes(column))[cell];
  return column.categories.find((one) => one.code === code)?.name ?? null;
}

/** A selection of the cells that the copy shows, against all others that it shows. */
export async function selectionAnswer({ ranges }: { ranges: [number, number][] }): Promise<SelectionAnswer> {
  const [table, shown, columns] = await Promise.all([
    concepts(),
    jsonEntry<Table<{ concept: number; n_active: number; total: number }>>("shown", "shown"),
    obs(),
  ]);
  const size = copy?.n_concepts ?? 0;
  const here: Sums = { active: new Float64Array(size), total: new Float64Array(size) };
  let n = 0;
  for (const [start, stop] of ranges) {
    n += stop - start;
    for (let at = start; at < stop; ) {
      const block = await blockOf(at);
      const end = Math.min(stop, block.first + block.ends.length);
      add(here, block, at - block.first, end - block.first);
      at = end;
    }
  }
  const all = scattered(shown.columns.concept, shown.columns.n_active, shown.columns.total);
  const categorical = columns.filter((column) => column.kind === "categorical");
  const groups = await Promise.all(categorical.map(async (column) => [column.key, composition(column, await codes(column), ranges)] as const));
  const places = await aligned("coords", "coords");
  return { n_cells: n, concepts: against(table, places.byteLength / 4, n, here, all), groups: Object.fromEntries(groups) };
}

function add(sums: Sums, { ends, concepts, values }: Block, from: number, to: number): void {
  for (let i = from ? (ends[from - 1] as number) : 0; i < (ends[to - 1] as number); i++) {
    const concept = concepts[i] as number;
    sums.active[concept] = (sums.active[concept] ?? 0) + 1;
    sums.total[concept] = (sums.total[concept] ?? 0) + (values[i] as number);
  }
}

function scattered(concept: number[], active: number[], total: number[]): Sums {
  const size = copy?.n_concepts ?? 0;
  const sums = { active: new Float64Array(size), total: new Float64Array(size) };
  concept.forEach((one, i) => {
    sums.active[one] = active[i] as number;
    sums.total[one] = total[i] as number;
  });
  return sums;
}

function composition({ categories }: ObsColumn, codes: Uint16Array, ranges: [number, number][]): SelectionAnswer["groups"][string] {
  const count = (cells: Iterable<Uint16Array>): Map<number, number> => {
    const counts = new Map<number, number>();
    for (const part of cells) for (const code of part) counts.set(code, (counts.get(code) ?? 0) + 1);
    return counts;
  };
  const selected = count(ranges.map(([start, stop]) => codes.subarray(start, stop)));
  const all = count([codes]);
  return {
    n: categories.length,
    columns: {
      code: categories.map((one) => one.code),
      name: categories.map((one) => one.name),
      n_cells: categories.map((one) => all.get(one.code) ?? 0),
      n_selected: categories.map((one) => selected.get(one.code) ?? 0),
    },
  };
}

/** A category of cells, of all cells of the atlas. */
export async function groupAnswer(key: string, code: number): Promise<object> {
  const [table, columns, meta] = await Promise.all([concepts(), obs(), jsonEntry<Meta>("atlas", "meta")]);
  const column = columns.find((one) => one.key === key && one.kind === "categorical");
  const category = column?.categories.find((one) => one.code === code);
  if (!column || !category) throw new ApiError(404, `The column '${key}' has no category ${code}.`);
  const found = await jsonEntry<Table<{ concept: number; code: number; n_active: number; mean: number }>>(`groups-${key}`, `groups/${key}`);
  const rows = found.columns.code.flatMap((one, i) => (one === code ? [i] : []));
  const here = scattered(
    rows.map((i) => found.columns.concept[i] as number),
    rows.map((i) => found.columns.n_active[i] as number),
    rows.map((i) => (found.columns.mean[i] as number) * category.n_cells),
  );
  const { concept, n_active, mean_activation } = table.columns;
  const all = scattered(concept, n_active, n_active.map((active, i) => active * (mean_activation[i] ?? 0)));
  return {
    group: { key, name: column.name, code, category: category.name, n_cells: category.n_cells },
    concepts: against(table, meta.n_cells, category.n_cells, here, all),
  };
}

/** Compare some cells with all others, by `conceptome.atlas.selection.against_the_rest`. */
function against(table: Table<Concept>, nCells: number, nHere: number, here: Sums, all: Sums): Table<Enriched> {
  const nThere = nCells - nHere;
  const [halfHere, halfThere] = [Math.max(nHere, 1) / nCells, Math.max(nThere, 1) / nCells];
  const rows = table.columns.concept.map((concept, i): Enriched => {
    const [active, total] = [here.active[concept] ?? 0, here.total[concept] ?? 0];
    const [others, otherTotal] = [(all.active[concept] ?? 0) - active, (all.total[concept] ?? 0) - total];
    const shareHere = (active + halfHere / 2) / (nHere + halfHere);
    const shareThere = (others + halfThere / 2) / (nThere + halfThere);
    const both = active + others;
    const spread = Math.sqrt(nHere * nThere * both * (nCells - both));
    return {
      concept,
      auto_name: table.columns.auto_name[i] ?? null,
      n_active: active,
      share: active / Math.max(nHere, 1),
      share_elsewhere: nThere ? others / nThere : null,
      mean: total / Math.max(nHere, 1),
      mean_elsewhere: nThere ? Math.max(otherTotal, 0) / nThere : null,
      log2_ratio: Math.log2(shareHere / shareThere),
      phi: spread > 0 ? (active * (nThere - others) - others * (nHere - active)) / spread : 0,
    };
  });
  const firing = rows.filter((row) => row.n_active > 0);
  firing.sort((a, b) => (b.phi ?? 0) - (a.phi ?? 0) || a.concept - b.concept);
  const column = <Name extends keyof Enriched>(name: Name): Enriched[Name][] => firing.map((row) => row[name]);
  return {
    n: firing.length,
    columns: {
      concept: column("concept"),
      auto_name: column("auto_name"),
      n_active: column("n_active"),
      share: column("share"),
      share_elsewhere: column("share_elsewhere"),
      mean: column("mean"),
      mean_elsewhere: column("mean_elsewhere"),
      log2_ratio: column("log2_ratio"),
      phi: column("phi"),
    },
  };
}
