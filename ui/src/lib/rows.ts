/** How wide a table is: without room a row has two lines; with plenty every column is there. */
export type Room = 0 | 1 | 2;

/** A column of a long table. */
export type Column<Sort extends string> = {
  title: string;
  /** What rows are put in order by that are put in order by it. */
  sort: Sort;
  /** It holds numbers. */
  n: boolean;
  /** From which room it is there. */
  from: Room;
  /** Its width in rem; a column without one takes what is left. */
  rem?: (room: Room) => number;
};

/** The numbers of the pages that hold these rows, in order, each once. */
export function pagesOf(indexes: readonly number[], size: number): number[] {
  return [...new Set(indexes.map((index) => Math.floor(index / size)))].sort((a, b) => a - b);
}

/** Rows that are shown, each with how many are left out before it, and how many are left out after the last. */
export function withGaps(indexes: readonly number[], count: number): { rows: { index: number; before: number }[]; after: number } {
  let next = 0;
  const rows = indexes.map((index) => {
    const before = index - next;
    next = index + 1;
    return { index, before };
  });
  return { rows, after: Math.max(count - next, 0) };
}

/** The rows of a window and one more, which has the focus and must stay wherever the window is. */
export function withActive(window: readonly number[], active: number, count: number): number[] {
  if (active < 0 || active >= count || window.includes(active)) return [...window];
  return [...window, active].sort((a, b) => a - b);
}

/** Where a key leads from a row; `null` where it leads nowhere. `page` is how many rows are on the screen. */
export function rowAfter(key: string, at: number, count: number, page: number): number | null {
  if (count === 0) return null;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: count - 1 }[key];
  return to === undefined ? null : Math.min(Math.max(to, 0), count - 1);
}
