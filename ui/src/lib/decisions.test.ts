import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Account, Client, Link, Run, RunState } from './backend';
import { axisLabel, type Column, monthLabel, move, scaleOf, stack } from './bars';
import { clientWord, orderKey, ORDERS, pressed, START, tenureText } from './clients';
import { KEYS, readKey, type Who } from './keys';
import { disclosures, filterLinks, pathProblem, previewLink, utmOf } from './links';
import { movesOnItsOwn, nextDeed, notPaidSummary, shortHash, stepIndex, turns, waterfall } from './runs';
import { plural } from './words';

const now = new Date('2026-11-22T10:00:00Z');

describe('keys', () => {
  const type = (keys: string[], who: Who, gapMs = 100) => {
    let pending: Parameters<typeof readKey>[0] = null;
    return keys.map((key, index) => {
      const read = readKey(pending, key, index * gapMs, who);
      pending = read.pending;
      return read.deed;
    });
  };

  it('reads single keys and sequences', () => {
    expect(type(['c'], 'partner')).toEqual(['copy_link']);
    expect(type(['g', 'c'], 'partner')).toEqual([null, 'go_clients']);
    expect(type(['G', 'O'], 'partner')).toEqual([null, 'go_overview']);
    expect(type(['?'], 'staff')).toEqual(['sheet']);
  });

  it('gives up a sequence that is slow or wrong', () => {
    expect(type(['g', 'c'], 'partner', 5000)).toEqual([null, 'copy_link']);
    expect(type(['g', 'x', 'c'], 'partner')).toEqual([null, null, 'copy_link']);
  });

  it('keeps to the pages of the role', () => {
    expect(type(['g', 'r'], 'partner')).toEqual([null, null]);
    expect(type(['c'], 'staff')).toEqual([null]);
    expect(type(['g', 'r'], 'staff')).toEqual([null, 'go_runs']);
    expect(type(['g', 's'], 'partner')).toEqual([null, 'go_resources']);
    expect(type(['g', 'm'], 'staff')).toEqual([null, null]);
    expect(type(['g', 'm', 'g', 'r'], 'librarian')).toEqual([null, 'go_material', null, 'go_runs']);
    expect(type(['g', 's'], 'librarian')).toEqual([null, null]);
  });

  it('has no key that is hidden behind another', () => {
    for (const { keys } of KEYS) expect(KEYS.filter((other) => other.keys.startsWith(`${keys} `))).toEqual([]);
  });
});

describe('a run', () => {
  const run = (state: RunState, more: Partial<Run> = {}): Run => ({
    summary: {
      run: 'r', period: '2026-10', as_of: '2026-11-01T00:00:00Z', state, version: 1, run_hash: 'h', total_minor: 100, items: 1,
      not_paid: 0, paid_minor: 0, drafted_at: '2026-11-01T00:00:01Z', done_at: null,
    },
    previous_total_minor: null, items: [], not_paid: [], approvals: [], approvals_needed: 1,
    progress: { queued: 1, sending: 0, unknown: 0, review: 0, paid: 0, void: 0 }, grant: null,
    difference: [], begun: false, halted: null, closed: null, notes: [],
    ...more,
  });
  const who = (role: Account['role']): Account => ({ user: 'u', email: 'me@x.example', role, partner: null, auth_at: '' });
  const STATES: RunState[] = ['draft', 'sealing', 'sealed', 'approved', 'sending', 'done'];

  it('can be turned back until it has begun, and closed from then on', () => {
    const grant = { expires_at: '', executor_seen_at: null };
    const begun = { queued: 1, sending: 1, unknown: 0, review: 0, paid: 0, void: 0 };
    expect(STATES.map((state) => turns(run(state), who('finance')))).toEqual([
      ['discard'], ['discard'], ['unseal', 'discard'], ['unseal', 'discard'], ['unseal', 'discard'], [],
    ]);
    expect(turns(run('sending', { grant }), who('finance'))).toEqual(['pause', 'unseal', 'discard']);
    expect(turns(run('sending', { grant, begun: true, progress: begun }), who('finance'))).toEqual(['pause', 'close']);
    expect(turns(run('sending', { begun: true, progress: { ...begun, queued: 0 } }), who('finance'))).toEqual([]);
    for (const role of ['staff', 'admin', 'auditor'] as const) expect(STATES.flatMap((state) => turns(run(state), who(role)))).toEqual([]);
  });

  it('shows the way from one total to the next without a gap', () => {
    const minor = fc.integer({ min: -1e9, max: 1e9 });
    fc.assert(
      fc.property(fc.nat(1e9), fc.array(minor, { maxLength: 7 }), (before, steps) => {
        const bars = waterfall(before, steps);
        expect(bars).toHaveLength(steps.length + 2);
        for (const { left, width } of bars) {
          expect(left).toBeGreaterThanOrEqual(0);
          expect(left + width).toBeLessThanOrEqual(1 + 1e-9);
        }
        steps.forEach((step, index) => {
          // A bar begins where the one before ended.
          const [of, next] = [bars[index], bars[index + 1]];
          const from = index === 0 || (steps[index - 1] ?? 0) > 0 ? (of?.left ?? 0) + (of?.width ?? 0) : (of?.left ?? 0);
          const start = step > 0 ? (next?.left ?? 0) : (next?.left ?? 0) + (next?.width ?? 0);
          expect(start).toBeCloseTo(from, 9);
        });
      }),
    );
  });

  it('offers finance one deed at each state, in order', () => {
    expect(STATES.map((state) => nextDeed(run(state), who('finance')).deed)).toEqual(['seal', 'reseal', 'approve', 'send', 'resend', 'none']);
  });

  it('offers nobody else anything', () => {
    for (const role of ['staff', 'admin', 'auditor', 'owner', 'member'] as const) {
      for (const state of STATES) expect(nextDeed(run(state), who(role)).deed).toBe('none');
    }
  });

  it('does not ask the same person twice', () => {
    const approvals = [{ by: 'me@x.example', at: '' }];
    expect(nextDeed(run('sealed', { approvals, approvals_needed: 2 }), who('finance'))).toEqual({
      deed: 'none',
      text: 'You have approved it. One more person must.',
    });
  });

  it('does not send again while a grant is good', () => {
    const grant = { expires_at: '2026-11-22T11:00:00Z', executor_seen_at: null };
    expect(nextDeed(run('sending', { grant }), who('finance')).deed).toBe('none');
  });

  it('goes through its steps and moves by itself in between', () => {
    expect(STATES.map(stepIndex)).toEqual([0, 0, 1, 2, 3, 4]);
    expect(STATES.filter(movesOnItsOwn)).toEqual(['sealing', 'sending']);
  });

  it('says shortly who is not paid and how its seal begins', () => {
    const one = (reason: 'debt' | 'no_account') => ({ partner: '', name: '', balance_minor: 0, waiting_minor: 0, reason, text: '', recovered_in: null });
    expect(notPaidSummary([one('debt'), one('no_account'), one('no_account')])).toBe('2 no account, 1 in debt');
    expect(shortHash('9f2c41ab77e0ffff')).toBe('9f2c·41ab·77e0');
  });
});

