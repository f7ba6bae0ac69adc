import type { Account, NotPaid, Run, RunItem, RunProgress, RunState } from './backend';
import { NOT_PAID } from './words';

/** The way of a run, as its page shows it. */
export const STEPS = ['Draft', 'Sealed', 'Approved', 'Sending', 'Done'] as const;

const STEP_OF: Record<RunState, number> = { draft: 0, sealing: 0, sealed: 1, approved: 2, sending: 3, done: 4 };

export function stepIndex(state: RunState): number {
  return STEP_OF[state];
}

/** Whether a run changes by itself, so that its page should look every second. */
export function movesOnItsOwn(state: RunState): boolean {
  return state === 'sealing' || state === 'sending';
}

/** What this person can do with a run now; otherwise what it waits for, in words. */
export type Next =
  | { deed: 'seal' | 'reseal' | 'approve' | 'send' | 'resend' }
  | { deed: 'none'; text: string | null };

export function nextDeed({ summary, approvals, approvals_needed, progress, grant }: Run, account: Account): Next {
  const finance = account.role === 'finance';
  const onlyFinance = (what: string): Next => ({ deed: 'none', text: `Only finance can ${what}.` });
  switch (summary.state) {
    case 'draft':
      return finance ? { deed: 'seal' } : onlyFinance('seal this draft');
    case 'sealing':
      return finance ? { deed: 'reseal' } : { deed: 'none', text: 'It is being sealed.' };
    case 'sealed': {
      const missing = approvals_needed - approvals.length;
      if (!finance) return onlyFinance('approve this run');
      if (approvals.some(({ by }) => by === account.email)) {
        return { deed: 'none', text: `You have approved it. ${missing === 1 ? 'One more person' : `${missing} more people`} must.` };
      }
      return { deed: 'approve' };
    }
    case 'approved':
      return finance ? { deed: 'send' } : onlyFinance('send this run');
    case 'sending':
      if (grant !== null || left(progress) === 0) return { deed: 'none', text: null };
      return finance ? { deed: 'resend' } : { deed: 'none', text: 'The time for sending has run out; finance can send the rest.' };
    case 'done':
      return { deed: 'none', text: null };
  }
}

/** What finance can do with a run beside going on with it. */
export type Turn = 'pause' | 'unseal' | 'discard' | 'close';

export function turns({ summary: { state }, begun, grant, progress }: Run, account: Account): Turn[] {
  if (account.role !== 'finance' || state === 'done') return [];
  if (state === 'draft' || state === 'sealing') return ['discard'];
  const now: Turn[] = state === 'sending' && grant !== null ? ['pause'] : [];
  if (!begun) return [...now, 'unseal', 'discard'];
  return progress.queued > 0 ? [...now, 'close'] : now;
}

/** Where the bars of a waterfall stand, in parts of its width. It leads from `before` by `steps` to what they add up to. */
export function waterfall(before: number, steps: number[]): { left: number; width: number }[] {
  let sum = before;
  const ends = steps.map((step) => ({ from: sum, to: (sum += step) }));
  const all = [{ from: 0, to: before }, ...ends, { from: 0, to: sum }];
  const points = all.flatMap(({ from, to }) => [from, to]);
  const [low, high] = [Math.min(...points), Math.max(...points)];
  const share = (minor: number) => (high === low ? 0 : (minor - low) / (high - low));
  return all.map(({ from, to }) => ({ left: share(Math.min(from, to)), width: share(Math.max(from, to)) - share(Math.min(from, to)) }));
}

/** Items that are neither paid nor closed. */
export function left({ queued, sending, unknown, review }: RunProgress): number {
  return queued + sending + unknown + review;
}

export function all(progress: RunProgress): number {
  return left(progress) + progress.paid + progress.void;
}

/** `3 no account, 2 in debt, 1 held`: the commonest first. */
export function notPaidSummary(notPaid: NotPaid[]): string {
  const byReason = new Map<NotPaid['reason'], number>();
  for (const { reason } of notPaid) byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
  return [...byReason]
    .sort(([, a], [, b]) => b - a)
    .map(([reason, n]) => `${n} ${NOT_PAID[reason].text.toLowerCase()}`)
    .join(', ');
}

/** Items whose partner's name or code has every word of the filter in it. */
export function filterItems(items: RunItem[], filter: string): RunItem[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return items.filter(({ name, partner }) => words.every((word) => `${name} ${partner}`.toLowerCase().includes(word)));
}

/** The first figures of a hash, as people read them to each other: `9f2c·41ab·77e0`. */
export function shortHash(hash: string): string {
  return (hash.slice(0, 12).match(/.{1,4}/g) ?? []).join('·');
}
