import type { Client, ClientChoice, ClientOrder } from './backend';
import { percent } from './money';
import { day } from './time';
import { CLIENT_STATUS, type Word } from './words';

/** What is said of a client first: what keeps its money from being due comes before where it stands. */
export function clientWord(client: Client, now: Date): Word {
  if (client.under_review) return { text: 'Under review', tone: 'held' };
  if (client.status === 'active' && client.vests_at !== null && new Date(client.vests_at) > now) {
    return { text: `Vests ${day(client.vests_at, now)}`, tone: 'wait' };
  }
  return CLIENT_STATUS[client.status];
}

/** Which month of its tenure a client is in, and at which rate it earns: `4 of 12 at 20 %`, `15, 10 % for life`. */
export function tenureText(client: Client, now: Date): string {
  if (client.tenure_month === null) return 'not paying yet';
  const rate = client.rate === null ? null : percent(client.rate);
  const turns = client.turns_recurring_at;
  if (turns !== null && new Date(turns) > now) {
    const month = `${client.tenure_month} of ${client.first_year_months}`;
    return rate === null ? month : `${month} at ${rate}`;
  }
  return rate === null ? `${client.tenure_month}` : `${client.tenure_month}, ${rate} for life`;
}

/** At which point the clients are that are shown. */
export type Choice = ClientChoice | 'all';

export const CHOICES: Record<Choice, string> = {
  all: 'All clients',
  active: 'Active',
  trial: 'Trial',
  signed_up: 'Signed up',
  canceled: 'Cancelled',
  under_review: 'Under review',
};

/** What the clients are put in order by. */
export type Order = { sort: ClientOrder; ascending: boolean };

/** The newest first. */
export const START: Order = { sort: 'signed_up', ascending: false };

/** Orders to choose from, the usual direction of each first. */
export const ORDERS: { order: Order; text: string }[] = [
  { order: START, text: 'Newest first' },
  { order: { sort: 'signed_up', ascending: true }, text: 'Oldest first' },
  { order: { sort: 'name', ascending: true }, text: 'Name, A to Z' },
  { order: { sort: 'name', ascending: false }, text: 'Name, Z to A' },
  { order: { sort: 'earned', ascending: false }, text: 'All time, most first' },
  { order: { sort: 'earned', ascending: true }, text: 'All time, least first' },
  { order: { sort: 'this_month', ascending: false }, text: 'This month, most first' },
  { order: { sort: 'this_month', ascending: true }, text: 'This month, least first' },
  { order: { sort: 'annual_price', ascending: false }, text: 'Plans, largest first' },
  { order: { sort: 'annual_price', ascending: true }, text: 'Plans, smallest first' },
  { order: { sort: 'status', ascending: true }, text: 'Status, review first' },
  { order: { sort: 'status', ascending: false }, text: 'Status, cancelled first' },
  { order: { sort: 'tenure_month', ascending: false }, text: 'Month, longest first' },
  { order: { sort: 'tenure_month', ascending: true }, text: 'Month, shortest first' },
];

export const orderKey = ({ sort, ascending }: Order): string => `${sort}.${ascending ? 'up' : 'down'}`;

/** The order after a press on a column's title: its usual one, and the other way round at the next press. */
export function pressed(now: Order, sort: ClientOrder): Order {
  if (now.sort === sort) return { sort, ascending: !now.ascending };
  return ORDERS.find(({ order }) => order.sort === sort)?.order ?? START;
}
