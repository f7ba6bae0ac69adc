import type { Client } from './backend';
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

/** Clients whose name, status or id has every word of the filter in it. */
export function filterClients(clients: Client[], filter: string, now: Date): Client[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return clients.filter((client) => {
    const text = `${client.name} ${clientWord(client, now).text} ${CLIENT_STATUS[client.status].text} ${client.referral}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
