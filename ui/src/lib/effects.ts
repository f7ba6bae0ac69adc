import type { Footing } from './backend';

/** One figure of an agency, as it is and as it would be after each of some decisions. */
export type EffectRow = { text: string; amounts: { minor: number; changes: boolean }[] };

const FIGURES: { text: string; of: (footing: Footing) => number; always: boolean }[] = [
  { text: 'Payable', of: ({ totals }) => totals.payable, always: true },
  { text: 'Held', of: ({ totals }) => totals.held, always: true },
  { text: 'Pending', of: ({ totals }) => totals.pending, always: false },
  { text: 'Vested, all time', of: ({ totals }) => totals.vested, always: true },
  { text: 'Void', of: ({ totals }) => totals.void, always: false },
  { text: 'Balance', of: ({ balance_minor }) => balance_minor, always: false },
  { text: 'Next payout', of: ({ next_payout }) => next_payout.amount_minor, always: true },
];

/** The figures beside each other, the present ones first. What is nothing and stays nothing is left out. */
export function effectRows(now: Footing, then: readonly Footing[]): EffectRow[] {
  const rows = FIGURES.map(({ text, of, always }) => {
    const amounts = [now, ...then].map((footing) => ({ minor: of(footing), changes: of(footing) !== of(now) }));
    return { text, amounts, shown: always || amounts.some(({ minor, changes }) => changes || (text !== 'Balance' && minor !== 0)) };
  });
  return rows.filter(({ shown }) => shown).map(({ text, amounts }) => ({ text, amounts }));
}

/** Whether a decision would change nothing. */
export const changesNothing = (now: Footing, then: Footing): boolean =>
  effectRows(now, [then]).every(({ amounts }) => amounts.every(({ changes }) => !changes));
