import type { AtBankState, ClientStatus, DifferenceCause, Flag, LineKind, LineStatus, Mismatch, NotPaidReason, Payout, PayoutState, Role, RunState, Tier } from './backend';

/** How loudly a tag speaks. Its text always says the same thing. */
export type Tone = 'good' | 'wait' | 'held' | 'bad' | 'plain';
export type Word = { text: string; tone: Tone };

export const ROLES: Record<Role, string> = {
  owner: 'Owner',
  member: 'Member',
  staff: 'Staff',
  finance: 'Finance',
  admin: 'Admin',
  auditor: 'Auditor',
};

export const TIERS: Record<Tier, string> = { standard: 'Standard', platinum: 'Platinum' };

export const CLIENT_STATUS: Record<ClientStatus, Word> = {
  signed_up: { text: 'Signed up', tone: 'plain' },
  trial: { text: 'Trial', tone: 'wait' },
  active: { text: 'Active', tone: 'good' },
  canceled: { text: 'Cancelled', tone: 'plain' },
};

export const FLAGS: Record<Flag, string> = {
  self_referral: 'Its address has the domain of your own website.',
  burst: 'More than ten clients signed up in one month.',
};

export const LINE_KIND: Record<LineKind, string> = {
  first_year: 'First year',
  recurring: 'Recurring',
  volume_bonus: 'Volume bonus',
  high_value_bonus: 'High-value bonus',
  reversal: 'Reversal',
  adjustment: 'Adjustment',
};

export const LINE_STATUS: Record<LineStatus, Word> = {
  vested: { text: 'Vested', tone: 'good' },
  pending: { text: 'Pending', tone: 'wait' },
  held: { text: 'Held', tone: 'held' },
  forfeited: { text: 'Forfeited', tone: 'plain' },
  void: { text: 'Void', tone: 'plain' },
};

export const PAYOUT_STATE: Record<PayoutState, Word> = {
  queued: { text: 'Queued', tone: 'plain' },
  sending: { text: 'Sending', tone: 'wait' },
  unknown: { text: 'Checking', tone: 'wait' },
  review: { text: 'Payment check', tone: 'bad' },
  paid: { text: 'Paid', tone: 'good' },
  void: { text: 'Not paid', tone: 'plain' },
};

export const RUN_STATE: Record<RunState, Word> = {
  draft: { text: 'Draft', tone: 'wait' },
  sealing: { text: 'Sealing', tone: 'wait' },
  sealed: { text: 'Sealed', tone: 'held' },
  approved: { text: 'Approved', tone: 'held' },
  sending: { text: 'Sending', tone: 'wait' },
  done: { text: 'Done', tone: 'good' },
};

export const NOT_PAID: Record<NotPaidReason, Word> = {
  suspended: { text: 'Suspended', tone: 'bad' },
  debt: { text: 'In debt', tone: 'bad' },
  under_review: { text: 'Under review', tone: 'held' },
  held: { text: 'Held', tone: 'held' },
  pending: { text: 'Pending', tone: 'wait' },
  below_minimum: { text: 'Below minimum', tone: 'plain' },
  open_item: { text: 'Payout open', tone: 'wait' },
  terms_not_accepted: { text: 'Terms', tone: 'wait' },
  no_account: { text: 'No account', tone: 'wait' },
  transfers_inactive: { text: 'Account not ready', tone: 'wait' },
  account_replaced: { text: 'New account', tone: 'wait' },
  held_out: { text: 'Held out', tone: 'held' },
};

export const AT_BANK: Record<AtBankState, Word> = {
  on_the_way: { text: 'On its way to the bank', tone: 'wait' },
  reached: { text: 'Reached the bank', tone: 'good' },
  refused: { text: 'Refused by the bank', tone: 'bad' },
};

/** How far a payout is: once Stripe passes it on to the bank, how far that is. */
export const payoutWord = ({ state, bank }: Payout): Word => (bank === null ? PAYOUT_STATE[state] : AT_BANK[bank.state]);

export const MISMATCH: Record<Mismatch, Word> = {
  double: { text: 'Paid twice', tone: 'bad' },
  no_record: { text: 'No record', tone: 'bad' },
  not_recorded: { text: 'Not recorded', tone: 'bad' },
  not_listed: { text: 'Not at Stripe', tone: 'bad' },
  differs: { text: 'Differs', tone: 'bad' },
  reversed: { text: 'Reversed', tone: 'held' },
  balance: { text: 'Balance', tone: 'held' },
};

/** Why a run comes to another total than the one before. */
export const CAUSES: Record<DifferenceCause, string> = {
  newly_paid: 'Newly paid',
  no_longer_paid: 'Not paid this time',
  commission: 'Commission',
  bonus: 'Bonuses',
  adjustment: 'By hand',
  reversed: 'Taken back',
  carried: 'Carried over',
};

/** `1 line`, `2 lines`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return n === 1 ? `1 ${one}` : `${n.toLocaleString('en-US')} ${many}`;
}
