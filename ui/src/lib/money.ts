/** Money as the API says it: whole minor units of the program's settlement currency. Never a fraction. */

const MINUS = '\u2212';
const SYMBOL = '$';

/** `$1,234.50`, `−$0.05`. Text of digits, so that no amount is ever rounded on its way to the screen. */
export function money(minor: number | bigint): string {
  const exact = exactly(minor);
  const text = unsigned(exact < 0n ? -exact : exact);
  return exact < 0n ? MINUS + text : text;
}

/** As `money`, with a plus sign before what is above zero. */
export function signedMoney(minor: number | bigint): string {
  return exactly(minor) > 0n ? `+${money(minor)}` : money(minor);
}

/** The sum, exact at any size. */
export function sumMinor(amounts: Iterable<number>): bigint {
  let sum = 0n;
  for (const amount of amounts) sum += exactly(amount);
  return sum;
}

/** How `now` compares to `before`, `+6.0 %`, half away from zero; `null` when there is nothing to compare with. */
export function changePercent(now: number, before: number): string | null {
  if (before <= 0) return null;
  const [difference, base] = [exactly(now) - exactly(before), exactly(before)];
  const size = difference < 0n ? -difference : difference;
  const tenths = (size * 2000n + base) / (base * 2n);
  const sign = tenths === 0n ? '' : difference < 0n ? MINUS : '+';
  return `${sign}${grouped(tenths / 10n)}.${tenths % 10n} %`;
}

/** A typed amount in minor units, or `null` when it is not one: `38,412.50`, `38412.50`, `$38,412.50`, `38412`. */
export function parseMoney(typed: string): number | null {
  const match = /^\$?\s*(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{2}))?$/.exec(typed.trim());
  if (match?.[1] === undefined) return null;
  const minor = BigInt(match[1].replaceAll(',', '') + (match[2] ?? '00'));
  return minor <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(minor) : null;
}

/** `0.2` of the rules, as people say it: `20 %`. The text is moved by two places, never computed. */
export function percent(rate: string): string {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(rate);
  if (match?.[1] === undefined) return rate;
  const digits = (match[2] ?? '').padEnd(2, '0');
  const whole = (match[1] + digits.slice(0, 2)).replace(/^0+(?=\d)/, '');
  const fraction = digits.slice(2).replace(/0+$/, '');
  return `${whole}${fraction === '' ? '' : `.${fraction}`} %`;
}

/** A rate that is added to another: `0.05` → `+5 points`. */
export function points(rate: string): string {
  return `+${percent(rate).replace(' %', '')} points`;
}

/** Whole numbers with commas: `1,204`. */
export function count(n: number): string {
  return grouped(exactly(n));
}

function unsigned(minor: bigint): string {
  return `${SYMBOL}${grouped(minor / 100n)}.${(minor % 100n).toString().padStart(2, '0')}`;
}

function grouped(n: bigint): string {
  return n.toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

/** An amount beyond 2^53 has already lost cents inside a JSON number: better no figure than a wrong one. */
function exactly(minor: number | bigint): bigint {
  if (typeof minor === 'bigint') return minor;
  if (!Number.isSafeInteger(minor)) throw new RangeError(`${minor} is not an exact amount in minor units.`);
  return BigInt(minor);
}
