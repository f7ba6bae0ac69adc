import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freshness } from './freshness';
import { clock, day, daysAway, fullDay, lastEndedMonth, moment, monthBefore, monthName, monthShort } from './time';

const now = new Date('2026-11-22T10:42:00Z');

it('writes days in UTC, whatever the zone of the computer', () => {
  expect(day('2026-12-01T23:59:59Z', now)).toBe('1 Dec');
  expect(day('2026-12-02', now)).toBe('2 Dec');
  expect(day('2025-12-31T23:59:59.999Z', now)).toBe('31 Dec 2025');
  expect(fullDay('2026-01-01T00:00:00Z')).toBe('1 Jan 2026');
  expect(clock('2026-11-22T00:05:00Z')).toBe('00:05');
  expect(moment('2026-11-01T00:00:00Z')).toBe('1 Nov 2026, 00:00 UTC');
});

it('names months', () => {
  expect([monthName('2026-11'), monthShort('2026-02')]).toEqual(['November 2026', 'Feb']);
});

it('knows the month before, over the turn of a year', () => {
  expect([monthBefore('2026-01'), monthBefore('2026-12')]).toEqual(['2025-12', '2026-11']);
  expect(lastEndedMonth('2026-11-01T00:00:00Z')).toBe('2026-10');
  expect(lastEndedMonth('2026-10-31T23:59:59.999Z')).toBe('2026-09');
  const months = fc.tuple(fc.integer({ min: 1, max: 9998 }), fc.integer({ min: 1, max: 12 }));
  fc.assert(
    fc.property(months, ([year, month]) => {
      let text = `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}`;
      const last = text;
      for (let i = 0; i < 12; i++) text = monthBefore(text);
      expect(Number(last.slice(0, 4)) - Number(text.slice(0, 4))).toBe(1);
      expect(text.slice(4)).toBe(last.slice(4));
    }),
  );
});

it.each([
  ['2026-11-22T23:59:59Z', 'today'],
  ['2026-11-23T00:00:00Z', 'tomorrow'],
  ['2026-11-21T23:59:59Z', 'yesterday'],
  ['2026-12-01', 'in 9 days'],
  ['2026-11-12T00:00:00Z', '10 days ago'],
])('counts the days to %s as %s', (instant, text) => {
  expect(daysAway(instant, now)).toBe(text);
});

describe('how fresh an answer is', () => {
  const live = { as_of: '2026-11-22T10:41:30Z', saved: false };

  it('is live for a minute after it came, even where the clocks differ', () => {
    expect(freshness(live, now.getTime() - 60_000, now)).toMatchObject({ kind: 'live', text: 'Live' });
    expect(freshness({ as_of: '2020-01-01T00:00:00Z', saved: false }, now.getTime(), now).kind).toBe('live');
    expect(freshness(live, now.getTime() - 60_001, now)).toMatchObject({ kind: 'quiet', text: 'As of 10:41' });
  });

  it('names the time of a saved copy, and its day after a day', () => {
    expect(freshness({ as_of: '2026-11-22T08:15:00Z', saved: true }, now.getTime(), now)).toMatchObject({
      kind: 'saved',
      text: 'Saved copy, 08:15',
    });
    expect(freshness({ as_of: '2026-11-21T10:42:00Z', saved: true }, now.getTime(), now).kind).toBe('saved');
    expect(freshness({ as_of: '2026-11-21T10:41:59Z', saved: true }, now.getTime(), now)).toMatchObject({
      kind: 'stale',
      text: 'Saved copy, 21 Nov',
    });
  });
});
