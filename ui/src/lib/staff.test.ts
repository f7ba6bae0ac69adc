import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Footing } from './backend';
import { changesNothing, effectRows } from './effects';
import { keysOf, readKey } from './keys';
import { parseMoney } from './money';
import { type Condition, CONDITIONS, parseSigned, parseViews, partnerWords, pressed, readQuestion, START, withView, writeQuestion } from './partners';
import { chosenIn, deedsFor, readFilter, writeFilter } from './reviews';

describe('the list of agencies', () => {
  const question = fc.record({
    find: fc.string(),
    only: fc.subarray(Object.keys(CONDITIONS) as Condition[]),
    order: fc.record({ sort: fc.constantFrom('name', 'joined', 'referrals', 'balance', 'waiting', 'to_review'), descending: fc.boolean() }),
  });

  it('is asked in the address and found again in it', () => {
    fc.assert(
      fc.property(question, (asked) => {
        fc.pre(asked.find.isWellFormed());
        expect(readQuestion(writeQuestion(asked as never))).toEqual(asked);
      }),
    );
  });

  it('leaves out what makes no sense in an address', () => {
    expect(readQuestion('only=in_debt.nonsense.in_debt&sort=nonsense.down')).toEqual({ find: '', only: ['in_debt'], order: START });
    expect(readQuestion('sort=toString')).toEqual({ find: '', only: [], order: START });
  });

  it('turns an order round at the second press', () => {
    const first = pressed(START, 'balance');
    expect(first).toEqual({ sort: 'balance', descending: true });
    expect(pressed(first, 'balance')).toEqual({ sort: 'balance', descending: false });
    expect(pressed(first, 'name')).toEqual(START);
  });

  it('keeps views by name, and forgets what it cannot read', () => {
    const views = withView(withView([], { name: 'b', find: 'x' }), { name: 'a', find: 'y' });
    expect(withView(views, { name: 'b', find: 'z' })).toEqual([{ name: 'a', find: 'y' }, { name: 'b', find: 'z' }]);
    for (const text of [null, '{', '{}', '[1, null, {"name": 1}]']) expect(parseViews(text)).toEqual([]);
    expect(parseViews(JSON.stringify(views))).toEqual(views);
  });

  it('says what is wrong with an agency, and nothing else', () => {
    const good = { suspended: false, has_account: true, transfers_active: true, terms_accepted: true, balance_minor: 0 };
    expect(partnerWords(good)).toEqual([]);
    const bad = { suspended: true, has_account: false, transfers_active: false, terms_accepted: false, balance_minor: -1 };
    expect(partnerWords(bad).map(({ text }) => text)).toEqual(['Suspended', 'In debt', 'No account', 'Terms open']);
  });

  it.each([
    ['120.50', 12_050],
    ['+$5', 500],
    ['-1,000.00', -100_000],
    ['\u221220', -2000],
    [' - 3', -300],
    ['0', null],
    ['-', null],
    ['--5', null],
    ['5.5', null],
    ['', null],
  ])('reads the adjustment %s', (typed, minor) => {
    expect(parseSigned(typed, parseMoney)).toBe(minor);
  });
});

describe('reviews', () => {
  it('has its filter in the address', () => {
    for (const decided of [false, true]) {
      for (const kind of [null, 'self_referral', 'burst'] as const) {
        for (const agency of [null, 'PARTNER_1&x=y']) {
          expect(readFilter(writeFilter({ decided, kind, agency }))).toEqual({ decided, kind, agency });
        }
      }
    }
    expect(readFilter('kind=else&agency=')).toEqual({ decided: false, kind: null, agency: null });
  });

  it('offers what would change something', () => {
    expect(deedsFor({ decision: null })).toEqual(['clear', 'reject']);
    expect(deedsFor({ decision: 'cleared' })).toEqual(['reject', 'reopen']);
    expect(deedsFor({ decision: 'rejected' })).toEqual(['clear', 'reopen']);
  });

  it('goes on at the same place when what was chosen is gone', () => {
    const list = ['a', 'b', 'c'].map((referral) => ({ referral }));
    expect(chosenIn(list, 'b', 0)).toBe(1);
    expect(chosenIn(list, 'gone', 1)).toBe(1);
    expect(chosenIn(list, null, 3)).toBe(2);
    expect(chosenIn([], null, 3)).toBe(0);
  });

  it('has its keys on its own page alone, and sequences come before them', () => {
    const read = (key: string, page: 'reviews' | 'runs') => readKey(null, key, 0, 'staff', page).deed;
    expect([read('r', 'reviews'), read('r', 'runs'), read('c', 'reviews')]).toEqual(['reject', null, 'clear']);
    expect(readKey({ prefix: 'g', atMs: 0 }, 'r', 100, 'staff', 'reviews').deed).toBe('go_runs');
    expect(keysOf('partner', 'reviews').some(({ page }) => page === 'reviews')).toBe(false);
  });
});

describe('what a decision changes', () => {
  const footing = (held: number, vested: number, next: number): Footing => ({
    totals: { pending: 0, vested, held, forfeited: 0, void: 0, paid: 0, balance: vested, payable: Math.max(0, vested) },
    balance_minor: vested,
    next_payout: { on: '2026-12-01', amount_minor: next, why_not: null },
  });

  it('stands beside what is so now', () => {
    const rows = effectRows(footing(100, 50, 50), [footing(0, 150, 150), footing(0, 50, 50)]);
    const held = rows.find(({ text }) => text === 'Held');
    expect(held?.amounts).toEqual([{ minor: 100, changes: false }, { minor: 0, changes: true }, { minor: 0, changes: true }]);
    expect(rows.map(({ text }) => text)).toEqual(['Payable', 'Held', 'Vested, all time', 'Balance', 'Next payout']);
  });

  it('is nothing where no figure differs', () => {
    expect(changesNothing(footing(1, 2, 2), footing(1, 2, 2))).toBe(true);
    expect(changesNothing(footing(1, 2, 2), footing(1, 2, 0))).toBe(false);
  });
});
