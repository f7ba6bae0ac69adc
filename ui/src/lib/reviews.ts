import type { Decision, Flag, Review, ReviewsQuery } from './backend';
import type { Word } from './words';

/** What of the queue is shown, as the address says it. */
export type Filter = { decided: boolean; kind: Flag | null; agency: string | null };

const KINDS: readonly Flag[] = ['self_referral', 'burst'];

export function readFilter(find: string): Filter {
  const params = new URLSearchParams(find);
  const [kind, agency] = [params.get('kind'), params.get('agency')];
  return { decided: params.get('show') === 'decided', kind: KINDS.find((one) => one === kind) ?? null, agency: agency === '' ? null : agency };
}

export function writeFilter({ decided, kind, agency }: Filter): string {
  const params = new URLSearchParams();
  if (decided) params.set('show', 'decided');
  if (kind !== null) params.set('kind', kind);
  if (agency !== null) params.set('agency', agency);
  return params.toString();
}

export function asQuestion({ decided, kind, agency }: Filter): ReviewsQuery {
  return { ...(decided ? { decided } : {}), ...(kind === null ? {} : { flag: kind }), ...(agency === null ? {} : { partner: agency }) };
}

export const FLAG: Record<Flag, Word> = {
  self_referral: { text: 'Own domain', tone: 'held' },
  burst: { text: 'Burst', tone: 'wait' },
};

export const DECISION: Record<Decision, Word> = {
  cleared: { text: 'Cleared', tone: 'good' },
  rejected: { text: 'Rejected', tone: 'bad' },
};

/** What decided the credit, in words. */
export const RULES: Record<string, string> = {
  partner_code: 'The client named the agency\u2019s code.',
  promotion_code: 'The client redeemed the agency\u2019s promotion code.',
  click: 'The latest click within 30 days.',
  clicked_at: 'The latest click within 30 days.',
  cookie: 'The cookie of the agency\u2019s link.',
  staff: 'AIKit\u2019s partner team credited it.',
};

const SOURCES: Record<string, string> = {
  partner_code: 'Named the code',
  promotion_code: 'Redeemed the promotion code',
  click: 'Clicked a link',
  ref: 'Came with the cookie',
  staff: 'Credited by the partner team',
};

export const sourceText = (source: string): string => SOURCES[source] ?? source;

const ACTIONS: Record<string, string> = {
  'referral.cleared': 'Cleared',
  'referral.rejected': 'Rejected',
  'referral.reopened': 'Taken back',
  'referral.moved': 'Moved to another agency',
  'referral.credited': 'Credited by hand',
};

export const actionText = (action: string): string => ACTIONS[action] ?? action;

/** What can be done about a referral. `reopen` takes the last decision back. */
export type Deed = 'clear' | 'reject' | 'reopen';

export const DEEDS: Record<Deed, { verb: string; done: string; decision: Decision | null; column: string }> = {
  clear: { verb: 'Clear', done: 'Cleared', decision: 'cleared', column: 'If cleared' },
  reject: { verb: 'Reject', done: 'Rejected', decision: 'rejected', column: 'If rejected' },
  reopen: { verb: 'Take back', done: 'Taken back', decision: null, column: 'If taken back' },
};

/** The deeds that would change something. */
export function deedsFor({ decision }: Pick<Review, 'decision'>): Deed[] {
  return (Object.keys(DEEDS) as Deed[]).filter((deed) => DEEDS[deed].decision !== decision);
}

/** Who stands at a place after a list became another: whoever was chosen, and else whoever has moved up to the place. */
export function chosenIn(list: readonly Pick<Review, 'referral'>[], chosen: string | null, place: number): number {
  const at = list.findIndex(({ referral }) => referral === chosen);
  return at >= 0 ? at : Math.max(0, Math.min(place, list.length - 1));
}
