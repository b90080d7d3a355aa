/** The hash of everything the client is built from, so that built files that are out of date are noticed. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const hashOf = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

function filesUnder(folder: string, prefix = ""): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === "node_modules") return [];
    const path = prefix + entry.name;
    return entry.isDirectory() ? filesUnder(join(folder, entry.name), `${path}/`) : [path];
  });
}

/** Hash one line for each file, its path and the hash of its bytes, in the order of the paths. */
export function sourceHash(folder: string): string {
  const lines = filesUnder(folder)
    .sort()
    .map((path) => `${path} ${hashOf(readFileSync(join(folder, path)))}\n`);
  return hashOf(lines.join(""));
}
