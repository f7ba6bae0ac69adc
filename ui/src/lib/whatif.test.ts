import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Assumptions, Forecast, ForecastMonth, Overview } from './backend';
import { sumMinor } from './money';
import {
  addPlan, check, csvOf, decimal, type Draft, draftOf, dropPlan, evenOut, isFine, milestones, MOST_PLANS, nothingNew, parts,
  percentText, type PlanDraft, rateText, readDraft, refusal, rowsOf, supposed,
} from './whatif';

const WHOLE = 1_000_000;
const sharesOf = (plans: PlanDraft[]) => plans.map(({ share }) => parts(share, 4) ?? Number.NaN);
const sum = (all: number[]) => all.reduce((a, b) => a + b, 0);

describe('a decimal', () => {
  it('is the same after it was written and read, at any size', () => {
    fc.assert(
      fc.property(fc.nat(999_999_999), fc.integer({ min: 0, max: 6 }), (value, places) => {
        expect(parts(decimal(value, places), places)).toBe(value);
      }),
    );
  });

  it('is refused where it is none, or finer than it can be', () => {
    expect(['1.5', '0', '05', '1.', '1.500', '50'].map((text) => parts(text, 3))).toEqual([1500, 0, 5000, 1000, 1500, 50_000]);
    for (const text of ['', '-1', '1e1', '1,5', 'x', '.5', '1.2345', '9999999999']) expect(parts(text, 3)).toBeNull();
  });

  it('is moved by two places between a rate and a percentage', () => {
    fc.assert(
      fc.property(fc.nat(WHOLE), (rate) => {
        expect(rateText(percentText(decimal(rate, 6)))).toBe(decimal(rate, 6));
      }),
    );
    expect([rateText('2.5'), rateText('0'), rateText('100'), rateText('100.01'), rateText('1.23456'), percentText('0.066')]).toEqual([
      '0.025', '0', '1', null, null, '6.6',
    ]);
  });
});

describe('a mix of plans', () => {
  const typed = fc.oneof(fc.nat(1000).map(String), fc.nat(2_000_000).map((n) => decimal(n, 4)), fc.constantFrom('', 'x', '-3', '0'));
  const plan: fc.Arbitrary<PlanDraft> = fc.record({ interval: fc.constantFrom('month', 'year'), price: fc.constant('$500.00'), share: typed });
  const plans = fc.array(plan, { minLength: 1, maxLength: MOST_PLANS });

  const holds = (all: PlanDraft[]) => {
    expect(sum(sharesOf(all))).toBe(WHOLE);
    for (const share of sharesOf(all)) expect(share >= 10_000 && share % 10_000 === 0).toBe(true);
  };

  it('adds up to 100 once it is evened out, whatever was typed, and stays as it is from then on', () => {
    fc.assert(
      fc.property(plans, (some) => {
        const even = evenOut(some);
        holds(even);
        const { assumptions } = check({ newClients: '1', churn: '0', trialDays: '0', plans: even });
        expect(sum((assumptions?.plans ?? []).map(({ share }) => parts(share, 6) ?? Number.NaN))).toBe(WHOLE);
        expect(even.map(({ price, interval }) => [price, interval])).toEqual(some.map(({ price, interval }) => [price, interval]));
      }),
    );
  });

  it('keeps the order of its shares', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: MOST_PLANS }), (weights) => {
        const even = sharesOf(evenOut(weights.map((share) => ({ interval: 'month', price: '$1.00', share: String(share) }))));
        weights.forEach((a, i) => weights.forEach((b, j) => a > b && expect(even[i]).toBeGreaterThanOrEqual(even[j] ?? 0)));
      }),
    );
    const shares = (...of: string[]) => evenOut(of.map((share) => ({ interval: 'month', price: '', share }))).map(({ share }) => share);
    expect([shares('', '', ''), shares('50', '30'), shares('100')]).toEqual([['34', '33', '33'], ['62', '38'], ['100']]);
  });

  it('adds up to 100 after a plan came or went', () => {
    fc.assert(
      fc.property(plans, fc.nat(MOST_PLANS - 1), (some, at) => {
        holds(addPlan(some.slice(0, MOST_PLANS - 1)));
        const rest = dropPlan(some, at % some.length);
        expect(rest).toHaveLength(some.length - 1);
        if (rest.length > 0) holds(rest);
      }),
    );
    holds(addPlan([]));
  });
});

