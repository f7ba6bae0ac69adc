/** What an agency supposes of its coming months: as it is typed, as it goes over the wire, and what comes back. */

import type { Assumptions, Forecast, ForecastMonth, Interval, Overview } from './backend';
import { money, parseMoney, percent, points } from './money';
import { monthName } from './time';

/** What a page looks ahead, in months. */
export const MONTHS = 24;
/** As many plans as the last half year suggests at most. */
export const MOST_PLANS = 4;
/** So far the sliders go; more can be typed, up to what the engine takes. */
export const SLIDER = { newClients: 50, churn: 20 } as const;

const MOST_NEW_CLIENTS = 200;
const MOST_TRIAL_DAYS = 366;
/** Two years of the most clients at this price still add up exactly in a JSON number. */
const MOST_PRICE_MINOR = 1_000_000_000;
/** A share or a rate has six decimals; as a percentage it has four. */
const RATE_PLACES = 6;
const PERCENT_PLACES = 4;
const WHOLE = 10 ** RATE_PLACES;

/** A plan of the mix, as it is typed. */
export type PlanDraft = { interval: Interval; price: string; share: string };
/** Assumptions as they are typed: clients a month, prices, percentages, days. */
export type Draft = { newClients: string; plans: PlanDraft[]; churn: string; trialDays: string };

/** What is wrong, at the field where it is. */
export type Problems = {
  newClients?: string;
  churn?: string;
  trialDays?: string;
  /** Of the mix as a whole. */
  plans?: string;
  rows: { price?: string; share?: string }[];
};

/** The whole number of 10⁻ᵖˡᵃᶜᵉˢ that a text says, `null` where it is no number from zero with at most so many decimals. */
export function parts(text: string, places: number): number | null {
  const match = /^(\d{1,9})(?:\.(\d*))?$/.exec(text.trim());
  if (match?.[1] === undefined) return null;
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  if (fraction.length > places) return null;
  return Number(match[1] + fraction.padEnd(places, '0'));
}

/** The decimal of a whole number of 10⁻ᵖˡᵃᶜᵉˢ, without needless zeros. The point is moved, nothing is computed. */
export function decimal(value: number, places: number): string {
  const digits = String(value).padStart(places + 1, '0');
  const fraction = digits.slice(digits.length - places).replace(/0+$/, '');
  return digits.slice(0, digits.length - places) + (places === 0 || fraction === '' ? '' : `.${fraction}`);
}

/** `0.025` → `2.5`. */
export function percentText(rate: string): string {
  const value = parts(rate, RATE_PLACES);
  return value === null ? rate : decimal(value, PERCENT_PLACES);
}

/** `2.5` → `0.025`; `null` where it is no percentage from 0 to 100 with at most four decimals. */
export function rateText(typed: string): string | null {
  const value = parts(typed, PERCENT_PLACES);
  return value === null || value > WHOLE ? null : decimal(value, RATE_PLACES);
}

/** Assumptions as they would be typed. */
export function draftOf({ new_clients_per_month, plans, monthly_churn, trial_days }: Assumptions): Draft {
  return {
    newClients: new_clients_per_month,
    plans: plans.map(({ interval, amount_minor, share }) => ({ interval, price: money(amount_minor), share: percentText(share) })),
    churn: percentText(monthly_churn),
    trialDays: String(trial_days),
  };
}

/** Reads a draft: what it supposes, or what is wrong with it. Without new clients their plans do not matter. */
export function check(draft: Draft): { assumptions: Assumptions | null; problems: Problems } {
  const problems: Problems = { rows: draft.plans.map(() => ({})) };
  const clients = parts(draft.newClients, 3);
  if (clients === null || clients > MOST_NEW_CLIENTS * 1000) {
    problems.newClients = `A number from 0 to ${MOST_NEW_CLIENTS}, with at most three decimals.`;
  }
  const churn = rateText(draft.churn);
  if (churn === null) problems.churn = 'A percentage from 0 to 100.';
  const trialDays = parts(draft.trialDays, 0);
  if (trialDays === null || trialDays > MOST_TRIAL_DAYS) problems.trialDays = `Whole days, at most ${MOST_TRIAL_DAYS}.`;
  const plans = clients === 0 ? [] : checkPlans(draft.plans, problems);
  if (clients === null || churn === null || trialDays === null || !isFine(problems)) return { assumptions: null, problems };
  const assumptions: Assumptions = {
    new_clients_per_month: decimal(clients, 3),
    plans,
    monthly_churn: churn,
    trial_days: trialDays,
    months: MONTHS,
  };
  return { assumptions, problems };
}

/** Whether nothing is wrong. */
export function isFine({ newClients, churn, trialDays, plans, rows }: Problems): boolean {
  return [newClients, churn, trialDays, plans, ...rows.flatMap(({ price, share }) => [price, share])].every((one) => one === undefined);
}

