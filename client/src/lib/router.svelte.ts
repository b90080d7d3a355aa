/** The address of the page: everything that a reader has chosen is in it. In a copy it stands behind a #. */
import { copy } from "../copy/copy";
import { toPage } from "./links";

class Place {
  path = $state("/");
  query = $state.raw(new URLSearchParams());
}

export const place = new Place();

const WRITE_AFTER = 200;
/** How long a page that is still loading may grow until it reaches where the reader was. */
const PATIENCE = 3000;
let timer = 0;
let written = 0;

/** What the present entry of the history remembers besides its address: places of scrolled boxes. */
type Scrolled = Record<string, number>;
const scrolled = (): Scrolled => (history.state as Scrolled | null) ?? {};

function read(): void {
  clearTimeout(timer);
  const hash = location.hash.startsWith("#/") ? location.hash.slice(1) : "/";
  const [path = "/", query = ""] = copy ? hash.split("?") : [location.pathname, location.search];
  place.path = path;
  place.query = new URLSearchParams(query);
}

read();

const addressNow = (): string => {
  const text = place.query.toString();
  return toPage(place.path + (text ? `?${text}` : ""));
};

/** Write what has changed into the history. */
function write(): void {
  clearTimeout(timer);
  written = performance.now();
  history.replaceState({ ...scrolled(), page: window.scrollY }, "", addressNow());
}

/** Go to an address of this client. */
export function go(href: string): void {
  write();
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
  if (query.toString() === place.query.toString()) return;
  place.query = query;
  writeSoon();
}

/** The same, but not many times a second, which browsers refuse. */
function writeSoon(): void {
  clearTimeout(timer);
  if (performance.now() > written + WRITE_AFTER) write();
  else timer = window.setTimeout(write, WRITE_AFTER);
}

/** Remember how far a box is scrolled, for those who come back. */
export function rememberScroll(box: string, top: number): void {
  history.replaceState({ ...scrolled(), [box]: top }, "", addressNow());
}
export const scrollOf = (box: string): number => scrolled()[box] ?? 0;

/** Scroll to where the reader was, as soon as the page is long enough. */
function comeBack(): void {
  read();
  const wanted = scrolled()["page"] ?? 0;
  const until = performance.now() + PATIENCE;
  const stop = new AbortController();
  for (const name of ["wheel", "pointerdown", "keydown"]) window.addEventListener(name, () => stop.abort(), { signal: stop.signal });
  const reach = (): void => {
    if (stop.signal.aborted) return;
    window.scrollTo(0, wanted);
    if (Math.abs(window.scrollY - wanted) < 2 || performance.now() > until) stop.abort();
    else requestAnimationFrame(reach);
  };
  requestAnimationFrame(reach);
}

function followed(event: MouseEvent): void {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const href = link?.getAttribute("href") ?? "";
  if (href.startsWith(toPage("/")) && !href.startsWith("/api/") && !link?.hasAttribute("download")) {
    event.preventDefault();
    go(href);
  } else if (copy && href === "#main") {
    event.preventDefault();
    document.getElementById("main")?.focus();
  }
}

/** Follow links and the back button without loading the page again. */
export function startRouter(): void {
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", comeBack);
  window.addEventListener("pagehide", write);
  window.addEventListener("scroll", writeSoon, { passive: true });
  document.addEventListener("click", followed);
  comeBack();
}