describe('assumptions', () => {
  const usual: Assumptions = {
    new_clients_per_month: '1.166', monthly_churn: '0.037', trial_days: 14, months: 24,
    plans: [{ interval: 'month', amount_minor: 50_000, share: '0.54' }, { interval: 'year', amount_minor: 600_000, share: '0.46' }],
  };
  const draft: Draft = draftOf(usual);

  it('are the same after they were shown', () => {
    expect(draft).toEqual({
      newClients: '1.166', churn: '3.7', trialDays: '14',
      plans: [{ interval: 'month', price: '$500.00', share: '54' }, { interval: 'year', price: '$6,000.00', share: '46' }],
    });
    expect(check(draft).assumptions).toEqual(usual);
    expect(readDraft(JSON.stringify(draft))).toEqual(draft);
  });

  it('say what is wrong where it is', () => {
    const [first, second] = draft.plans as [PlanDraft, PlanDraft];
    const wrong = (change: Partial<Draft>) => {
      const { assumptions, problems } = check({ ...draft, ...change });
      expect(assumptions).toBeNull();
      expect(isFine(problems)).toBe(false);
      return problems;
    };
    expect(wrong({ newClients: '201' }).newClients).toMatch(/0 to 200/);
    expect(wrong({ churn: '' }).churn).toMatch(/0 to 100/);
    expect(wrong({ trialDays: '1.5' }).trialDays).toMatch(/Whole days/);
    expect(wrong({ plans: [] }).plans).toMatch(/need a plan/);
    expect(wrong({ plans: [first, { ...second, share: '36.5' }] }).plans).toBe('The shares add up to 90.5 %, 9.5 % short of 100 %.');
    expect(wrong({ plans: [first, { ...second, share: '50' }] }).plans).toBe('The shares add up to 104 %, 4 % more than 100 %.');
    expect(wrong({ plans: [first, { ...second, share: '0' }] }).rows[1]?.share).toMatch(/above 0 %/);
    expect(wrong({ plans: [first, { ...second, price: '$0.00' }] }).rows).toEqual([{}, { price: expect.stringMatching(/\$500\.00/) as string }]);
    expect(wrong({ plans: [first, { ...second, price: '$10,000,000.01' }] }).rows[1]?.price).toMatch(/at most/);
  });

  it('need no plans where nothing new comes', () => {
    expect(check({ ...draft, newClients: '0', plans: [{ interval: 'month', price: '', share: '' }] }).assumptions?.plans).toEqual([]);
    expect(nothingNew(usual)).toEqual({ ...usual, new_clients_per_month: '0', plans: [], trial_days: 0 });
  });

  it('are forgotten where what was kept makes no sense', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(readDraft(text)).toBeNull();
      }),
    );
    for (const kept of [null, '{}', JSON.stringify({ ...draft, plans: [{}] }), JSON.stringify({ ...draft, churn: '900' })]) {
      expect(readDraft(kept)).toBeNull();
    }
  });

  it('are put in a sentence', () => {
    expect(supposed(usual)).toBe('With 1.166 new clients a month after 14 free days, 3.7 % leaving a month.');
    expect(supposed({ ...usual, new_clients_per_month: '0', monthly_churn: '0' })).toBe('With no new clients, nobody leaving.');
    expect(supposed({ ...usual, new_clients_per_month: '1', trial_days: 1 })).toBe('With 1 new client a month after 1 free day, 3.7 % leaving a month.');
  });

  it('show a refusal at the field that it names', () => {
    const said = (rest: string) => refusal(`There is no forecast: field \`${rest}.`, 2);
    expect(said('monthly_churn` must be from 0 to 1')).toEqual({ churn: 'This must be from 0 to 1.', rows: [{}, {}] });
    expect(said('plans[1].share` must be above 0')?.rows).toEqual([{}, { share: 'This must be above 0.' }]);
    expect(said('plans[1].amount_minor` must be from 1')?.rows[1]).toEqual({ price: 'This must be from 1.' });
    expect(said('plans` must have shares')?.plans).toBe('This must have shares.');
    expect(said('months` must be from 1')).toBeNull();
    expect(refusal('Too many forecasts were asked for.', 2)).toBeNull();
  });
});