function checkPlans(plans: PlanDraft[], problems: Problems): Assumptions['plans'] {
  const read = plans.map(({ interval, price, share }, index) => {
    const amount_minor = parseMoney(price) ?? 0;
    const of = parts(share, PERCENT_PLACES) ?? 0;
    const row = problems.rows[index] ?? {};
    if (amount_minor < 1 || amount_minor > MOST_PRICE_MINOR) row.price = `A price such as $500.00, at most ${money(MOST_PRICE_MINOR)}.`;
    if (of < 1 || of > WHOLE) row.share = 'A share above 0 % and at most 100 %.';
    return { interval, amount_minor, share: decimal(of, RATE_PLACES), of };
  });
  const sum = read.reduce((all, { of }) => all + of, 0);
  if (plans.length === 0) problems.plans = 'New clients need a plan to choose.';
  else if (sum !== WHOLE && problems.rows.every(({ share }) => share === undefined)) {
    const off = `${decimal(Math.abs(WHOLE - sum), PERCENT_PLACES)} %`;
    problems.plans = `The shares add up to ${decimal(sum, PERCENT_PLACES)} %, ${sum < WHOLE ? `${off} short of` : `${off} more than`} 100 %.`;
  }
  return read.map(({ interval, amount_minor, share }) => ({ interval, amount_minor, share }));
}

/**
 * The same mix in whole percents that add up to 100 and are at least one each: in proportion to what is typed, and equal
 * where nothing usable is.
 */
export function evenOut(plans: PlanDraft[]): PlanDraft[] {
  const typed = plans.map(({ share }) => BigInt(parts(share, PERCENT_PLACES) ?? 0));
  const sum = typed.reduce((all, one) => all + one, 0n);
  const weights = sum === 0n ? typed.map(() => 1n) : typed;
  const of = weights.reduce((all, one) => all + one, 0n);
  // One for each; the rest is shared out, what is left over by it to those that lost most by rounding.
  const spare = BigInt(100 - plans.length);
  const shares = weights.map((weight) => ({ whole: 1n + (weight * spare) / of, lost: (weight * spare) % of }));
  let over = 100n - shares.reduce((all, { whole }) => all + whole, 0n);
  for (const share of [...shares].sort((a, b) => (a.lost === b.lost ? 0 : a.lost < b.lost ? 1 : -1))) {
    if (over === 0n) break;
    share.whole += 1n;
    over -= 1n;
  }
  return plans.map((plan, index) => ({ ...plan, share: String(shares[index]?.whole ?? 0n) }));
}

/** One more plan, to which the others leave an equal part. */
export function addPlan(plans: PlanDraft[]): PlanDraft[] {
  if (plans.length === 0) return [{ interval: 'month', price: money(50_000), share: '100' }];
  const sum = plans.reduce((all, { share }) => all + (parts(share, PERCENT_PLACES) ?? 0), 0);
  const part = Math.max(1, Math.floor(sum / plans.length));
  return evenOut([...plans, { interval: 'month', price: money(50_000), share: decimal(part, PERCENT_PLACES) }]);
}

/** One plan less; what it had goes to the others in proportion. */
export function dropPlan(plans: PlanDraft[], index: number): PlanDraft[] {
  const rest = plans.toSpliced(index, 1);
  return rest.length === 0 ? rest : evenOut(rest);
}

/** What is supposed where nothing new comes and clients leave as they did. */
export function nothingNew(usual: Assumptions): Assumptions {
  return { ...usual, new_clients_per_month: '0', plans: [], trial_days: 0, months: MONTHS };
}

/** What the API's refusal says, at the field that it names; `null` where it names none of ours. */
export function refusal(message: string, rows: number): Problems | null {
  const match = /field `(new_clients_per_month|monthly_churn|trial_days|plans)(?:\[(\d+)\]\.(amount_minor|share))?` (.+)$/.exec(message);
  if (match === null) return null;
  const [, field, row, part, rest] = match;
  const said = `This ${rest ?? ''}`;
  const problems: Problems = { rows: Array.from({ length: rows }, () => ({})) };
  const at = row === undefined ? undefined : problems.rows[Number(row)];
  if (at !== undefined) at[part === 'share' ? 'share' : 'price'] = said;
  else if (field === 'new_clients_per_month') problems.newClients = said;
  else if (field === 'monthly_churn') problems.churn = said;
  else if (field === 'trial_days') problems.trialDays = said;
  else problems.plans = said;
  return problems;
}

/** A kept draft; `null` where the text is none. */
export function readDraft(text: string | null): Draft | null {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return isDraft(value) && check(value).assumptions !== null ? value : null;
  } catch {
    return null;
  }
}

function isDraft(value: unknown): value is Draft {
  if (typeof value !== 'object' || value === null) return false;
  const { newClients, churn, trialDays, plans } = value as Record<string, unknown>;
  const texts = [newClients, churn, trialDays].every((one) => typeof one === 'string');
  return texts && Array.isArray(plans) && plans.length <= MOST_PLANS && plans.every(isPlanDraft);
}

function isPlanDraft(value: unknown): value is PlanDraft {
  if (typeof value !== 'object' || value === null) return false;
  const { interval, price, share } = value as Record<string, unknown>;
  return (interval === 'month' || interval === 'year') && typeof price === 'string' && typeof share === 'string';
}

