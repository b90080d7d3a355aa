/** Tables as files, made in the browser by the rules of the server. */
import { save } from "../lib/exporting";
import type { Table } from "../lib/types";
import { answerOfCopy } from "./answers";

const FORMULA = /^[ \n]*[=+\-@\t\r]/;
export const CSV = "#csv/";

interface Change {
  symbol: string;
  factual_value: number;
  counterfactual_value: number;
}

/** A number as the server writes it in a list: six significant digits. */
const short = (value: number): string => String(Number(value.toPrecision(6)));
const entryOf = (item: unknown): string =>
  item !== null && typeof item === "object"
    ? `${(item as Change).symbol} ${short((item as Change).factual_value)}>${short((item as Change).counterfactual_value)}`
    : String(item);

function plain(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return plain(value.map(entryOf).join(";"));
  const text = String(value);
  return typeof value === "string" && FORMULA.test(text) ? `'${text}` : text;
}

const quoted = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A text that a spreadsheet would run as a formula begins with an apostrophe. */
export function csvText(table: Table<Record<string, unknown>>): string {
  const names = Object.keys(table.columns);
  const rows = Array.from({ length: table.n }, (_, i) => names.map((name) => table.columns[name]?.[i]));
  return [names, ...rows].map((row) => `${row.map((value) => quoted(plain(value))).join(",")}\n`).join("");
}

/** What an address of a table as a file asks for, and the name of the file. */
function wanted(path: string): [address: string, name: string] {
  const [kind = "", query] = path.replace(/^export\//, "").split("?");
  const given = new URLSearchParams(query);
  const [concept, key, gene, term] = ["concept", "key", "gene", "term"].map((name) => given.get(name));
  if (gene) return [`genes/${encodeURIComponent(gene)}`, `gene-${gene}-concepts`];
  if (term) return [`terms/${term}`, `term-${term}-concepts`];
  if (concept && key) return [`concepts/${concept}/groups/${key}`, `concept-${concept}-groups`];
  return concept ? [`concepts/${concept}/${kind}`, `concept-${concept}-${kind}`] : [kind, kind];
}

/** Save the table of a link of a copy. */
export async function saveCsv(href: string): Promise<void> {
  const [address, name] = wanted(href.slice(CSV.length));
  const answer = (await (await answerOfCopy(address)).json()) as Table<Record<string, unknown>> & { concepts?: Table<Record<string, unknown>> };
  save(new Blob([csvText(answer.concepts ?? answer)], { type: "text/csv" }), `${name.replace(/[^\w.-]+/g, "_")}.csv`);
}
