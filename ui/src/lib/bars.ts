import type { MonthEarned } from './backend';

/** Parts of a bar from the baseline outwards; forfeited money is in the table alone, because it was never earned. */
export const PARTS = ['vested', 'pending', 'held'] as const;
export type Part = (typeof PARTS)[number];

/** A rectangle in units of the chart: x by month, y in minor units downwards from the top of the scale. */
export type Piece = { part: Part; fromMinor: number; toMinor: number };
export type Column = { month: string; totalMinor: number; pieces: Piece[] };

/** The scale of an axis: where it ends on both sides of zero, and its lines. */
export type Scale = { lowMinor: number; highMinor: number; ticksMinor: number[] };

/** Stacks the parts of every month: what is above zero upwards, what is below it downwards. */
export function columns(months: MonthEarned[]): Column[] {
  return months.map((month) => {
    let [up, down] = [0, 0];
    const pieces: Piece[] = [];
    for (const part of PARTS) {
      const amount = month[`${part}_minor`];
      if (amount > 0) pieces.push({ part, fromMinor: up, toMinor: (up += amount) });
      if (amount < 0) pieces.push({ part, fromMinor: down, toMinor: (down += amount) });
    }
    return { month: month.month, totalMinor: up + down, pieces };
  });
}

/** A scale with three to six round lines that holds all columns and zero. */
export function scaleOf(all: Column[]): Scale {
  const edges = all.flatMap(({ pieces }) => pieces.map(({ toMinor }) => toMinor));
  const low = Math.min(0, ...edges);
  const high = Math.max(low < 0 ? 0 : 1, ...edges);
  const step = roundStep(Math.max(high - low, 40_000) / 4);
  const highMinor = Math.ceil(high / step) * step;
  const lowMinor = Math.floor(low / step) * step;
  const ticksMinor: number[] = [];
  for (let tick = lowMinor; tick <= highMinor; tick += step) ticksMinor.push(tick);
  return { lowMinor, highMinor, ticksMinor };
}

/** The smallest of 1, 2, 2.5, 5 × 10ⁿ dollars that is not below the wanted step. */
function roundStep(wantedMinor: number): number {
  const base = 10 ** Math.floor(Math.log10(Math.max(wantedMinor, 100)));
  return [1, 2, 2.5, 5, 10].map((n) => n * base).find((step) => step >= wantedMinor) ?? 10 * base;
}

/** An axis label without cents: `$1,500`, `$20k`, `−$500`. */
export function axisLabel(minor: number): string {
  const dollars = Math.round(Math.abs(minor) / 100);
  const text = dollars >= 10_000 ? `${(dollars / 1000).toLocaleString('en-US')}k` : dollars.toLocaleString('en-US');
  return `${minor < 0 ? '\u2212' : ''}$${text}`;
}
