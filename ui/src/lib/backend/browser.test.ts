import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { BrowserBackend, sayConfirmed } from './browser';

const ACCOUNT = { user: 'u', email: 'a@b.example', role: 'owner', partner: null, auth_at: '2026-11-22T10:00:00Z' };

type Seen = { url: string; bearer: string | null; body: string | null };
let seen: Seen[];
let answer: (request: Seen) => Response | Promise<Response>;

const json = (status: number, body: unknown, headers = {}) => new Response(JSON.stringify(body), { status, headers });
const session = (access_token: string) => json(200, { access_token, access_expires_in_s: 600, refresh_token: null, account: ACCOUNT });

beforeEach(() => {
  seen = [];
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    const request = { url, bearer: new Headers(init.headers).get('authorization'), body: (init.body ?? null) as string | null };
    seen.push(request);
    return Promise.resolve(answer(request));
  });
  vi.stubGlobal('navigator', {});
});
afterEach(() => vi.unstubAllGlobals());

it('says how old an answer is by the API\u2019s own header', async () => {
  answer = () => json(200, [], { 'aikit-as-of': '2026-11-22T10:42:00Z' });
  expect(await new BrowserBackend().call('links', {})).toEqual({ data: [], as_of: '2026-11-22T10:42:00Z', saved: false });
});

it('renews a session once for all calls that found it ended, and repeats each', async () => {
  answer = ({ url, bearer }) => {
    if (url === '/v1/demo/sessions') return session('old');
    if (url === '/v1/auth/refresh') return session('new');
    return bearer === 'Bearer new' ? json(200, []) : json(401, { code: 'signed_out', message: 'Sign in again.' });
  };
  const backend = new BrowserBackend();
  await backend.signInDemo('p');
  await Promise.all([backend.call('links', {}), backend.call('clients', {}), backend.call('payouts', {})]);
  expect(seen.filter(({ url }) => url === '/v1/auth/refresh')).toHaveLength(1);
  expect(seen.filter(({ bearer }) => bearer === 'Bearer new')).toHaveLength(3);
  expect(seen[0]?.body).toBe('{"person":"p","keep":"cookie"}');
});

it('repeats a call once and no more', async () => {
  answer = ({ url }) => (url.startsWith('/v1/auth') ? session('t') : json(401, { code: 'signed_out', message: 'Sign in again.' }));
  const backend = new BrowserBackend();
  await backend.signIn({ email: 'a@b.example', code: '123456' });
  await expect(backend.call('links', {})).rejects.toMatchObject({ code: 'signed_out' });
  expect(seen.filter(({ url }) => url === '/v1/links')).toHaveLength(2);
});

it('knows that nobody is signed in', async () => {
  answer = () => json(401, { code: 'signed_out', message: 'Sign in.' });
  expect(await new BrowserBackend().resume()).toBeNull();
});

it('forgets the access token at the end, even where the API is out of reach', async () => {
  answer = ({ url }) => (url === '/v1/auth/end' ? Promise.reject(new TypeError('network')) : session('secret'));
  const backend = new BrowserBackend();
  await backend.signInDemo('p');
  await expect(backend.signOut()).rejects.toMatchObject({ code: 'offline' });
  answer = () => json(200, []);
  await backend.call('demo_people', {});
  expect(seen.at(-1)?.bearer).toBeNull();
});

it('tells being out of reach from being refused, and never takes a stranger\u2019s page for an answer', async () => {
  const backend = new BrowserBackend();
  answer = () => Promise.reject(new TypeError('network'));
  await expect(backend.call('overview', {})).rejects.toMatchObject({ code: 'offline' });
  await expect(backend.call('draft_run', { period: '2026-10' })).rejects.toThrow(/not known whether/);
  answer = () => new Response('<html>Bad gateway</html>', { status: 502 });
  await expect(backend.call('overview', {})).rejects.toMatchObject({ code: 'unavailable' });
  answer = () => json(409, { code: 'changed', message: 'Look again.' });
  await expect(backend.call('overview', {})).rejects.toMatchObject({ code: 'changed', message: 'Look again.' });
  answer = () => json(500, { code: 'made up', message: 'x' });
  await expect(backend.call('overview', {})).rejects.toMatchObject({ code: 'unavailable' });
});

it('goes to the issuer and comes back to the page that it left', async () => {
  const assign = vi.fn();
  vi.stubGlobal('location', { hash: '#/runs', assign });
  answer = () => json(200, { url: 'https://api.example/v1/auth/oidc/go/x', expires_in_s: 600 });
  void new BrowserBackend().signInAtIssuer(false);
  await vi.waitFor(() => expect(assign).toHaveBeenCalledWith('https://api.example/v1/auth/oidc/go/x'));
  expect(seen).toMatchObject([{ url: '/v1/auth/oidc', body: '{"return_to":"#/runs","confirm":false}' }]);
});

it('confirms in another window, so that the page keeps what was typed', async () => {
  const other = { location: { href: '' }, close: vi.fn() };
  vi.stubGlobal('window', { open: () => other, close: vi.fn() });
  answer = ({ url }) =>
    url === '/v1/auth/refresh' ? session('new') : json(200, { url: 'https://api.example/go', expires_in_s: 600 });
  const backend = new BrowserBackend();
  const confirmed = backend.signInAtIssuer(true);
  await vi.waitFor(() => expect(other.location.href).toBe('https://api.example/go'));
  sayConfirmed();
  expect(await confirmed).toEqual(ACCOUNT);

  const given = backend.signInAtIssuer(true);
  await vi.waitFor(() => expect(seen.filter(({ url }) => url === '/v1/auth/oidc')).toHaveLength(2));
  await vi.waitFor(async () => {
    await backend.stopWaiting();
    await expect(Promise.race([given, Promise.resolve('still waiting')])).rejects.toMatchObject({ code: 'step_up' });
  });
  expect(other.close).toHaveBeenCalled();
});

it('says so when the browser opens no window', async () => {
  vi.stubGlobal('window', { open: () => null });
  await expect(new BrowserBackend().signInAtIssuer(true)).rejects.toThrow(/Allow windows/);
  expect(seen).toHaveLength(0);
});

it('opens web addresses alone', async () => {
  const assign = vi.fn();
  vi.stubGlobal('location', { href: 'http://127.0.0.1:8787/', assign });
  const backend = new BrowserBackend();
  await expect(backend.open('javascript:alert(1)')).rejects.toMatchObject({ code: 'invalid' });
  await backend.open('https://connect.stripe.example/x');
  expect(assign.mock.calls).toEqual([['https://connect.stripe.example/x']]);
});
