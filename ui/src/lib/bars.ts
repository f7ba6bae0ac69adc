import { monthShort } from './time';

/** A column of a chart: what it stands for, and the amount of each series in minor units. */
export type Column = { key: string; valuesMinor: readonly number[] };

/** A part of a column from the baseline outwards: of which series, and from where to where in minor units. */
export type Piece = { series: number; fromMinor: number; toMinor: number };

/** The scale of an axis: where it ends on both sides of zero, and its lines. */
export type Scale = { lowMinor: number; highMinor: number; ticksMinor: number[] };

/** Stacks the series of a column: what is above zero upwards, what is below it downwards. */
export function stack({ valuesMinor }: Column): Piece[] {
  let [up, down] = [0, 0];
  const pieces: Piece[] = [];
  valuesMinor.forEach((amount, series) => {
    if (amount > 0) pieces.push({ series, fromMinor: up, toMinor: (up += amount) });
    if (amount < 0) pieces.push({ series, fromMinor: down, toMinor: (down += amount) });
  });
  return pieces;
}

/** A scale with three to six round lines that holds all amounts and zero. */
export function scaleOf(amountsMinor: readonly number[]): Scale {
  const low = Math.min(0, ...amountsMinor);
  const high = Math.max(low < 0 ? 0 : 1, ...amountsMinor);
  const step = roundStep(Math.max(high - low, 40_000) / 4);
  const highMinor = Math.ceil(high / step) * step;
  const lowMinor = Math.floor(low / step) * step;
  const ticksMinor: number[] = [];
  for (let tick = lowMinor; tick <= highMinor; tick += step) ticksMinor.push(tick);
  return { lowMinor, highMinor, ticksMinor };
}

/** `2027-01`: the name below a column that has so many px, `null` for none. Where many are crowded, every few have one and January is its year. */
export function monthLabel(month: string, slot: number, many: number): string | null {
  if (slot >= 30) return monthShort(month);
  if (many <= 12) return monthShort(month).slice(0, 1);
  const every = [2, 3, 6].find((months) => months * slot >= 34) ?? 12;
  const index = Number(month.slice(5)) - 1;
  if (index % every !== 0) return null;
  return index === 0 ? month.slice(0, 4) : monthShort(month);
}

/** Where a key leads from a column, `null` for none, in a chart of so many; `undefined` where the key is not the chart's. */
export function move(from: number | null, key: string, many: number): number | null | undefined {
  if (many === 0) return undefined;
  const last = many - 1;
  switch (key) {
    case 'ArrowRight':
    case 'ArrowUp':
      return from === null ? 0 : Math.min(last, from + 1);
    case 'ArrowLeft':
    case 'ArrowDown':
      return from === null ? last : Math.max(0, from - 1);
    case 'Home':
      return 0;
    case 'End':
      return last;
    case 'Escape':
      return from === null ? undefined : null;
    default:
      return undefined;
  }
}

/** The smallest of 1, 2, 2.5, 5 × 10ⁿ dollars that is not below the wanted step. */
function roundStep(wantedMinor: number): number {
  const base = 10 ** Math.floor(Math.log10(Math.max(wantedMinor, 100)));
  return [1, 2, 2.5, 5, 10].map((n) => n * base).find((step) => step >= wantedMinor) ?? 10 * base;
}

const SIZES = [
  [1_000_000_000, 'bn'],
  [1_000_000, 'm'],
  [1000, 'k'],
] as const;

/** An axis label without cents: `$1,500`, `$20k`, `$25m`, `−$500`. */
export function axisLabel(minor: number): string {
  const dollars = Math.round(Math.abs(minor) / 100);
  const [size, unit] = SIZES.find(([from]) => dollars >= 10 * from) ?? [1, ''];
  return `${minor < 0 ? '\u2212' : ''}$${(dollars / size).toLocaleString('en-US')}${unit}`;
}
