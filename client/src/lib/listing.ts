/** The list of concepts as the reader has filtered and sorted it; all of it lies in the query. */
import { parts } from "./atlas";
import type { Concept, Revision } from "./types";

export interface Listing {
  find: string;
  only: string;
  module: string;
  sort: keyof Concept;
  falling: boolean;
}

export const SORTS: Partial<Record<keyof Concept, string>> = {
  concept: "Number",
  frequency: "Share of cells",
  n_drivers: "Driving genes",
  best_label_f1: "Agreement with a label",
  top_term_q: "Best term",
  confidence: "Confidence",
  stability: "Stability",
  mean_activation: "Mean activation",
};

export const FILTERS: Record<string, string> = {
  "": "All concepts",
  drivers: "With driving genes",
  terms: "With a term at q ≤ 0.05",
  annotated: "Annotated",
  open: "Not annotated",
  unattributable: "Without attribution",
};

const PARTS = ["find", "only", "module", "sort", "falling"];
/** Small values are the better ones. */
const RISING = new Set<keyof Concept>(["concept", "top_term_q"]);

export function readListing(query: URLSearchParams): Listing {
  const wanted = query.get("sort") as keyof Concept | null;
  const sort = wanted && wanted in SORTS ? wanted : "confidence";
  const falling = query.get("falling");
  return {
    find: query.get("find") ?? "",
    only: query.get("only") ?? "",
    module: query.get("module") ?? "",
    sort,
    falling: falling === null ? !RISING.has(sort) : falling === "1",
  };
}

/** The part of a query that makes the list, to be carried from page to page. */
export function listingQuery(query: URLSearchParams): string {
  const kept = new URLSearchParams([...query].filter(([name]) => PARTS.includes(name))).toString();
  return kept ? `?${kept}` : "";
}

function passes(concept: Concept, note: Revision | undefined, listing: Listing): boolean {
  const kinds: Record<string, boolean> = {
    drivers: concept.n_drivers > 0,
    terms: concept.top_term_q !== null && concept.top_term_q <= 0.05,
    annotated: note !== undefined,
    open: note === undefined,
    unattributable: concept.status !== "ok",
  };
  if (kinds[listing.only] === false) return false;
  if (listing.module && String(concept.module) !== listing.module) return false;
  if (!listing.find) return true;
  const { auto_name, best_label, top_genes, themes } = concept;
  const texts = [String(concept.concept), auto_name, best_label, top_genes, themes, note?.label, note?.category];
  const all = texts.join(" ").toLowerCase();
  return listing.find.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

/** Filter and sort; concepts without a value come last either way. */
export function listed(concepts: Concept[], notes: ReadonlyMap<number, Revision>, listing: Listing): Concept[] {
  const sign = listing.falling ? -1 : 1;
  const value = (concept: Concept): number => {
    const found = concept[listing.sort];
    return typeof found === "number" ? sign * found : Number.POSITIVE_INFINITY;
  };
  return concepts
    .filter((concept) => passes(concept, notes.get(concept.concept), listing))
    .sort((a, b) => value(a) - value(b) || a.concept - b.concept);
}

export const geneNames = (concept: Concept): string => parts(concept.top_genes).slice(0, 5).join(" ");
