import type { CopyState } from './backend/natives';
import { clock, day } from './time';

/** What the copy on this computer is, in a few words, and how loudly. */
export type CopyLine = { kind: 'quiet' | 'good' | 'busy' | 'waiting' | 'bad'; text: string };

/** The one line of it; `null` while there is nothing to say. */
export function copyLine(state: CopyState): CopyLine | null {
  const { pending, rejected } = state;
  if (rejected.length > 0) return { kind: 'bad', text: count(rejected.length, 'change was', 'changes were') + ' refused' };
  if (pending.length > 0) return { kind: 'waiting', text: count(pending.length, 'change', 'changes') + ' to be sent' };
  if (state.state === 'untrusted') return { kind: 'bad', text: 'Copy not trusted' };
  if (state.state === 'outdated') return { kind: 'bad', text: 'Update the app' };
  if (state.progress !== null) return { kind: 'busy', text: `Copying, ${percent(state.progress)} %` };
  if (state.state === 'syncing') return { kind: 'busy', text: 'Copying' };
  if (state.state === 'none') return null;
  if (state.verified?.state === 'mismatch') return { kind: 'bad', text: 'Statement differs' };
  if (state.verified?.state === 'incomparable') return { kind: 'quiet', text: 'Not comparable' };
  if (state.verified?.state === 'verified') return { kind: 'good', text: 'Verified here' };
  return { kind: 'quiet', text: 'Kept on this computer' };
}

/** The same in sentences, for whoever wants to know. */
export function copyText(state: CopyState, now: Date): string {
  const of = state.as_of === null ? '' : ` of ${day(state.as_of, now)}, ${clock(state.as_of)} UTC`;
  const rows = state.rows.toLocaleString('en-US');
  switch (state.state) {
    case 'none':
      if (state.pending.length + state.rejected.length > 0) return 'What you did without a network is kept on this computer until it is sent.';
      return 'There is no copy of your records on this computer yet.';
    case 'syncing':
      return 'Your records are being copied to this computer, so that your pages show without a network.';
    case 'untrusted':
      return 'The copy on this computer did not add up to what AIKit has, so its figures are hidden until it is made anew.';
    case 'outdated':
      return `This app is too old to keep its copy${of} fresh. Update it.`;
    case 'ready':
      return `Your records${of} are kept on this computer (${rows} of them), so that your pages show without a network.`;
  }
}

/** What the comparison of the statement came to, in a sentence. */
export function verifiedText(state: CopyState, now: Date): string | null {
  if (state.verified === null) return null;
  const of = `the statement of ${day(state.verified.as_of, now)}, ${clock(state.verified.as_of)} UTC`;
  switch (state.verified.state) {
    case 'verified':
      return `Verified on this computer: it computed ${of} from your records, and AIKit came to the same, to the cent.`;
    case 'mismatch':
      return `This computer computed ${of} from your records, and AIKit came to another. Please tell us.`;
    case 'incomparable':
      return 'AIKit computes by newer rules than this app, so the statements cannot be compared. Update the app.';
  }
}

function count(n: number, one: string, many: string): string {
  return n === 1 ? `1 ${one}` : `${n} ${many}`;
}

function percent({ come, of }: { come: number; of: number }): number {
  return of === 0 ? 0 : Math.min(99, Math.floor((100 * come) / of));
}
