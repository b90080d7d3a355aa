/** Answers of a copy: most are shipped as the server gave them, the others are computed from what is. */
import { ApiError } from "../lib/errors";
import type { Table } from "../lib/types";
import { cellAnswer, groupAnswer, selectionAnswer } from "./cells";
import { copy, entry } from "./copy";
import { searchAnswer, searchIndex } from "./search";

const EMPTY: Table<object> = { n: 0, columns: {} };

/** Answer what `path` asks, as the server would. */
export async function answerOfCopy(path: string, body?: unknown): Promise<Response> {
  const [address = "", query] = path.split("?");
  const parts = address.split("/").map(decodeURIComponent);
  const [kind = "", ref = ""] = parts;
  if (kind === "search") return Response.json(await searchAnswer(new URLSearchParams(query)));
  if (kind === "selection") return Response.json(await selectionAnswer(body as { ranges: [number, number][] }));
  if (kind === "cells") return Response.json(await cellAnswer(Number(ref)));
  if (kind === "groups") return Response.json(await groupAnswer(ref, Number(parts[2])));
  const named = kind === "genes" ? ["genes", await geneNumber(ref), ...parts.slice(2)].join("/") : parts.join("/");
  const found = await entry(shardOf(named), named);
  if (found) return new Response(found);
  if (kind === "annotations") return Response.json(EMPTY);
  throw new ApiError(404, "This copy of the atlas does not have this.");
}

/** The shard that an answer travels in. */
function shardOf(address: string): string {
  const [kind = "", ref = ""] = address.split("/");
  const block = String(Math.floor(Number(ref) / (copy?.per_shard ?? 1)));
  if (kind === "coords") return "coords";
  if (kind === "concepts" && ref) return `concept-${ref}`;
  if (kind === "annotations" && ref) return `concept-${ref}`;
  if (kind === "genes" || kind === "terms") return `${kind}-${block}`;
  return kind === "obs" || kind === "thumbs" ? `${kind}-${ref}` : "atlas";
}

/** A gene is asked for by number or symbol. */
async function geneNumber(name: string): Promise<string> {
  if (/^\d{1,9}$/.test(name)) return name;
  const { genes } = await searchIndex();
  const found = genes.get(name);
  if (found === undefined) throw new ApiError(404, `The atlas has no gene '${name}'. Search for it; it may have another name.`);
  return found;
}
