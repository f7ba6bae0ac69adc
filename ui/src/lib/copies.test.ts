import { expect, it } from 'vitest';
import type { CopyState } from './backend/natives';
import { copyLine, copyText, verifiedText } from './copies';

const ready: CopyState = {
  state: 'ready',
  as_of: '2026-11-28T09:14:00Z',
  rows: 1284,
  progress: null,
  pending: [],
  rejected: [],
  verified: { state: 'verified', as_of: '2026-11-28T09:14:00Z' },
  trouble: null,
};
const act = { mid: '1', name: 'create_link', what: 'Make the link «Spring»' };
const pending = [{ ...act, made_at: '2026-11-28T09:15:00Z' }];
const now = new Date('2026-11-28T10:00:00Z');

it('says first what needs the person', () => {
  const refused = { ...ready, pending, rejected: [{ ...act, error: 'No.' }] };
  expect(copyLine(refused)).toEqual({ kind: 'bad', text: '1 change was refused' });
  expect(copyLine({ ...ready, pending: [...pending, ...pending] })).toEqual({ kind: 'waiting', text: '2 changes to be sent' });
  expect(copyLine({ ...ready, state: 'untrusted' })?.kind).toBe('bad');
  expect(copyLine({ ...ready, verified: { state: 'mismatch', as_of: '2026-11-28T09:14:00Z' } })?.kind).toBe('bad');
  expect(copyLine(ready)).toEqual({ kind: 'good', text: 'Verified here' });
});

it('shows how far a first copy is, and never that it is done before it is', () => {
  const syncing: CopyState = { ...ready, state: 'syncing', progress: { come: 100_000, of: 100_000 }, verified: null };
  expect(copyLine(syncing)?.text).toBe('Copying, 99 %');
  expect(copyLine({ ...syncing, progress: { come: 1, of: 0 } })?.text).toBe('Copying, 0 %');
});

it('says nothing where there is nothing', () => {
  const none: CopyState = { ...ready, state: 'none', as_of: null, rows: 0, verified: null };
  expect(copyLine(none)).toBeNull();
  expect(verifiedText(none, now)).toBeNull();
  expect(copyText({ ...none, pending }, now)).toContain('until it is sent');
});

it('names the time of the copy by the clock of the API', () => {
  expect(copyText(ready, now)).toContain('09:14 UTC');
  expect(verifiedText(ready, now)).toContain('Verified on this computer');
});
