/** Dates and times for people. Everything is in UTC, as the rules are, and the pages say so. */

const MONTHS = [
  'January', 'February', 'March', 'April', 'May', 'June',
  'July', 'August', 'September', 'October', 'November', 'December',
] as const;

const DAY_MS = 86_400_000;

/** `2026-11` → `November 2026`. */
export function monthName(month: string): string {
  const { year, index } = monthParts(month);
  return `${MONTHS[index]} ${year}`;
}

/** `2026-11` → `November`. */
export function monthOnly(month: string): string {
  return MONTHS[monthParts(month).index] ?? month;
}

/** `2026-11` → `Nov`. */
export function monthShort(month: string): string {
  return monthOnly(month).slice(0, 3);
}

/** `2026-11` → `Nov 2026`. */
export function monthAndYear(month: string): string {
  return `${monthShort(month)} ${month.slice(0, 4)}`;
}

/** The calendar month before the one that the instant lies in: `2026-11-22T…` → `2026-10`. */
export function lastEndedMonth(instant: string): string {
  return monthBefore(instant.slice(0, 7));
}

/** `2026-01` → `2025-12`. */
export function monthBefore(month: string): string {
  const { year, index } = monthParts(month);
  return index === 0 ? `${pad(year - 1, 4)}-12` : `${pad(year, 4)}-${pad(index)}`;
}

/** `2 Dec`, with the year where it is not the one of `now`: `2 Dec 2025`. */
export function day(instant: string, now: Date): string {
  const date = new Date(instant);
  const text = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]?.slice(0, 3)}`;
  return date.getUTCFullYear() === now.getUTCFullYear() ? text : `${text} ${date.getUTCFullYear()}`;
}

/** `2 Dec 2026`. */
export function fullDay(instant: string): string {
  const date = new Date(instant);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]?.slice(0, 3)} ${date.getUTCFullYear()}`;
}

/** `10:42`. */
export function clock(instant: string): string {
  const date = new Date(instant);
  return `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}`;
}

/** `2 Dec 2026, 10:42 UTC`. */
export function moment(instant: string): string {
  return `${fullDay(instant)}, ${clock(instant)} UTC`;
}

/** How far away the day of an instant is: `today`, `tomorrow`, `in 12 days`, `3 days ago`. Days are counted in UTC. */
export function daysAway(instant: string, now: Date): string {
  const days = Math.floor(new Date(instant).getTime() / DAY_MS) - Math.floor(now.getTime() / DAY_MS);
  if (days === 0) return 'today';
  if (days === 1) return 'tomorrow';
  if (days === -1) return 'yesterday';
  return days > 0 ? `in ${days} days` : `${-days} days ago`;
}

function monthParts(month: string): { year: number; index: number } {
  const [year, number] = month.split('-').map(Number);
  return { year: year ?? Number.NaN, index: (number ?? Number.NaN) - 1 };
}

function pad(n: number, width = 2): string {
  return String(n).padStart(width, '0');
}
