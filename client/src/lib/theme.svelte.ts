/** Light or dark: as the system says, until the reader chooses. */
import { ACTIVATION_DARK, ACTIVATION_LIGHT, DARK, LIGHT, type Tokens } from "../palette";
import { recall, remember } from "./storage";

const KEY = "conceptome.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

class Theme {
  dark = $state(false);
  tokens = $derived<Tokens>(this.dark ? DARK : LIGHT);
  activation = $derived<readonly string[]>(this.dark ? ACTIVATION_DARK : ACTIVATION_LIGHT);
}

export const theme = new Theme();

function show(dark: boolean): void {
  theme.dark = dark;
  const root = document.documentElement;
  for (const [name, value] of Object.entries(dark ? DARK : LIGHT)) root.style.setProperty(`--${name}`, String(value));
  root.style.colorScheme = dark ? "dark" : "light";
}

export function toggleTheme(): void {
  remember(KEY, theme.dark ? "light" : "dark");
  show(!theme.dark);
}

/** Do something while the page has the colours of paper. */
export async function inLight<Value>(act: () => Promise<Value>): Promise<Value> {
  const before = theme.dark;
  if (before) show(false);
  try {
    return await act();
  } finally {
    if (before) show(true);
  }
}

/** Take the reader's choice or the system's; paper is always light. */
export function startTheme(): void {
  const chosen = recall(KEY);
  show(chosen ? chosen === "dark" : system.matches);
  system.addEventListener("change", () => recall(KEY) ?? show(system.matches));
  let before = false;
  window.addEventListener("beforeprint", () => {
    before = theme.dark;
    show(false);
  });
  window.addEventListener("afterprint", () => show(before));
}
