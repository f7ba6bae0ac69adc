import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { App } from './app.svelte';
import { type Answer, CallError, type ClientPage, type ClientsQuery } from './backend';
import { ClientList } from './clientlist.svelte';
import { START } from './clients';
import { Query } from './query.svelte';
import { pagesOf, rowAfter, withActive, withGaps } from './rows';

const window = fc.tuple(fc.nat(100_000), fc.integer({ min: 1, max: 60 })).map(([from, rows]) => Array.from({ length: rows }, (_, n) => from + n));

describe('rows', () => {
  it('with their gaps are as many as there are', () => {
    fc.assert(
      fc.property(window, fc.nat(200_000), fc.nat(200_000), (rows, active, more) => {
        const count = (rows.at(-1) ?? 0) + 1 + more;
        const { rows: shown, after } = withGaps(withActive(rows, active, count), count);
        expect(shown.reduce((sum, { before }) => sum + before + 1, after)).toBe(count);
        expect(shown.map(({ index }) => index)).toEqual([...new Set(shown.map(({ index }) => index))].sort((a, b) => a - b));
        if (active < count) expect(shown.some(({ index }) => index === active)).toBe(true);
      }),
    );
  });

  it('are each on exactly one of the pages that are asked for', () => {
    fc.assert(
      fc.property(window, fc.integer({ min: 1, max: 500 }), (rows, size) => {
        const pages = pagesOf(rows, size);
        for (const row of rows) expect(pages.filter((page) => page * size <= row && row < (page + 1) * size)).toHaveLength(1);
        for (const page of pages) expect(rows.some((row) => Math.floor(row / size) === page)).toBe(true);
      }),
    );
  });

  it('are walked through by keys without leaving the table', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.nat(999), fc.constantFrom('ArrowDown', 'ArrowUp', 'PageDown', 'PageUp', 'Home', 'End'), (count, at, key) => {
        const to = rowAfter(key, Math.min(at, count - 1), count, 10);
        expect(to !== null && to >= 0 && to < count).toBe(true);
      }),
    );
    expect([rowAfter('ArrowDown', 4, 10, 3), rowAfter('PageUp', 4, 10, 3), rowAfter('Home', 4, 10, 3), rowAfter('End', 4, 10, 3)]).toEqual([5, 1, 0, 9]);
    expect([rowAfter('a', 0, 10, 3), rowAfter('ArrowDown', 0, 0, 3)]).toEqual([null, null]);
  });
});

describe('the list of clients', () => {
  /** An API whose answers come when the test says so. */
  const asked: { args: ClientsQuery; answer: (found: number) => void; fail: () => void }[] = [];
  const page = (found: number, args: ClientsQuery): Answer<ClientPage> => {
    const from = args.from ?? 0;
    const rows = Array.from({ length: Math.max(Math.min(args.limit ?? 0, found - from), 0) }, (_, n) => ({ referral: `${args.find ?? ''}${from + n}` }));
    return { data: { total: 1000, paying: 5, found, rows: rows as ClientPage['rows'] }, as_of: '2026-11-22T10:00:00Z', saved: false };
  };
  let list: ClientList;

  beforeEach(() => {
    vi.useFakeTimers();
    asked.length = 0;
    const kept = new Map<string, Query<ClientPage>>();
    const query = (_: string, args: ClientsQuery) => {
      const key = JSON.stringify(args);
      const made = kept.get(key) ?? new Query<ClientPage>(() => new Promise((resolve, reject) => {
        asked.push({ args, answer: (found) => resolve(page(found, args)), fail: () => reject(new CallError('offline', 'Away.')) });
      }));
      kept.set(key, made);
      return made;
    };
    list = new ClientList({ query } as unknown as App);
  });
  afterEach(() => vi.useRealTimers());

  const question = (find: string) => ({ find, status: 'all' as const, order: START });

  it('shows the newest question, whichever is answered last', async () => {
    const [first, second] = [list.ask(question('a')), list.ask(question('ab'))];
    asked[1]?.answer(2);
    await second;
    asked[0]?.answer(900);
    await first;
    expect([list.asked?.find, list.counts?.found, list.row(0)?.referral]).toEqual(['ab', 2, 'ab0']);
    expect(await first).toBe(false);
  });

  it('keeps the rows of the question before until the next is answered', async () => {
    const first = list.ask(question(''));
    asked[0]?.answer(1000);
    await first;
    void list.ask(question('zz'));
    expect([list.looking, list.row(7)?.referral]).toEqual([true, '7']);
  });

  it('asks for the rows on the screen once they stay there', async () => {
    const first = list.ask(question(''));
    asked[0]?.answer(1000);
    await first;
    for (const at of [205, 405, 605]) list.show([0, at, at + 1]);
    await vi.advanceTimersByTimeAsync(500);
    expect(asked.map(({ args }) => args.from ?? 0)).toEqual([0, 600]);
    expect(list.row(605)).toBeNull();
    list.show([605]);
    expect(list.counts?.found).toBe(1000);
    list.show([0, 605]);
    asked[1]?.answer(1000);
    await vi.advanceTimersByTimeAsync(0);
    expect([list.row(605)?.referral, list.row(0)?.referral]).toEqual(['605', '0']);
    list.show([0, 605]);
    await vi.advanceTimersByTimeAsync(500);
    expect(asked).toHaveLength(2);
  });

  it('says that the API is away when a page did not come', async () => {
    const first = list.ask(question(''));
    asked[0]?.fail();
    await first;
    expect([list.counts, list.error?.code]).toEqual([null, 'offline']);
  });
});
