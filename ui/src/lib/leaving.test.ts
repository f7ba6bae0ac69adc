import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Leaving } from './leaving.svelte';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('is gone from the screen at once and in truth later', async () => {
  const leaving = new Leaving();
  const deed = vi.fn(() => Promise.resolve());
  leaving.start('a', 6000, deed);
  expect(leaving.ids).toEqual(['a']);
  await vi.advanceTimersByTimeAsync(5999);
  expect(deed).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(deed).toHaveBeenCalledOnce();
  expect(leaving.ids).toEqual([]);
});

it('is taken back as if nothing had been', async () => {
  const leaving = new Leaving();
  const deed = vi.fn(() => Promise.resolve());
  const back = leaving.start('a', 6000, deed);
  leaving.start('b', 6000, () => Promise.resolve());
  back();
  expect(leaving.ids).toEqual(['b']);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(deed).not.toHaveBeenCalled();
});
