import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changePercent, count, money, parseMoney, percent, points, signedMoney, sumMinor } from './money';

const minor = fc.maxSafeInteger();

describe('money', () => {
  it.each([
    [0, '$0.00'],
    [5, '$0.05'],
    [-5, '\u2212$0.05'],
    [100, '$1.00'],
    [123_450, '$1,234.50'],
    [-3_841_250, '\u2212$38,412.50'],
    [Number.MAX_SAFE_INTEGER, '$90,071,992,547,409.91'],
    [-Number.MAX_SAFE_INTEGER, '\u2212$90,071,992,547,409.91'],
  ])('writes %d as %s', (amount, text) => {
    expect(money(amount)).toBe(text);
  });

  it('keeps every digit of every exact amount', () => {
    fc.assert(
      fc.property(minor, (amount) => {
        const digits = money(amount).replace('\u2212', '-').replace(/[$,.]/g, '');
        expect(BigInt(digits)).toBe(BigInt(amount));
      }),
    );
  });

  it('groups by three and always shows two decimals', () => {
    fc.assert(
      fc.property(minor, (amount) => {
        expect(money(amount)).toMatch(/^\u2212?\$\d{1,3}(,\d{3})*\.\d{2}$/);
      }),
    );
  });

  it('refuses what a JSON number cannot carry exactly', () => {
    for (const amount of [2 ** 53, -(2 ** 53), 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => money(amount)).toThrow(RangeError);
    }
    expect(money(2n ** 53n)).toBe('$90,071,992,547,409.92');
  });

  it('signs differences, but not zero', () => {
    expect([signedMoney(218_000), signedMoney(-16_000), signedMoney(0)]).toEqual(['+$2,180.00', '\u2212$160.00', '$0.00']);
  });
});

describe('a typed total', () => {
  it.each(['38,412.50', '38412.50', '$38,412.50', ' $ 38412.50 '])('reads %j', (typed) => {
    expect(parseMoney(typed)).toBe(3_841_250);
  });

  it.each(['', '$', '38,41.50', '3,8412.50', '38412.5', '38412.500', '38.412,50', '-5.00', '1e3', '38 412.50', '12.50 USD', ',100'])(
    'refuses %j',
    (typed) => {
      expect(parseMoney(typed)).toBeNull();
    },
  );

  it('reads back what `money` writes, with or without signs and commas', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (amount) => {
        const text = money(amount);
        for (const typed of [text, text.replace('$', ''), text.replaceAll(',', ''), text.replace(/[$,]/g, '')]) {
          expect(parseMoney(typed)).toBe(amount);
        }
      }),
    );
  });

  it('never yields an inexact amount', () => {
    expect(parseMoney('90071992547409.91')).toBe(Number.MAX_SAFE_INTEGER);
    expect(parseMoney('90071992547409.92')).toBeNull();
    fc.assert(
      fc.property(fc.string(), (typed) => {
        const read = parseMoney(typed);
        expect(read === null || Number.isSafeInteger(read)).toBe(true);
      }),
    );
  });
});

it('sums exactly beyond 2^53', () => {
  expect(sumMinor([Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, -1])).toBe(2n * BigInt(Number.MAX_SAFE_INTEGER) - 1n);
  expect(sumMinor([])).toBe(0n);
});

it.each([
  [3_841_250, 3_623_250, '+6.0 %'],
  [100, 300, '\u221266.7 %'],
  [300, 300, '0.0 %'],
  [2_000_000, 100, '+1,999,900.0 %'],
  [0, 500, '\u2212100.0 %'],
])('compares %d with %d as %s', (now, before, text) => {
  expect(changePercent(now, before)).toBe(text);
});

it('compares with nothing when there is nothing', () => {
  expect([changePercent(5, 0), changePercent(5, -5)]).toEqual([null, null]);
});

it.each([
  ['0.20', '20 %'],
  ['0.2', '20 %'],
  ['0.05', '5 %'],
  ['0.125', '12.5 %'],
  ['0.1250', '12.5 %'],
  ['1', '100 %'],
  ['0', '0 %'],
  ['odd', 'odd'],
])('says the rate %s as %s', (rate, text) => {
  expect(percent(rate)).toBe(text);
});

it('says points of a rate', () => {
  expect([points('0.05'), points('0.025')]).toEqual(['+5 points', '+2.5 points']);
});

it('counts with commas', () => {
  expect([count(0), count(999), count(1204)]).toEqual(['0', '999', '1,204']);
});
