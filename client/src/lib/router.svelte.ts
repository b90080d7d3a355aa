/** The address of the page: everything that a reader has chosen is in it. In a copy it stands behind a #. */
import { copy } from "../copy/copy";
import { CSV, saveCsv } from "../copy/csv";
import { toPage } from "./links";

class Place {
  path = $state("/");
  query = $state.raw(new URLSearchParams());
}

export const place = new Place();

function read(): void {
  const hash = location.hash.startsWith("#/") ? location.hash.slice(1) : "/";
  const [path = "/", query = ""] = copy ? hash.split("?") : [location.pathname, location.search];
  place.path = path;
  place.query = new URLSearchParams(query);
}
read();

/** Go to an address of this client. */
export function go(href: string): void {
  history.pushState(null, "", href);
  read();
  window.scrollTo(0, 0);
}

/** Change parts of the query; null or an empty text takes a part away. No new entry in the history. */
export function change(parts: Record<string, string | number | null>): void {
  const query = new URLSearchParams(place.query);
  for (const [name, value] of Object.entries(parts)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, String(value));
  }
  const text = query.toString();
  history.replaceState(null, "", toPage(place.path + (text ? `?${text}` : "")));
  place.query = query;
}

function followed(event: MouseEvent): void {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const href = link?.getAttribute("href") ?? "";
  if (href.startsWith(CSV)) {
    event.preventDefault();
    void saveCsv(href);
  } else if (href.startsWith(toPage("/")) && !href.startsWith("/api/") && !link?.hasAttribute("download")) {
    event.preventDefault();
    go(href);
  } else if (copy && href === "#main") {
    event.preventDefault();
    document.getElementById("main")?.focus();
  }
}

/** Follow links and the back button without loading the page again. */
export function startRouter(): void {
  window.addEventListener("popstate", read);
  document.addEventListener("click", followed);
}
