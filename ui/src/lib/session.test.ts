import { beforeEach, expect, it, vi } from 'vitest';
import { type Account, type Backend, CallError, type DemoPerson } from './backend';
import { Session, whoAmI } from './session.svelte';

const account = (user: string, role: Account['role'], name: string | null = null): Account => ({
  user,
  email: `${user}@x.example`,
  role,
  partner: name === null ? null : { code: 'PARTNER_1', name },
  auth_at: '2026-11-22T10:00:00Z',
});
const person = (id: string, role: DemoPerson['role'], name: string): DemoPerson => ({ person: id, role, name, about: '' });

let forget: ReturnType<typeof vi.fn<() => void>>;
let session: Session;

beforeEach(() => {
  forget = vi.fn<() => void>();
  const backend: Backend = {
    host: 'browser',
    money: null,
    computer: null,
    copies: null,
    call: () => Promise.reject(new CallError('offline', 'Not here.')),
    save: () => Promise.resolve(null),
    saveOwn: () => Promise.resolve(null),
    resume: () => Promise.resolve(null),
    signIn: ({ email }) => Promise.resolve(account(email, 'owner')),
    signInDemo: (id) => Promise.resolve(account(id, 'finance')),
    signInAtIssuer: () => Promise.resolve(account('at-issuer', 'finance')),
    stopWaiting: () => Promise.resolve(),
    signOut: () => Promise.reject(new CallError('offline', 'Out of reach.')),
    open: () => Promise.resolve(),
    banner: () => Promise.resolve(null),
  };
  session = new Session(backend, forget);
});

it('asks for a proof and then repeats the act, once', async () => {
  let tries = 0;
  const act = session.act(() => (++tries === 1 ? Promise.reject(new CallError('step_up', 'Confirm.')) : Promise.resolve('done')));
  await vi.waitFor(() => expect(session.proof).not.toBeNull());
  session.proof?.done(true);
  expect(await act).toBe('done');
  expect([tries, session.proof]).toEqual([2, null]);
});

it('does not repeat an act that was not confirmed', async () => {
  let tries = 0;
  const act = session.act(() => {
    tries++;
    return Promise.reject(new CallError('step_up', 'Confirm.'));
  });
  await vi.waitFor(() => expect(session.proof).not.toBeNull());
  session.proof?.done(false);
  await expect(act).rejects.toMatchObject({ code: 'step_up' });
  expect(tries).toBe(1);
});

it('lets every other refusal through', async () => {
  await expect(session.act(() => Promise.reject(new CallError('changed', 'Look again.')))).rejects.toMatchObject({ code: 'changed' });
});

it('goes to the sign-in page when the session has ended', async () => {
  await session.signInDemo('u');
  await expect(session.act(() => Promise.reject(new CallError('signed_out', 'Sign in.')))).rejects.toMatchObject({ code: 'signed_out' });
  expect(session.account).toBeNull();
  expect(session.farewell).toMatch(/ended/);
});

it('keeps what one person has seen from the next, and not from the same one', async () => {
  await session.signInDemo('u');
  forget.mockClear();
  await session.signInDemo('u');
  expect(forget).not.toHaveBeenCalled();
  await session.signInDemo('other');
  expect(forget).toHaveBeenCalledOnce();
});

it('signs out here even where the API is out of reach', async () => {
  await session.signInDemo('u');
  await expect(session.signOut()).rejects.toThrow();
  expect(session.account).toBeNull();
});

it('finds the demo person again after a reload, where that leaves one', () => {
  const people = [person('f1', 'finance', 'AIKit Finance'), person('a', 'owner', 'Ash'), person('b', 'owner', 'Birch')];
  expect(whoAmI(account('x', 'finance'), null, people)?.person).toBe('f1');
  expect(whoAmI(account('x', 'owner', 'Birch'), null, people)?.person).toBe('b');
  expect(whoAmI(account('x', 'finance'), null, [...people, person('f2', 'finance', 'Second')])).toBeNull();
  expect(whoAmI(account('x', 'finance'), 'f2', [...people, person('f2', 'finance', 'Second')])?.person).toBe('f2');
  expect(whoAmI(null, null, people)).toBeNull();
});

it('shows nothing of a session whose window is locked, until the person has proved themselves', async () => {
  await session.signInDemo('finn');
  const act = session.act(() => Promise.reject(new CallError('step_up', 'Confirm.')));
  await vi.waitFor(() => expect(session.proof).not.toBeNull());
  forget.mockClear();
  session.lock();
  await expect(act).rejects.toMatchObject({ code: 'step_up' });
  expect([session.locked, forget.mock.calls.length, session.account?.user]).toEqual([true, 1, 'finn']);
  await session.signInDemo('finn');
  expect(session.locked).toBe(false);

  session.lock();
  await session.signOut().catch(() => undefined);
  expect([session.locked, session.account]).toEqual([false, null]);
  session.lock();
  expect(session.locked, 'where nobody is signed in there is nothing to lock').toBe(false);
});
