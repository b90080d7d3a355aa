/** Single keys. They rest while somebody writes, and can be switched off. */
import { recall, remember } from "./storage";

const KEY = "conceptome.keys";
const actions = new Map<string, () => void>();

class Keys {
  on = $state(recall(KEY) !== "off");

  toggle(): void {
    this.on = !this.on;
    remember(KEY, this.on ? "on" : "off");
  }
}

export const keys = new Keys();

/** Let keys do something as long as the component is there. */
export function useKeys(mine: Record<string, () => void>): void {
  $effect(() => {
    for (const [key, action] of Object.entries(mine)) actions.set(key, action);
    return () => {
      for (const [key, action] of Object.entries(mine)) if (actions.get(key) === action) actions.delete(key);
    };
  });
}

function pressed(event: KeyboardEvent): void {
  if (!keys.on || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const writes = event.target instanceof Element && event.target.closest("input, textarea, select, dialog");
  const action = writes ? undefined : actions.get(event.key);
  if (!action) return;
  event.preventDefault();
  action();
}

export function startKeys(): void {
  document.addEventListener("keydown", pressed);
}