describe('a link', () => {
  const utm = { source: 'mail', medium: null, campaign: 'Spring sale' };

  it('is shown as it will be', () => {
    expect(previewLink('https://go.example/r/halcyon', 'PARTNER_1', 'id', '/pricing?plan=pro&ref=OTHER', utm)).toEqual({
      share: 'https://go.example/r/halcyon?l=id',
      leadsTo: '/pricing?plan=pro&ref=PARTNER_1&utm_source=mail&utm_campaign=Spring+sale',
    });
  });

  it('leads to a path and nowhere else', () => {
    for (const path of ['/', '/pricing', '/a/b?c=d']) expect(pathProblem(path)).toBeNull();
    for (const path of ['', 'pricing', '//evil.example', '/\\evil', 'https://evil.example', '/a@b', '/a b']) {
      expect(pathProblem(path)).not.toBeNull();
    }
    const typed = { source: ' mail ', medium: '', campaign: '  ', content: '', term: '' };
    expect(utmOf(typed)).toEqual({ source: 'mail', medium: null, campaign: null });
    expect(utmOf({ ...typed, content: 'top ', term: 'ai' })).toEqual({ source: 'mail', medium: null, campaign: null, content: 'top', term: 'ai' });
  });

  it('is found by words, without a thought for accents', () => {
    const link: Link = { id: 'l', campaign: 'Frühjahr', path: '/pricing', utm, url: '', created_at: '', clicks: 0, signups: 0, archived: false };
    expect(['fruhjahr', 'FRÜH pricing', 'sale', '  '].map((filter) => filterLinks([link], filter).length)).toEqual([1, 1, 1, 1]);
    expect(filterLinks([link], 'fruhjahr zz')).toEqual([]);
  });

  it('has its disclosure in three lengths, with the words of the terms as they are', () => {
    const { short, post, long } = disclosures('We may receive a commission.', 'Studio Halcyon');
    expect(post).toBe('We may receive a commission.');
    expect([long.includes(post), long.includes('Studio Halcyon'), short.length < 40]).toEqual([true, true, true]);
  });
});