describe('a forecast', () => {
  const amount = fc.nat(5_000_000_000);
  const month: fc.Arbitrary<ForecastMonth> = fc
    .tuple(amount, amount, amount, amount, amount, amount, amount)
    .map(([first_year_minor, recurring_minor, volume_bonus_minor, high_value_bonus_minor, back, forfeited_minor, payout_minor]) => ({
      from: '2026-11-28T09:41:50Z', until: '2026-12-01T00:00:00Z',
      earned: {
        first_year_minor, recurring_minor, volume_bonus_minor, high_value_bonus_minor, reversal_minor: back === 0 ? 0 : -back,
        total_minor: first_year_minor + recurring_minor + volume_bonus_minor + high_value_bonus_minor - back,
      },
      forfeited_minor, payout_minor, vested_minor: 0, pending_minor: 0, held_minor: 0, balance_minor: 0,
      active_clients: 1, mrr_minor: 50_000, tier: 'standard', quarter: '2026-Q4', quarter_reached: false,
    }));
  const of = (months: ForecastMonth[], due_now_minor = 0): Forecast => ({ tier: 'standard', months, due_now_minor }) as Forecast;

  it('has months whose parts add up to what they earn, and payouts that add up to what is paid', () => {
    fc.assert(
      fc.property(fc.array(month, { minLength: 1, maxLength: 24 }), amount, (months, dueNow) => {
        const rows = rowsOf(of(months, dueNow));
        for (const row of rows) {
          expect(row.firstYearMinor + row.recurringMinor + row.bonusesMinor + row.lostMinor).toBe(row.totalMinor);
          expect(row.lostMinor).toBeLessThanOrEqual(0);
        }
        const earned = sumMinor(months.map((m) => m.earned.total_minor)) - sumMinor(months.map((m) => m.forfeited_minor));
        expect(sumMinor(rows.map((row) => row.totalMinor))).toBe(earned);
        expect(sumMinor(rows.map((row) => row.payoutMinor))).toBe(sumMinor(months.map((m) => m.payout_minor)) + BigInt(dueNow));
      }),
    );
  });

  it('is a file in which every amount is exact', () => {
    fc.assert(
      fc.property(fc.array(month, { minLength: 1, maxLength: 24 }), (months) => {
        const rows = rowsOf(of(months));
        const [head, ...lines] = csvOf(rows).trimEnd().split('\r\n').map((line) => line.split(','));
        expect(lines).toHaveLength(rows.length);
        lines.forEach((cells, index) => {
          expect(cells).toHaveLength(head?.length ?? 0);
          expect(cells[1]).toMatch(/^\d+\.\d\d$/);
          expect(BigInt((cells[4] ?? '').replace('.', ''))).toBe(BigInt(rows[index]?.lostMinor ?? 0));
          expect(BigInt((cells[5] ?? '').replace('.', ''))).toBe(BigInt(rows[index]?.totalMinor ?? 0));
        });
      }),
    );
  });

  const at = (from: string, quarter: string, tier: ForecastMonth['tier'], quarter_reached: boolean) =>
    ({ from: `${from}-01T00:00:00Z`, quarter, tier, quarter_reached }) as ForecastMonth;
  const overview = {
    volume: { quarter: '2026-Q4', needed: 5, reached_at: null }, volume_rate: '0.05',
    platinum: { referrals_needed: 20, arr_minor_needed: 5_000_000, worth_minor_per_month: 22_500 },
  } as Overview;
  const titles = (months: ForecastMonth[], known: Overview | null = overview) => milestones(of(months), known).map(({ title }) => title);
  const none = at('2026-12', '2026-Q4', 'standard', false);

  it('says when the volume bonus and platinum are reached first', () => {
    const months = [none, at('2027-03', '2027-Q1', 'standard', true), at('2027-06', '2027-Q2', 'platinum', false)];
    expect(milestones(of(months), overview)).toEqual([
      { title: 'Volume bonus in March 2027', text: '5 new clients of 2027 Q1 have paid by then: +5 points.', reached: true },
      {
        title: 'Platinum from June 2027',
        text: "Better rates on every payment from then on. On today's clients: $225.00 a month more.",
        reached: true,
      },
    ]);
    expect(titles(months, null)).toEqual(['Volume bonus in March 2027', 'Platinum from June 2027']);
  });

  it('leaves out a bonus that platinum replaces', () => {
    expect(titles([none, at('2027-06', '2027-Q2', 'platinum', true)])).toEqual(['Platinum from June 2027']);
    expect(milestones({ ...of([none]), tier: 'platinum' }, overview)).toHaveLength(1);
  });

  it('says what is reached already, and what is not', () => {
    expect(titles([none])).toEqual(['No volume bonus within 24 months', 'No platinum within 24 months']);
    const reached = { ...overview, volume: { ...overview.volume, reached_at: '2026-11-02T00:00:00Z' } };
    expect(titles([at('2026-11', '2026-Q4', 'standard', true)], reached)).toEqual(['Volume bonus of 2026 Q4', 'No platinum within 24 months']);
  });
});
