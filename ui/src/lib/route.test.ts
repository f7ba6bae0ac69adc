import fc from 'fast-check';
import { expect, it } from 'vitest';
import { href, parseRoute, type Route } from './route';

const id = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => text.isWellFormed());
const route: fc.Arbitrary<Route> = fc.oneof(
  fc.constantFrom<Route>({ page: 'sign-in' }, { page: 'join' }, { page: 'overview' }, { page: 'links' }, { page: 'what-if' }, { page: 'runs' }, { page: 'reconciliation' }, { page: 'resources' }, { page: 'material' }, { page: 'settings' }),
  fc.record({ page: fc.constant('clients' as const), referral: fc.option(id) }),
  fc.record({ page: fc.constant('payouts' as const), item: fc.option(id) }),
  fc.record({ page: fc.constantFrom('reviews' as const, 'partners' as const), find: fc.array(fc.tuple(id, id)).map((pairs) => new URLSearchParams(pairs).toString()) }),
  fc.record({ page: fc.constant('partner' as const), partner: id }),
  fc.record({ page: fc.constant('run' as const), run: id, item: fc.option(id) }),
);

it('finds its way back from every address that it makes', () => {
  fc.assert(
    fc.property(route, (where) => {
      expect(parseRoute(href(where))).toEqual(where);
    }),
  );
});

it('makes something of any address', () => {
  fc.assert(
    fc.property(fc.string(), (address) => {
      expect(href(parseRoute(address))).toMatch(/^#\//);
    }),
  );
});

it.each([
  ['', { page: 'overview' }],
  ['#', { page: 'overview' }],
  ['#/', { page: 'overview' }],
  ['#/clients', { page: 'clients', referral: null }],
  ['#/runs/run_2026-10/items/x', { page: 'unknown' }],
  ['#/runs/r/PARTNER_1%3A2026-10', { page: 'run', run: 'r', item: 'PARTNER_1:2026-10' }],
  ['#/overview?utm_source=mail', { page: 'overview' }],
  ['#/clients/', { page: 'unknown' }],
  ['#/what-if', { page: 'what-if' }],
  ['#/what-if/x', { page: 'unknown' }],
  ['#/links/x', { page: 'unknown' }],
  ['#/%', { page: 'unknown' }],
  ['#/reviews?kind=burst', { page: 'reviews', find: 'kind=burst' }],
  ['#/partners?q=a%20b', { page: 'partners', find: 'q=a+b' }],
  ['#/partners/PARTNER_1?q=a', { page: 'partner', partner: 'PARTNER_1' }],
  ['#/partners/', { page: 'unknown' }],
  ['#/reviews/x', { page: 'unknown' }],
  ['#/nowhere', { page: 'unknown' }],
])('reads %s', (address, where) => {
  expect(parseRoute(address)).toEqual(where);
});
