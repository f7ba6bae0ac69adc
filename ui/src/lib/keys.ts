import type { Route } from './route';

/** What a key does. The table is the one that the sheet of keys shows. */
export type Deed =
  | 'copy_link'
  | 'filter'
  | 'sheet'
  | 'go_overview'
  | 'go_links'
  | 'go_clients'
  | 'go_what_if'
  | 'go_payouts'
  | 'go_resources'
  | 'go_runs'
  | 'go_reconciliation'
  | 'go_material'
  | 'go_reviews'
  | 'go_partners'
  | 'next'
  | 'previous'
  | 'clear'
  | 'reject'
  | 'undo';

export type Key = {
  keys: string;
  deed: Deed;
  text: string;
  who: 'partner' | 'staff' | 'librarian' | 'all';
  /** The page that it is a key of; everywhere without one. */
  page?: Route['page'];
};

/** Who is at the keys; a librarian has those of AIKit's people, too. */
export type Who = 'partner' | 'staff' | 'librarian';

export const KEYS: readonly Key[] = [
  { keys: 'c', deed: 'copy_link', text: 'Copy my link', who: 'partner' },
  { keys: '/', deed: 'filter', text: 'Filter or search the page', who: 'all' },
  { keys: 'g o', deed: 'go_overview', text: 'Go to Overview', who: 'partner' },
  { keys: 'g l', deed: 'go_links', text: 'Go to Links', who: 'partner' },
  { keys: 'g c', deed: 'go_clients', text: 'Go to Clients', who: 'partner' },
  { keys: 'g w', deed: 'go_what_if', text: 'Go to What-if', who: 'partner' },
  { keys: 'g p', deed: 'go_payouts', text: 'Go to Payouts', who: 'partner' },
  { keys: 'g s', deed: 'go_resources', text: 'Go to Resources', who: 'partner' },
  { keys: 'g r', deed: 'go_runs', text: 'Go to Runs', who: 'staff' },
  { keys: 'g e', deed: 'go_reconciliation', text: 'Go to Reconciliation', who: 'staff' },
  { keys: 'g m', deed: 'go_material', text: 'Go to Material', who: 'librarian' },
  { keys: 'g v', deed: 'go_reviews', text: 'Go to Reviews', who: 'staff' },
  { keys: 'g p', deed: 'go_partners', text: 'Go to Partners', who: 'staff' },
  { keys: 'j', deed: 'next', text: 'Next referral', who: 'staff', page: 'reviews' },
  { keys: 'k', deed: 'previous', text: 'Previous referral', who: 'staff', page: 'reviews' },
  { keys: 'c', deed: 'clear', text: 'Clear it', who: 'staff', page: 'reviews' },
  { keys: 'r', deed: 'reject', text: 'Reject it', who: 'staff', page: 'reviews' },
  { keys: 'u', deed: 'undo', text: 'Take the last decision back', who: 'staff', page: 'reviews' },
  { keys: '?', deed: 'sheet', text: 'Show these keys', who: 'all' },
];

const SEQUENCE_MS = 1200;

/** The keys of somebody, on a page. */
export const keysOf = (who: Who, page?: Route['page']): readonly Key[] =>
  KEYS.filter(
    (key) =>
      (key.who === 'all' || key.who === who || (key.who === 'staff' && who === 'librarian')) && (key.page === undefined || key.page === page),
  );

/** Where a sequence such as G O stands. */
export type Pending = { prefix: string; atMs: number } | null;

/** Reads one key press: what it does, if anything, and what sequence is open now. */
export function readKey(pending: Pending, key: string, atMs: number, who: Who, page?: Route['page']): { deed: Deed | null; pending: Pending } {
  const open = pending !== null && atMs - pending.atMs <= SEQUENCE_MS ? `${pending.prefix} ` : '';
  const pressed = open + key.toLowerCase();
  const mine = keysOf(who, page);
  const hit = mine.find(({ keys }) => keys === pressed);
  if (hit !== undefined) return { deed: hit.deed, pending: null };
  if (mine.some(({ keys }) => keys.startsWith(`${pressed} `))) return { deed: null, pending: { prefix: pressed, atMs } };
  return { deed: null, pending: null };
}

/** Whether a key press is meant for us and not for a field, a dialog or the browser. */
export function isOurs(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return false;
  if (document.querySelector('dialog[open]') !== null) return false;
  const target = event.target;
  return !(target instanceof HTMLElement && target.closest('input, textarea, select, [contenteditable]') !== null);
}