/** A month as the chart and the table show it. The parts add up to `totalMinor`. */
export type Row = {
  month: string;
  firstYearMinor: number;
  recurringMinor: number;
  bonusesMinor: number;
  /** What refunds and clients that leave early take back; never above zero. */
  lostMinor: number;
  totalMinor: number;
  payoutMinor: number;
  clients: number;
  mrrMinor: number;
};

/** The months of a forecast. What is paid at its very beginning is paid in the first. */
export function rowsOf({ months, due_now_minor }: Forecast): Row[] {
  return months.map((month, index) => {
    const { first_year_minor, recurring_minor, volume_bonus_minor, high_value_bonus_minor, reversal_minor, total_minor } = month.earned;
    return {
      month: month.from.slice(0, 7),
      firstYearMinor: first_year_minor,
      recurringMinor: recurring_minor,
      bonusesMinor: volume_bonus_minor + high_value_bonus_minor,
      lostMinor: reversal_minor - month.forfeited_minor,
      totalMinor: total_minor - month.forfeited_minor,
      payoutMinor: month.payout_minor + (index === 0 ? due_now_minor : 0),
      clients: month.active_clients,
      mrrMinor: month.mrr_minor,
    };
  });
}

/** What is reached, and when. */
export type Milestone = { title: string; text: string; reached: boolean };

/** The first month of platinum and of a volume bonus, in the words of the overview. */
export function milestones({ tier, months }: Forecast, overview: Overview | null): Milestone[] {
  if (tier === 'platinum') return [{ title: 'Platinum', text: 'You have its rates already. They are kept.', reached: true }];
  const platinum = months.find((month) => month.tier === 'platinum');
  const volume = months.find((month) => month.quarter_reached);
  // Platinum rates are better, so a bonus that is reached with them adds nothing.
  const counts = volume !== undefined && volume.tier !== 'platinum';
  const all = counts || platinum === undefined ? [volumeMilestone(counts ? volume : undefined, overview)] : [];
  return [...all, platinumMilestone(platinum, overview)];
}

function volumeMilestone(month: ForecastMonth | undefined, overview: Overview | null): Milestone {
  const needed = overview === null ? '' : `${overview.volume.needed} `;
  if (month === undefined) {
    const text = `It takes ${needed}new clients who first pay within one quarter.`;
    return { title: `No volume bonus within ${MONTHS} months`, text, reached: false };
  }
  const quarter = month.quarter.replace('-', ' ');
  const rate = overview === null ? '' : `: ${points(overview.volume_rate)}`;
  const has = overview?.volume.quarter === month.quarter && overview.volume.reached_at !== null;
  if (has) return { title: `Volume bonus of ${quarter}`, text: `It is reached already${rate}.`, reached: true };
  const text = `${needed}new clients of ${quarter} have paid by then${rate}.`;
  return { title: `Volume bonus in ${monthName(month.from.slice(0, 7))}`, text: text[0]?.toUpperCase() + text.slice(1), reached: true };
}

function platinumMilestone(month: ForecastMonth | undefined, overview: Overview | null): Milestone {
  const of = overview?.platinum;
  const takes = of === undefined ? '' : `It takes ${of.referrals_needed} referrals or plans of ${money(of.arr_minor_needed)} a year.`;
  if (month === undefined) return { title: `No platinum within ${MONTHS} months`, text: takes, reached: false };
  const worth = of === undefined || of.worth_minor_per_month <= 0 ? '' : ` On today's clients: ${money(of.worth_minor_per_month)} a month more.`;
  return {
    title: `Platinum from ${monthName(month.from.slice(0, 7))}`,
    text: `Better rates on every payment from then on.${worth}`,
    reached: true,
  };
}

/** What is supposed, in a sentence. */
export function supposed({ new_clients_per_month, monthly_churn, trial_days }: Assumptions): string {
  const one = new_clients_per_month === '1';
  const coming = new_clients_per_month === '0' ? 'no new clients' : `${new_clients_per_month} new client${one ? '' : 's'} a month`;
  const leaving = monthly_churn === '0' ? 'nobody leaving' : `${percent(monthly_churn)} leaving a month`;
  const free = trial_days === 0 || new_clients_per_month === '0' ? '' : ` after ${trial_days} free day${trial_days === 1 ? '' : 's'}`;
  return `With ${coming}${free}, ${leaving}.`;
}

/** The table as a file. Amounts have a point and no commas, so that any spreadsheet reads them. */
export function csvOf(rows: Row[]): string {
  const head = 'month,first_year,recurring,bonuses,lost,earned,paid_out,active_clients,mrr';
  const lines = rows.map((row) => {
    const amounts = [row.firstYearMinor, row.recurringMinor, row.bonusesMinor, row.lostMinor, row.totalMinor, row.payoutMinor];
    return [row.month, ...amounts.map(plainAmount), row.clients, plainAmount(row.mrrMinor)].join(',');
  });
  return [head, ...lines].join('\r\n') + '\r\n';
}

/** `-1234.50`. */
function plainAmount(minor: number): string {
  const size = BigInt(minor < 0 ? -minor : minor);
  return `${minor < 0 ? '-' : ''}${size / 100n}.${String(size % 100n).padStart(2, '0')}`;
}
