import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Answer, CallError } from './backend';
import { freshness } from './freshness';
import { keepFresh, Query } from './query.svelte';
import { isAway, waitMs } from './retry';

const answer = (data: number, more: Partial<Answer<number>> = {}): Answer<number> => ({ data, as_of: '2026-11-22T10:00:00Z', saved: false, ...more });
const away = () => new CallError('offline', 'Out of reach.');

describe('the next look', () => {
  it('comes after 1, 2, 4 … 30 seconds while the API is away, and never later', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 50].map((misses) => waitMs(misses, 60_000, 0))).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    fc.assert(
      fc.property(fc.nat(1000), fc.double({ min: 0, max: 1, noNaN: true }), (misses, luck) => {
        const wait = waitMs(misses + 1, 5000, luck);
        expect(wait).toBeGreaterThanOrEqual(750);
        expect(wait).toBeLessThanOrEqual(30_000);
      }),
    );
    expect(waitMs(0, 5000, 1)).toBe(5000);
  });

  it('is soon for a saved copy and for an API that is out of reach, and for nothing else', () => {
    expect(isAway({ answer: { saved: true }, error: null })).toBe(true);
    expect(isAway({ answer: { saved: false }, error: null })).toBe(false);
    expect(isAway({ answer: { saved: false }, error: away() })).toBe(true);
    expect(isAway({ answer: null, error: { code: 'unavailable' } })).toBe(true);
    for (const code of ['forbidden', 'not_found', 'signed_out', 'too_many', 'invalid'] as const) expect(isAway({ answer: null, error: { code } })).toBe(false);
  });
});

describe('a question', () => {
  it('keeps what is on the screen in a browser when the API goes away', async () => {
    const fetch = vi.fn<() => Promise<Answer<number>>>().mockResolvedValueOnce(answer(1)).mockRejectedValueOnce(away());
    const query = new Query(fetch);
    await query.reload();
    await query.reload();
    expect([query.data, query.error?.code]).toEqual([1, 'offline']);
  });

  it('shows nothing where the host has no copy to trust', async () => {
    const fetch = vi.fn<() => Promise<Answer<number>>>().mockResolvedValueOnce(answer(1)).mockRejectedValueOnce(away());
    const query = new Query(fetch, true);
    await query.reload();
    await query.reload();
    expect([query.data, query.error?.code]).toEqual([null, 'offline']);
  });

  it('shows no figure of a copy that does not hold together, and shows the next good one', async () => {
    const broken = new CallError('offline', 'It does not hold together.', null, true);
    const fetch = vi.fn<() => Promise<Answer<number>>>()
      .mockResolvedValueOnce(answer(1))
      .mockResolvedValueOnce(answer(2, { saved: true, untrusted: true }))
      .mockResolvedValueOnce(answer(3))
      .mockRejectedValueOnce(broken);
    const query = new Query(fetch);
    const seen: unknown[] = [];
    for (let look = 0; look < 4; look++) {
      await query.reload();
      seen.push([query.data, query.error?.untrusted ?? false]);
    }
    expect(seen).toEqual([[1, false], [null, true], [3, false], [null, true]]);
    expect(freshness(answer(1, { saved: true, untrusted: true }), 0, new Date()).kind).toBe('untrusted');
  });
});

describe('keeping fresh', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    const events = { addEventListener: vi.fn(), removeEventListener: vi.fn() };
    vi.stubGlobal('window', events);
    vi.stubGlobal('document', { ...events, visibilityState: 'visible' });
    vi.spyOn(Math, 'random').mockReturnValue(0);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it('finds out by itself that the API is back', async () => {
    const fetch = vi.fn<() => Promise<Answer<number>>>()
      .mockRejectedValueOnce(away())
      .mockResolvedValueOnce(answer(1, { saved: true }))
      .mockResolvedValue(answer(2));
    const query = new Query(fetch);
    const stop = keepFresh(query, 60_000);
    await vi.advanceTimersByTimeAsync(0);
    expect(query.error?.code).toBe('offline');
    await vi.advanceTimersByTimeAsync(1000);
    expect(query.answer?.saved).toBe(true);
    await vi.advanceTimersByTimeAsync(2000);
    expect([query.answer?.saved, query.data]).toEqual([false, 2]);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(fetch).toHaveBeenCalledTimes(3);
    await vi.advanceTimersByTimeAsync(1000);
    expect(fetch).toHaveBeenCalledTimes(4);
    stop();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(fetch).toHaveBeenCalledTimes(4);
  });
});
