/** The list of concepts as the reader has filtered and sorted it; all of it lies in the query. */
import { parts } from "./atlas";
import type { Concept, Revision } from "./types";

export interface Listing {
  find: string;
  only: string;
  module: string;
  sort: string;
  falling: boolean;
}

type Value = (concept: Concept, note: Revision | undefined) => number | null | undefined;

/** By what the list can be sorted: its name, its value, and whether small values are the better ones. */
export const SORTS: Record<string, { title: string; value: Value; rising?: boolean }> = {
  concept: { title: "Number", value: (one) => one.concept, rising: true },
  frequency: { title: "Share of cells", value: (one) => one.frequency },
  mean_activation: { title: "Mean activation", value: (one) => one.mean_activation },
  n_drivers: { title: "Driving genes", value: (one) => one.n_drivers },
  best_label_f1: { title: "Agreement with a label", value: (one) => one.best_label_f1 },
  top_term_q: { title: "Best term", value: (one) => one.top_term_q, rising: true },
  drivers_expressed: { title: "Overlap with expression", value: (one) => one.drivers_expressed },
  confidence: { title: "Confidence", value: (one) => one.confidence },
  card_score: { title: "Card score", value: (one) => one.card_score },
  stability: { title: "Stability", value: (one) => one.stability },
  donor_evenness: { title: "Evenness over donors", value: (one) => one.donor_evenness },
  technical: { title: "Technical correlation", value: (one) => one.technical, rising: true },
  interpretability: { title: "Interpretability", value: (_, note) => note?.interpretability },
  certainty: { title: "How sure people are", value: (_, note) => note?.confidence },
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

export function readListing(query: URLSearchParams): Listing {
  const wanted = query.get("sort") ?? "";
  const sort = Object.hasOwn(SORTS, wanted) ? wanted : "confidence";
  const falling = query.get("falling");
  return {
    find: query.get("find") ?? "",
    only: query.get("only") ?? "",
    module: query.get("module") ?? "",
    sort,
    falling: falling === null ? !SORTS[sort]?.rising : falling === "1",
  };
}

/** The part of a query that makes the list, to be carried from page to page. */
export function listingQuery(query: URLSearchParams): string {
  const kept = new URLSearchParams([...query].filter(([name]) => PARTS.includes(name))).toString();
  return kept ? `?${kept}` : "";
}

/** What stays when the reader steps to another concept: the list, and how things are shown. */
export function stepQuery(query: URLSearchParams): string {
  const goes = ([name, value]: [string, string]): boolean =>
    ["term", "terms", "pairs"].includes(name) || (name === "beside" && !value.startsWith("obs:"));
  const kept = new URLSearchParams([...query].filter((part) => !goes(part))).toString();
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
  const texts = [String(concept.concept), auto_name, best_label, top_genes, themes, note?.label, note?.category, note?.notes];
  const all = texts.join(" ").toLowerCase();
  return listing.find.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

/** Filter and sort; concepts without a value come last either way. */
export function listed(concepts: readonly Concept[], notes: ReadonlyMap<number, Revision>, listing: Listing): Concept[] {
  const sign = listing.falling ? -1 : 1;
  const value = (concept: Concept): number => {
    const found = SORTS[listing.sort]?.value(concept, notes.get(concept.concept));
    return typeof found === "number" ? sign * found : Number.POSITIVE_INFINITY;
  };
  return concepts
    .filter((concept) => passes(concept, notes.get(concept.concept), listing))
    .map((concept) => ({ concept, at: value(concept) }))
    .sort((a, b) => (a.at === b.at ? a.concept.concept - b.concept.concept : a.at - b.at))
    .map(({ concept }) => concept);
}

export const geneNames = (concept: Concept): string => parts(concept.top_genes).slice(0, 5).join(" ");
