/** Search in a copy: every word that was typed must be the beginning of a word of the entry. */
import type { Found, Table } from "../lib/types";
import { jsonEntry } from "./copy";

interface Entry extends Found {
  /** The words of its name, and of all else it is found by. */
  name_words: string[];
  other_words: string[];
}

interface Index {
  entries: Entry[];
  cells: ReadonlyMap<string, string>;
  /** Numbers of genes by symbol. */
  genes: ReadonlyMap<string, string>;
}

const MOST = 100;
const SHOWN = 120;
let index: Promise<Index> | null = null;

export function searchIndex(): Promise<Index> {
  index ??= jsonEntry<Table<Found>>("search", "search").then(read);
  index.catch(() => (index = null));
  return index;
}

const plain = (text: string): string => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const wordsOf = (text: string): string[] => plain(text).match(/[\p{L}\p{N}]+/gu) ?? [];

function read({ n, columns }: Table<Found>): Index {
  const all = Array.from({ length: n }, (_, i): Found => ({
    kind: columns.kind[i] as Found["kind"],
    ref: columns.ref[i] as string,
    name: columns.name[i] as string,
    other: columns.other[i] ?? "",
  }));
  const named = (kind: Found["kind"]): Map<string, string> => {
    const found = new Map<string, string>();
    for (const one of all) if (one.kind === kind && !found.has(one.name)) found.set(one.name, one.ref);
    return found;
  };
  const entries = all
    .filter(({ kind }) => kind !== "cell")
    .map((one) => ({ ...one, name_words: wordsOf(one.name), other_words: wordsOf(one.other ?? "") }));
  return { entries, cells: named("cell"), genes: named("gene") };
}

/** How well an entry fits, the smaller the better; null if it does not. */
function misfit({ name_words, other_words }: Entry, wanted: string[]): number | null {
  let sum = 0;
  for (const word of wanted) {
    if (name_words.includes(word)) sum += 0;
    else if (name_words.some((known) => known.startsWith(word))) sum += 1;
    else if (other_words.some((known) => known.startsWith(word))) sum += 8;
    else return null;
  }
  return sum + name_words.length / 100;
}

/** Answer a search like the server, with an order of its own. */
export async function searchAnswer(query: URLSearchParams): Promise<Table<Found>> {
  const { entries, cells } = await searchIndex();
  const text = query.get("q") ?? "";
  const wanted = wordsOf(text).slice(0, 8);
  const kind = query.get("kind") ?? "";
  const ranked = entries.flatMap((entry) => {
    const score = wanted.length && (!kind || kind === entry.kind) ? misfit(entry, wanted) : null;
    return score === null ? [] : [{ entry, score }];
  });
  ranked.sort((a, b) => a.score - b.score);
  const limit = Math.min(Number(query.get("limit") ?? 20), MOST);
  const found: Found[] = ranked.slice(0, limit).map(({ entry }) => ({ ...entry, other: (entry.other ?? "").slice(0, SHOWN) }));
  const cell = cells.get(text);
  if (cell !== undefined && (!kind || kind === "cell")) found.unshift({ kind: "cell", ref: cell, name: text, other: "" });
  return {
    n: found.length,
    columns: {
      kind: found.map((one) => one.kind),
      ref: found.map((one) => one.ref),
      name: found.map((one) => one.name),
      other: found.map((one) => one.other),
    },
  };
}
