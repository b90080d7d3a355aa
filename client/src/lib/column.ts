/** A column of cells as it travels: which cells have a value, and how much of the largest one. */
export interface Column {
  cells: Uint32Array;
  values: Uint8Array;
  largest: number;
}

/** Unpack a column: count, largest value, one byte for each value, distances between the cells as varints. */
export function unpackColumn(buffer: ArrayBuffer): Column {
  const view = new DataView(buffer);
  const n = view.getUint32(0, true);
  const bytes = new Uint8Array(buffer);
  const cells = new Uint32Array(n);
  let at = 8 + n;
  let cell = -1;
  for (let i = 0; i < n; i++) {
    let byte = bytes[at++] as number;
    let distance = byte & 127;
    for (let shift = 7; byte & 128; shift += 7) {
      byte = bytes[at++] as number;
      distance |= (byte & 127) << shift;
    }
    cell += distance;
    cells[i] = cell;
  }
  return { cells, values: bytes.slice(8, 8 + n), largest: view.getFloat32(4, true) };
}

/** The value of one cell; 0 where it has none. */
export function valueAt(column: Column, cell: number): number {
  let low = 0;
  let high = column.cells.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((column.cells[middle] as number) < cell) low = middle + 1;
    else high = middle;
  }
  return column.cells[low] === cell ? ((column.values[low] as number) / 255) * column.largest : 0;
}
