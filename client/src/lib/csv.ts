/** Tables as CSV that a spreadsheet can be trusted with. */
const FORMULA = /^[ \n]*[=+\-@\t\r]/;

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = Array.isArray(value) ? value.map(entryOf).join(";") : String(value);
  return FORMULA.test(text) ? `'${text}` : text;
}

/** An entry of a list; a gene that changed as its symbol and values. */
function entryOf(entry: unknown): string {
  if (typeof entry !== "object" || entry === null) return String(entry);
  const { symbol, factual_value, counterfactual_value } = entry as Record<string, unknown>;
  return `${symbol} ${factual_value}>${counterfactual_value}`;
}

const quoted = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A header and one line a row; lists are joined by semicolons, what is missing is empty. */
export function csvText(rows: readonly object[]): string {
  const names = Object.keys(rows[0] ?? {});
  const lines = rows.map((row) => names.map((name) => quoted(textOf((row as Record<string, unknown>)[name]))).join(","));
  return [names.map((name) => quoted(textOf(name))).join(","), ...lines, ""].join("\n");
}
