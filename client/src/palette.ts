/** Every colour of the client. Light values are those of conceptome/plotting/style.py; a test compares them. */

export interface Tokens {
  page: string;
  surface: string;
  ink: string;
  muted: string;
  rule: string;
  band: string;
  base: string;
  supports: string;
  opposes: string;
  alarm: string;
}

export const LIGHT: Tokens = {
  page: "#f6f7f8",
  surface: "#ffffff",
  ink: "#1b1f24",
  muted: "#5b6470",
  rule: "#c9ced6",
  band: "#eceef1",
  base: "#d5d9df",
  supports: "#0f6b8c",
  opposes: "#b4521b",
  alarm: "#a3262f",
};

export const DARK: Tokens = {
  page: "#121519",
  surface: "#1a1e24",
  ink: "#e7eaee",
  muted: "#a3adb9",
  rule: "#3a424d",
  band: "#262c34",
  base: "#343b45",
  supports: "#5fb4d4",
  opposes: "#e8915c",
  alarm: "#f28b82",
};

export const CATEGORIES = [
  "#0f6b8c", "#e0a030", "#4f9d69", "#b4521b", "#7f6bb3", "#5aaad0", "#c46a94", "#8a8f2a",
  "#2f4b7c", "#d98c6a", "#3f8f8c", "#a05c2e", "#9c86c9", "#6f7f3a", "#b03a4b", "#7a8794",
];

/** Activation from weak to strong, on a light and on a dark page: corners of the inferno map. */
export const ACTIVATION_LIGHT = [
  "#fca50a", "#fa9008", "#f57b17", "#ed6925", "#e25734", "#d54a41", "#c63d4d", "#b63458", "#a32c61",
  "#922568", "#7f1e6c", "#6d186e", "#5a116e", "#490b6a", "#340a5f", "#1f0c48", "#10092d",
];
export const ACTIVATION_DARK = [
  "#6a176e", "#7c1d6d", "#8d2369", "#9d2964", "#ae305c", "#bf3952", "#ce4347", "#da4e3c", "#e65d2f",
  "#ef6e21", "#f68013", "#fa9207", "#fca60c", "#fbbc21", "#f8cf3a", "#f3e55d", "#f3f68a",
];

export type Colour = [red: number, green: number, blue: number];

export function parseColour(hex: string): Colour {
  return [1, 3, 5].map((start) => Number.parseInt(hex.slice(start, start + 2), 16)) as Colour;
}

/** Interpolate between corners; `at` from 0 to 1. */
export function mix(corners: readonly string[], at: number): Colour {
  const place = Math.min(Math.max(at, 0), 1) * (corners.length - 1);
  const low = Math.min(Math.floor(place), corners.length - 2);
  const from = parseColour(corners[low] as string);
  const to = parseColour(corners[low + 1] as string);
  return from.map((value, i) => Math.round(value + ((to[i] as number) - value) * (place - low))) as Colour;
}

const ramps = new WeakMap<readonly string[], Colour[]>();
const STEPS = 1024;

/** The colour at a place from 0 to 1 between corners, from a table that is made once. */
export function shade(corners: readonly string[], at: number): Colour {
  let ramp = ramps.get(corners);
  if (!ramp) ramps.set(corners, (ramp = Array.from({ length: STEPS }, (_, i) => mix(corners, i / (STEPS - 1)))));
  return ramp[Math.round(Math.min(Math.max(at, 0), 1) * (STEPS - 1))] as Colour;
}

/** The colours of categories by their code; those beyond the first sixteen are lighter. */
export const categoryHex = (code: number): string | undefined =>
  CATEGORIES[code] ?? (code < 2 * CATEGORIES.length ? lighter(CATEGORIES[code - CATEGORIES.length] as string) : undefined);

const lighter = (hex: string): string => `#${mix([hex, "#ffffff"], 0.5).map((part) => part.toString(16).padStart(2, "0")).join("")}`;

export const categoryColours: Colour[] = Array.from({ length: 2 * CATEGORIES.length }, (_, code) => parseColour(categoryHex(code) as string));
