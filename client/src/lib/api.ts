/** Questions to the server, or to a copy. Answers about the atlas are asked once and kept; errors are `ApiError`s. */
import { answerOfCopy } from "../copy/answers";
import { copy } from "../copy/copy";
import { ApiError } from "./errors";
import type { Table } from "./types";

export { ApiError };

const ROOT = "/api/v1/";
const KEPT = 200;

let digest = "";
const kept = new Map<string, Promise<unknown>>();

/** Name the atlas that every later answer must be about. */
export function useDigest(value: string): void {
  digest = value;
}

/** The address of an answer about the atlas. */
export function address(path: string): string {
  return `${ROOT}${path}${path.includes("?") ? "&" : "?"}v=${encodeURIComponent(digest)}`;
}

async function ask(url: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch {
    throw new ApiError(0, "The server does not answer. Is “conceptome serve” still running?");
  }
  if (response.ok) return response;
  const answer: unknown = await response.json().catch(() => null);
  throw new ApiError(response.status, messageOf(answer) ?? `The server answered ${response.status}.`, answer);
}

function messageOf(answer: unknown): string | null {
  const error = (answer as { error?: { message?: unknown } } | null)?.error;
  return typeof error?.message === "string" ? error.message : null;
}

function once<Answer>(path: string, read: (response: Response) => Promise<Answer>): Promise<Answer> {
  const known = kept.get(path);
  if (known) {
    // What was used last is forgotten last.
    kept.delete(path);
    kept.set(path, known);
    return known as Promise<Answer>;
  }
  const asked = (copy ? answerOfCopy(path) : ask(address(path))).then(read);
  kept.set(path, asked);
  asked.catch(() => kept.delete(path));
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
  return asked;
}

export const getJson = <Answer>(path: string): Promise<Answer> =>
  once(path, (response) => response.json() as Promise<Answer>);

export const getBytes = (path: string): Promise<ArrayBuffer> => once(path, (response) => response.arrayBuffer());

/** Ask for something that changes, and is therefore never kept. */
export async function getFresh<Answer>(path: string): Promise<Answer> {
  const response = await (copy ? answerOfCopy(path) : ask(ROOT + path, { cache: "no-store" }));
  return response.json() as Promise<Answer>;
}

export async function post<Answer>(path: string, body: object): Promise<Answer> {
  const headers = { "Content-Type": "application/json", "X-Conceptome": "1" };
  const response = await (copy ? answerOfCopy(path, body) : ask(ROOT + path, { method: "POST", headers, body: JSON.stringify(body) }));
  return response.json() as Promise<Answer>;
}

/** Turn the columns of a table into rows. */
export function rowsOf<Row extends object>(table: Table<Row>): Row[] {
  const names = Object.keys(table.columns) as (keyof Row)[];
  return Array.from(
    { length: table.n },
    (_, i) => Object.fromEntries(names.map((name) => [name, table.columns[name][i]])) as Row,
  );
}

const rowsMade = new WeakMap<object, object[]>();

/** The rows of a table, made once for all who ask. */
export async function getRows<Row extends object>(path: string): Promise<readonly Row[]> {
  const table = await getJson<Table<Row>>(path);
  const rows = (rowsMade.get(table) as Row[] | undefined) ?? rowsOf(table);
  rowsMade.set(table, rows);
  return rows;
}
