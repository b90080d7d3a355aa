/** A copy of an atlas: the page holds its data, or lies beside them, and nothing is asked of a server. */
import { ApiError } from "../lib/errors";

interface Copy {
  digest: string;
  /** Folder of the shards; null where they stand in the page. */
  files: string | null;
  /** What the reader must know. */
  notes: string[];
  n_concepts: number;
  cells_per_shard: number;
  per_shard: number;
}

type Shard = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

const KEPT = 60;
const block = document.getElementById("copy");
const kept = new Map<string, Promise<Shard>>();

export const copy: Copy | null = block ? (JSON.parse(block.textContent) as Copy) : null;

/** One of the answers that travel together; null where the copy has none. */
export async function entry(shard: string, address: string): Promise<Uint8Array<ArrayBuffer> | null> {
  return (await load(shard)).get(address) ?? null;
}

export async function jsonEntry<Answer>(shard: string, address: string): Promise<Answer> {
  const bytes = await entry(shard, address);
  if (!bytes) throw new ApiError(404, `This copy has no ${address}.`);
  return JSON.parse(new TextDecoder().decode(bytes)) as Answer;
}

function load(name: string): Promise<Shard> {
  const known = kept.get(name);
  if (known) return known;
  const asked = packed(name).then(unpack);
  kept.set(name, asked);
  asked.catch(() => kept.delete(name));
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
  return asked;
}

async function packed(name: string): Promise<Blob> {
  if (!copy?.files) {
    const text = document.getElementById(`shard-${name}`)?.textContent;
    if (text === undefined) throw new ApiError(404, "This copy of the atlas does not have this page.");
    return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]);
  }
  let response: Response;
  try {
    response = await fetch(`${copy.files}${name}.bin?v=${copy.digest}`);
  } catch {
    const local = location.protocol === "file:";
    throw new ApiError(0, local ? "A browser does not read this folder from the disk. Put it on a web server." : "The server does not answer.");
  }
  if (response.ok) return response.blob();
  throw new ApiError(response.status, response.status === 404 ? "This copy of the atlas does not have this page." : `The server answered ${response.status}.`);
}

/** A shard: the length of its head, the head (address -> first byte, number of bytes), the answers. */
async function unpack(blob: Blob): Promise<Shard> {
  const stream = blob.stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))) as Record<string, [number, number]>;
  const part = ([start, size]: [number, number]): Uint8Array<ArrayBuffer> => new Uint8Array(buffer, 4 + length + start, size);
  return new Map(Object.entries(head).map(([address, where]) => [address, part(where)]));
}

/** The script of the maps' worker, which stands in the page. */
export function workerAddress(): string {
  const text = document.getElementById("worker")?.textContent ?? "";
  return URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
}
