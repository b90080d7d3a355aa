/** Which rows of a long list are in sight, so that only those are made. */
const SPARE = 6;

export class Sight {
  top = $state(0);
  height = $state(800);

  constructor(
    readonly n: () => number,
    readonly rowHeight: number,
    readonly perRow: () => number = () => 1,
  ) {}

  rows = $derived.by(() => Math.ceil(this.n() / this.perRow()));
  first = $derived.by(() => Math.max(0, Math.min(Math.floor(this.top / this.rowHeight), this.rows) - SPARE));
  last = $derived.by(() => Math.min(this.rows, Math.ceil((this.top + this.height) / this.rowHeight) + SPARE));
  before = $derived.by(() => this.first * this.rowHeight);
  after = $derived.by(() => (this.rows - this.last) * this.rowHeight);

  /** Where to scroll so that a row is in sight; null if it is. */
  reach(row: number): number | null {
    const start = row * this.rowHeight;
    if (start < this.top) return start;
    const end = start + 2 * this.rowHeight;
    return end > this.top + this.height ? end - this.height : null;
  }
}
