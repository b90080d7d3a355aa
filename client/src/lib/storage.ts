/** What this browser remembers. A browser that may not remember works too; it only forgets. */
export function recall(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Remember a text, or forget it if it is null. */
export function remember(name: string, text: string | null): void {
  try {
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {
    // Full or forbidden: nothing that the reader could do about it now.
  }
}