describe('a client', () => {
  const client: Client = {
    referral: 'r_1', name: 'Fjord Outfitters', signed_up_at: '2026-10-01T00:00:00Z', status: 'active', annual_price_minor: 600_000,
    tenure_month: 2, first_year_months: 12, rate: '0.20', turns_recurring_at: '2027-10-03T00:00:00Z', vests_at: '2026-12-02T00:00:00Z', flags: [], under_review: false,
    this_month_minor: 10_000, earned_minor: 20_000,
  };

  it('says first what keeps its money from being due', () => {
    expect(clientWord(client, now).text).toBe('Vests 2 Dec');
    expect(clientWord({ ...client, under_review: true }, now).text).toBe('Under review');
    expect(clientWord({ ...client, vests_at: '2026-11-22T09:00:00Z' }, now).text).toBe('Active');
    expect(clientWord({ ...client, status: 'canceled' }, now).text).toBe('Cancelled');
  });

  it('says where it is in its tenure', () => {
    expect(tenureText(client, now)).toBe('2 of 12 at 20 %');
    expect(tenureText({ ...client, rate: null }, now)).toBe('2 of 12');
    expect(tenureText({ ...client, tenure_month: 13, rate: '0.10', turns_recurring_at: '2026-11-01T00:00:00Z' }, now)).toBe('13, 10 % for life');
    expect(tenureText({ ...client, tenure_month: null, turns_recurring_at: null }, now)).toBe('not paying yet');
  });

  it('is put in order by a press on a column, and the other way round by the next', () => {
    expect(pressed(START, 'name')).toEqual({ sort: 'name', ascending: true });
    expect(pressed(START, 'earned')).toEqual({ sort: 'earned', ascending: false });
    expect(pressed(pressed(START, 'earned'), 'earned')).toEqual({ sort: 'earned', ascending: true });
    const keys = ORDERS.map(({ order }) => orderKey(order));
    expect(new Set(keys).size).toBe(keys.length);
    for (const { order } of ORDERS) expect(keys).toContain(orderKey(pressed(order, order.sort)));
  });
});

describe('the chart', () => {
  const amount = fc.integer({ min: -5_000_000, max: 50_000_000 });
  const column: fc.Arbitrary<Column> = fc.record({ key: fc.constant('2026-10'), valuesMinor: fc.array(amount, { minLength: 3, maxLength: 4 }) });

  it('stacks to the sum of the parts, without gaps', () => {
    fc.assert(
      fc.property(column, (one) => {
        const pieces = stack(one);
        expect(pieces.reduce((sum, { fromMinor, toMinor }) => sum + toMinor - fromMinor, 0)).toBe(one.valuesMinor.reduce((a, b) => a + b, 0));
        for (const { series, fromMinor, toMinor } of pieces) expect(toMinor - fromMinor).toBe(one.valuesMinor[series]);
        for (const side of [pieces.filter(({ toMinor }) => toMinor > 0), pieces.filter(({ toMinor }) => toMinor < 0)]) {
          side.forEach(({ fromMinor }, index) => expect(fromMinor).toBe(side[index - 1]?.toMinor ?? 0));
        }
      }),
    );
  });

  it('fits its scale', () => {
    fc.assert(
      fc.property(fc.array(amount, { maxLength: 24 }), (amounts) => {
        const { lowMinor, highMinor, ticksMinor } = scaleOf(amounts);
        for (const one of amounts) expect(one >= lowMinor && one <= highMinor).toBe(true);
        expect(highMinor).toBeGreaterThan(lowMinor);
        expect(ticksMinor).toContain(0);
        expect(ticksMinor.length).toBeGreaterThanOrEqual(2);
        expect(ticksMinor.length).toBeLessThanOrEqual(7);
      }),
    );
  });

  it('names as many months as there is space for, and years among many', () => {
    const names = (slot: number, many: number) => ['2026-11', '2026-12', '2027-01', '2027-02', '2027-03'].map((month) => monthLabel(month, slot, many));
    expect(names(40, 24)).toEqual(['Nov', 'Dec', 'Jan', 'Feb', 'Mar']);
    expect(names(20, 12)).toEqual(['N', 'D', 'J', 'F', 'M']);
    expect(names(20, 24)).toEqual(['Nov', null, '2027', null, 'Mar']);
    expect(names(8, 24)).toEqual([null, null, '2027', null, null]);
  });

  it('is gone through by keys, and never left', () => {
    const keys = fc.constantFrom('ArrowRight', 'ArrowLeft', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'Escape');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.array(keys), (many, pressed) => {
        let at: number | null = null;
        for (const key of pressed) {
          const to = move(at, key, many);
          if (to !== undefined) at = to;
          expect(at === null || (at >= 0 && at < many)).toBe(true);
        }
      }),
    );
    expect([move(null, 'ArrowRight', 24), move(0, 'ArrowRight', 24), move(1, 'ArrowLeft', 24), move(3, 'End', 24)]).toEqual([0, 1, 0, 23]);
    expect([move(3, 'Escape', 24), move(null, 'Escape', 24), move(3, 'Tab', 24), move(null, 'End', 0)]).toEqual([null, undefined, undefined, undefined]);
  });

  it('labels its axis shortly', () => {
    expect([0, 150_000, 2_000_000, -50_000, 250_000_000_000, 1_000_000_000_000].map(axisLabel)).toEqual(['$0', '$1,500', '$20k', '\u2212$500', '$2,500m', '$10bn']);
  });
});

it('counts things', () => {
  expect([plural(0, 'line'), plural(1, 'line'), plural(1200, 'line')]).toEqual(['0 lines', '1 line', '1,200 lines']);
});
