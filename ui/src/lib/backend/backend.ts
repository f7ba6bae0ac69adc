import type { Account, Calls, Downloads, ErrorCode, SealDiff } from './bindings';
import type { CopyState, Events, LineDifference, MoneyKey, Preferences, SendingHere, Settings } from './natives';

export type CallName = keyof Calls;
export type Args<N extends CallName> = Calls[N]['args'];
export type DownloadName = keyof Downloads;
export type AnswerOf<N extends CallName> = Calls[N]['answer'];

/** What a call brought, and how old it is. */
export type Answer<T> = {
  data: T;
  /** The API's own time when it was computed, RFC 3339. */
  as_of: string;
  /** True when the API was out of reach and this is the copy kept on this computer. */
  saved: boolean;
  /** True when that copy does not hold together: no figure of it may be shown. */
  untrusted?: boolean;
};

/** The executor of this computer. */
export interface Money {
  key(): Promise<MoneyKey>;
  /** Keeps a restricted key of Stripe's in the keychain, once Stripe has been asked with it. */
  keep(key: string): Promise<MoneyKey>;
  forget(): Promise<MoneyKey>;
  /** Begins to send a run that finance has released. */
  send(run: string): Promise<SendingHere>;
  sending(): Promise<SendingHere>;
  /** Ends after what is on its way. */
  stop(): Promise<SendingHere>;
}

/** What an app on a desk has besides its pages. */
export interface Computer {
  settings(): Promise<Settings>;
  choose(chosen: Preferences): Promise<Settings>;
  startAtLogin(on: boolean): Promise<Settings>;
  /** What happened outside of the page after the event of that number. Waits for something, but not for ever. */
  events(after: number): Promise<Events>;
  /** Somebody is at the window. */
  active(): Promise<void>;
  /** Whether whoever is signed in must prove themselves before the window shows anything. */
  locked(): Promise<boolean>;
}

/** The copy of the records on this computer, and what waits there to be sent. */
export interface Copies {
  state(): Promise<CopyState>;
  /** Sends what waits and makes the copy fresh; answers when that is done. */
  syncNow(): Promise<CopyState>;
  /** Stops a copy that is on its way; the next goes on from there. */
  cancel(): Promise<CopyState>;
  /** Takes an act off the list that was refused. */
  dismiss(mid: string): Promise<CopyState>;
  /** Says that the window is looked at again. */
  focused(): Promise<void>;
  /** The lines in which this computer and the API differ. */
  differences(): Promise<LineDifference[]>;
}

/** The one door to whatever the pages run in. */
export interface Backend {
  readonly host: 'browser' | 'desktop';
  /** `null` where payouts cannot be sent from. */
  readonly money: Money | null;
  /** `null` in a browser. */
  readonly computer: Computer | null;
  /** `null` where no copy is kept. */
  readonly copies: Copies | null;
  /** Makes one call of the table. Rejects with a `CallError`. */
  call<N extends CallName>(name: N, args: Args<N>): Promise<Answer<AnswerOf<N>>>;
  /**
   * Saves a file of the table of downloads. Answers where it is; `null` where the host shows that itself. Rejects with a
   * `CallError`.
   */
  save<N extends DownloadName>(name: N, args: Downloads[N]): Promise<string | null>;
  /**
   * Saves a file that the page made. Answers where it is; `null` where the host shows that itself. Rejects with a
   * `CallError`.
   */
  saveOwn(name: string, mime: string, bytes: Uint8Array<ArrayBuffer>): Promise<string | null>;
  /** Who is signed in from before; `null` when nobody is. */
  resume(): Promise<Account | null>;
  /** Exchanges the code of an e-mail for a session. */
  signIn(who: { email: string; code: string }): Promise<Account>;
  /** Signs in as one of the demo's people. */
  signInDemo(person: string): Promise<Account>;
  /**
   * Signs in at the issuer, in the browser. In a browser the page itself goes there and this never answers, unless it is
   * to `confirm` who is signed in: then another window does, and the page stays as it is.
   */
  signInAtIssuer(confirm: boolean): Promise<Account>;
  /** Gives up waiting for a sign-in at the issuer. */
  stopWaiting(): Promise<void>;
  /**
   * Ends the session, here and at the API where it can be reached. Rejects with `conflict`, and ends nothing, while something
   * waits to be sent that is not to be discarded.
   */
  signOut(discard: boolean): Promise<void>;
  /** Opens an address outside the app. */
  open(url: string): Promise<void>;
  /** What the person must know about this host at all times, in a sentence; `null` when there is nothing. */
  banner(): Promise<string | null>;
}

/** A refused or failed call. The message is written for the person who reads it. */
export class CallError extends Error {
  readonly code: ErrorCode;
  /** What is different from the seal that the call was meant for. */
  readonly diff: SealDiff | null;
  /** What was kept on this computer does not hold together, so that nothing of it may be shown. */
  readonly untrusted: boolean;

  constructor(code: ErrorCode, message: string, diff: SealDiff | null = null, untrusted = false) {
    super(message);
    this.name = 'CallError';
    this.code = code;
    this.diff = diff;
    this.untrusted = untrusted;
  }
}

const CODES: Record<ErrorCode, true> = {
  invalid: true,
  signed_out: true,
  step_up: true,
  forbidden: true,
  not_found: true,
  changed: true,
  conflict: true,
  too_many: true,
  unavailable: true,
  reset: true,
  outdated: true,
  offline: true,
};

/** Reads an error body from outside; anything else becomes `unavailable`. */
export function toCallError(value: unknown): CallError {
  if (value instanceof CallError) return value;
  if (typeof value === 'object' && value !== null && 'code' in value && 'message' in value) {
    const { code, message } = value;
    if (typeof code === 'string' && code in CODES && typeof message === 'string') {
      const diff = 'diff' in value && typeof value.diff === 'object' ? (value.diff as SealDiff | null) : null;
      return new CallError(code as ErrorCode, message, diff, 'untrusted' in value && value.untrusted === true);
    }
  }
  return new CallError('unavailable', 'The answer could not be read. Try again in a moment.');
}
