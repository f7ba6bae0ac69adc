import { expect, it, vi } from 'vitest';
import type { Computer, Event } from './backend';
import { listen } from './computer';

const nobody = {} as Computer;

it('tells each event once, in order, and survives a question that fails', async () => {
  vi.useFakeTimers();
  const asked: number[] = [];
  const answers: (() => { last: number; events: Event[] })[] = [
    () => ({ last: 2, events: [{ kind: 'open', address: '#/payouts' }, { kind: 'keys' }] }),
    () => {
      throw new Error('gone for a moment');
    },
    () => ({ last: 2, events: [] }),
    () => ({ last: 3, events: [{ kind: 'locked' }] }),
  ];
  const seen: string[] = [];
  const computer: Computer = {
    ...nobody,
    events: (after) => {
      asked.push(after);
      const answer = answers.shift();
      return answer === undefined ? new Promise(() => undefined) : new Promise((resolve) => resolve(answer()));
    },
  };
  const stop = listen(computer, (event) => seen.push(event.kind));
  await vi.advanceTimersByTimeAsync(5_000);
  expect(seen).toEqual(['open', 'keys', 'locked']);
  expect(asked).toEqual([0, 2, 2, 2, 3]);
  stop();
  vi.useRealTimers();
});
