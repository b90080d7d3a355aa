/** Numbers and names as people read them. */
const THIN = new Intl.NumberFormat("en");

export const count = (value: number | null | undefined): string => (value == null ? "–" : THIN.format(value));

/** A number to three digits; a dash where it was not measured. */
export function number(value: number | null | undefined, digits = 3): string {
  if (value == null) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−").replace("e−", "e−").replace("e+", "e");
}

export function signed(value: number | null | undefined): string {
  return value != null && value > 0 ? `+${number(value)}` : number(value);
}

export function percent(value: number | null | undefined): string {
  if (value == null) return "–";
  const hundred = value * 100;
  return `${hundred === 0 ? "0" : hundred < 0.1 ? "<0.1" : hundred < 10 ? hundred.toFixed(1) : hundred.toFixed(0)}%`;
}

/** The name of a concept: what somebody wrote, else the automatic one. */
export function conceptName(concept: number, auto: string | null, label?: string): string {
  return label || auto || `Concept ${concept}`;
}

/** The name of a term without the prefix and capitals of its collection. */
export function termName(name: string): string {
  const bare = /^(GOBP|GOCC|GOMF|HALLMARK|REACTOME|KEGG|WP)_/.test(name) ? name.replace(/^[A-Z]+_/, "") : null;
  return bare === null ? name : bare.replaceAll("_", " ").toLowerCase();
}

/** Values that lie evenly within a range, on round numbers. */
export function ticks(low: number, high: number, wanted = 5): number[] {
  const rough = (high - low) / wanted;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? power;
  const first = Math.ceil(low / step);
  const last = Math.floor(high / step);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(10)));
}
