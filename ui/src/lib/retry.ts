import type { CallError } from './backend';

const FIRST_MS = 1000;
const LAST_MS = 30_000;

/** What is known of a question: what came last, and what went wrong since. */
export type Standing = { answer: { saved: boolean } | null; error: Pick<CallError, 'code'> | null };

/** Whether the API is out of reach as far as this question can tell, so that asking again soon may help by itself. */
export function isAway({ answer, error }: Standing): boolean {
  return error === null ? answer?.saved === true : error.code === 'offline' || error.code === 'unavailable';
}

/**
 * How long to wait before the next look after `misses` looks in a row that did not reach the API: 1, 2, 4 … 30 seconds,
 * up to a quarter less by `luck` (0 to 1), so that a hundred windows do not come back at once; `everyMs` where all is well.
 */
export function waitMs(misses: number, everyMs: number, luck: number): number {
  if (misses === 0) return everyMs;
  return Math.min(FIRST_MS * 2 ** Math.min(misses - 1, 10), LAST_MS) * (1 - luck / 4);
}
