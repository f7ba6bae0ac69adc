import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CALLS } from './bindings';
import { fileRequestOf, requestOf } from './request';

const ORIGIN = 'https://api.example';

describe('a request', () => {
  it('puts path parameters into the path and the rest into the body', () => {
    expect(requestOf('approve_run', { run: 'run:2026-10', run_hash: 'ab', version: 3, typed_total_minor: 3_841_250 })).toEqual({
      method: 'POST',
      url: '/v1/runs/run%3A2026-10/approve',
      body: '{"run_hash":"ab","version":3,"typed_total_minor":3841250}',
    });
    expect(requestOf('run_statement', { run: 'a', item: 'b' }).url).toBe('/v1/runs/a/items/b');
    expect(requestOf('overview', {})).toEqual({ method: 'GET', url: '/v1/overview', body: null });
    expect(requestOf('onboarding_link', {}).body).toBe('{}');
    expect(fileRequestOf('run_ledger', { run: '2026-10.1', set: 'xero' }).url).toBe('/v1/runs/2026-10.1/ledger.csv?set=xero');
  });

  it('keeps any id within its segment of the path', () => {
    const ids = fc.string({ minLength: 1, unit: fc.oneof(fc.constantFrom('.', '/', '\\', '%', '?', '#', ':', '@'), fc.string({ maxLength: 1 })) });
    fc.assert(
      fc.property(
        ids.filter((id) => id !== '' && id !== '.' && id !== '..' && id.isWellFormed()),
        (referral) => {
          const url = new URL(requestOf('client', { referral }).url, ORIGIN);
          expect([url.origin, url.search, url.hash]).toEqual([ORIGIN, '', '']);
          expect(url.pathname.split('/')).toHaveLength(4);
          expect(decodeURIComponent(url.pathname.split('/')[3] ?? '')).toBe(referral);
        },
      ),
    );
  });

  it('refuses an id that would climb out of its path, or none', () => {
    for (const referral of ['', '.', '..']) expect(() => requestOf('client', { referral })).toThrow(TypeError);
  });
});

it('knows a path below /v1 for every call', () => {
  for (const { path } of Object.values(CALLS)) expect(path).toMatch(/^\/v1\/[a-z/{}_-]+$/);
});
