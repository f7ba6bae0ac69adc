import type { PartnerOrder, PartnerRow, PartnersQuery } from './backend';
import type { Word } from './words';

/** What agencies are put in order by. */
export type Order = { sort: PartnerOrder; descending: boolean };

/** Conditions that an agency must meet to be listed. */
export type Condition = 'suspended' | 'no_account' | 'terms_open' | 'in_debt' | 'to_review';

export const CONDITIONS: Record<Condition, string> = {
  suspended: 'Suspended',
  no_account: 'Stripe not ready',
  terms_open: 'Terms not accepted',
  in_debt: 'In debt',
  to_review: 'To review',
};

export type Question = { find: string; only: Condition[]; order: Order };

export const START: Order = { sort: 'name', descending: false };
export const NOBODY_CHOSEN: Question = { find: '', only: [], order: START };

/** The usual direction of each order, the first at a press on its title. */
const USUAL: Record<PartnerOrder, boolean> = { name: false, joined: true, referrals: true, balance: true, waiting: true, to_review: true };

/** The order after a press on a column's title: its usual one, and the other way round at the next press. */
export function pressed(now: Order, sort: PartnerOrder): Order {
  return { sort, descending: now.sort === sort ? !now.descending : USUAL[sort] };
}

const isOrder = (text: string): text is PartnerOrder => Object.hasOwn(USUAL, text);
const isCondition = (text: string): text is Condition => Object.hasOwn(CONDITIONS, text);

/** A question out of the address, `q=hal&only=in_debt.to_review&sort=balance.down`. What makes no sense is left out. */
export function readQuestion(address: string): Question {
  const params = new URLSearchParams(address);
  const [sort = '', way] = (params.get('sort') ?? '').split('.');
  const only = (params.get('only') ?? '').split('.').filter(isCondition);
  return {
    find: params.get('q') ?? '',
    only: (Object.keys(CONDITIONS) as Condition[]).filter((one) => only.includes(one)),
    order: isOrder(sort) ? { sort, descending: way === 'down' } : START,
  };
}

export function writeQuestion({ find, only, order }: Question): string {
  const params = new URLSearchParams();
  if (find !== '') params.set('q', find);
  if (only.length > 0) params.set('only', only.join('.'));
  if (order.sort !== START.sort || order.descending) params.set('sort', `${order.sort}.${order.descending ? 'down' : 'up'}`);
  return params.toString();
}

export function asQuery({ find, only, order }: Question, from: number, limit: number): PartnersQuery {
  const query: PartnersQuery = { limit };
  if (find.trim() !== '') query.q = find.trim();
  for (const one of only) query[one] = true;
  if (order.sort !== START.sort) query.sort = order.sort;
  if (order.descending) query.descending = true;
  if (from > 0) query.from = from;
  return query;
}

/** A question that was given a name. */
export type View = { name: string; find: string };

const KEY = 'aikit-partner-views';
const MOST = 30;

/** The views that were saved on this computer. What cannot be read is none. */
export function readViews(): View[] {
  try {
    return parseViews(localStorage.getItem(KEY));
  } catch {
    return [];
  }
}

/** Keeps them; false where this computer does not allow it. */
export function keepViews(views: View[]): boolean {
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
    return true;
  } catch {
    return false;
  }
}

export function parseViews(text: string | null): View[] {
  try {
    const read: unknown = JSON.parse(text ?? '[]');
    const isView = (value: unknown): value is View =>
      typeof value === 'object' && value !== null && typeof (value as View).name === 'string' && typeof (value as View).find === 'string';
    return Array.isArray(read) ? read.filter(isView).slice(0, MOST) : [];
  } catch {
    return [];
  }
}

/** With this one, which takes the place of one of its name. The oldest make room. */
export function withView(views: View[], added: View): View[] {
  const others = views.filter(({ name }) => name !== added.name);
  return [...others.slice(-(MOST - 1)), added].toSorted((a, b) => a.name.localeCompare(b.name));
}

/** What must be known of an agency first; nothing where it is all in order. */
export function partnerWords(row: Pick<PartnerRow, 'suspended' | 'has_account' | 'transfers_active' | 'terms_accepted' | 'balance_minor'>): Word[] {
  const words: Word[] = [];
  if (row.suspended) words.push({ text: 'Suspended', tone: 'bad' });
  if (row.balance_minor !== null && row.balance_minor < 0) words.push({ text: 'In debt', tone: 'bad' });
  if (!row.has_account) words.push({ text: 'No account', tone: 'wait' });
  else if (!row.transfers_active) words.push({ text: 'Account not ready', tone: 'wait' });
  if (!row.terms_accepted) words.push({ text: 'Terms open', tone: 'wait' });
  return words;
}

/** An amount that is added or, with a minus, taken: `-120.50`, `+$5`, `1,000.00`. `null` when it is none, or nothing. */
export function parseSigned(typed: string, parse: (text: string) => number | null): number | null {
  const match = /^\s*([+\-\u2212]?)\s*(.*)$/s.exec(typed);
  const size = parse(match?.[2] ?? '');
  if (size === null || size === 0) return null;
  return match?.[1] === '' || match?.[1] === '+' ? size : -size;
}
