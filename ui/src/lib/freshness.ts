import { clock, day } from './time';

/** How old what is on the screen is, and how loudly to say so. */
export type Freshness = { kind: 'live' | 'quiet' | 'saved' | 'stale' | 'untrusted'; text: string; title: string };

/** The copy of this computer does not hold together: no figure of it is shown. */
export const NOT_TRUSTED: Freshness = {
  kind: 'untrusted',
  text: 'Saved copy not trusted',
  title: 'The copy kept on this computer does not hold together, so its figures are hidden until AIKit can be reached.',
};

const LIVE_MS = 60_000;
const STALE_MS = 24 * 3_600_000;

/**
 * Judges an answer by its age. The age of an answer of the API is counted from its arrival here, because the clock of
 * the API may not be this computer's; a saved copy has nothing but its own time.
 */
export function freshness(answer: { as_of: string; saved: boolean; untrusted?: boolean }, arrivedMs: number, now: Date): Freshness {
  if (answer.untrusted === true) return NOT_TRUSTED;
  const at = `${day(answer.as_of, now)}, ${clock(answer.as_of)} UTC`;
  if (!answer.saved) {
    if (now.getTime() - arrivedMs <= LIVE_MS) return { kind: 'live', text: 'Live', title: `As of ${at}.` };
    return { kind: 'quiet', text: `As of ${clock(answer.as_of)}`, title: `As of ${at}. Press to look again.` };
  }
  const title = `AIKit could not be reached. This is the copy kept on this computer, as of ${at}.`;
  if (now.getTime() - new Date(answer.as_of).getTime() > STALE_MS) {
    return { kind: 'stale', text: `Saved copy, ${day(answer.as_of, now)}`, title };
  }
  return { kind: 'saved', text: `Saved copy, ${clock(answer.as_of)}`, title };
}
