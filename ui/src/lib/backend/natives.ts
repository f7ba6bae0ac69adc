// Generated from crates/desk by `./dev gen`. Do not edit.

import type { Account } from './bindings';

export type SignIn = { 
/**
 * Address of the person.
 */
email: string, 
/**
 * The six digits.
 */
code: string, };

export type SignInDemo = { 
/**
 * Id from the call `demo_people`.
 */
person: string, };

export type SignInAtIssuer = { 
/**
 * The person who is signed in proves it once more.
 */
confirm: boolean, };

export type SignOut = { 
/**
 * What was not sent is lost.
 */
discard?: boolean, };

export type CopyStanding = "none" | "syncing" | "ready" | "untrusted" | "outdated";

export type Progress = { 
/**
 * Records that have come.
 */
come: number, 
/**
 * Records that there will be, as it looks now.
 */
of: number, };

export type WaitingAct = { 
/**
 * Its id.
 */
mid: string, 
/**
 * Name of the call.
 */
name: string, 
/**
 * What it is, in words.
 */
what: string, 
/**
 * When it was done, by the clock of this computer.
 */
made_at: string, };

export type RejectedAct = { 
/**
 * Its id.
 */
mid: string, 
/**
 * Name of the call.
 */
name: string, 
/**
 * What it is, in words.
 */
what: string, 
/**
 * Why, in words.
 */
error: string, };

export type VerifiedState = "verified" | "mismatch" | "incomparable";

export type Verified = { 
/**
 * What the comparison came to.
 */
state: VerifiedState, 
/**
 * Of which instant the statements are, by the API's clock.
 */
as_of: string, };

export type CopyState = { 
/**
 * How the copy is.
 */
state: CopyStanding, 
/**
 * Of when it is, by the API's clock.
 */
as_of: string | null, 
/**
 * Records in it.
 */
rows: number, 
/**
 * How far the next one is, while a whole one is on its way.
 */
progress: Progress | null, 
/**
 * What waits to be sent, in order.
 */
pending: Array<WaitingAct>, 
/**
 * What was refused, until it is dismissed.
 */
rejected: Array<RejectedAct>, 
/**
 * Whether this computer comes to the same statement as the API.
 */
verified: Verified | null, 
/**
 * Why the copy is not fresh, in a sentence.
 */
trouble: string | null, };

export type DismissAct = { 
/**
 * Id of the act.
 */
mid: string, };

export type LineDifference = { 
/**
 * The referral that it is about.
 */
referral: string, 
/**
 * What the client is called.
 */
client: string, 
/**
 * What this computer comes to, in a sentence; absent where it comes to nothing.
 */
here: string | null, 
/**
 * What the API comes to.
 */
there: string | null, };

export type OpenUrl = { 
/**
 * A whole address.
 */
url: string, };

export type SaveFile = { 
/**
 * Name of the file in the table of downloads.
 */
file: string, 
/**
 * Arguments of that entry.
 */
args: object, };

export type SaveOwnFile = { 
/**
 * What it is to be called; of it only what every system takes is kept.
 */
name: string, 
/**
 * What is in it, in base64.
 */
base64: string, };

export type SavedFile = { 
/**
 * Where it is now; `null` when the person wanted no file after all.
 */
path: string | null, };

export type HostInfo = { 
/**
 * Version of the app.
 */
version: string, 
/**
 * Address of the API.
 */
api: string, };

export type MoneyKey = { 
/**
 * There is one.
 */
present: boolean, 
/**
 * It moves real money.
 */
live: boolean, 
/**
 * The Stripe account that it belongs to, `acct_…`.
 */
account: string | null, 
/**
 * Its last four characters.
 */
ends_with: string | null, 
/**
 * It is in the keychain; else in memory only, until the app is closed.
 */
kept: boolean, };

export type KeepMoneyKey = { 
/**
 * A restricted key of Stripe's, `rk_…`.
 */
key: string, };

export type SendHere = { 
/**
 * Id of the run.
 */
run: string, };

export type SendingHere = { 
/**
 * Id of the run.
 */
run: string | null, 
/**
 * It is at work.
 */
at_work: boolean, 
/**
 * Payouts made or found since it began.
 */
paid: number, 
/**
 * Their sum, in minor units.
 */
paid_minor: number, 
/**
 * Of the pass that goes on, or was the last: not paid, for whatever reason.
 */
not_paid: number, 
/**
 * Why it ended, in a sentence.
 */
ended: string | null, };

export type Preferences = { 
/**
 * Tell when a payout was sent.
 */
payout_sent: boolean, 
/**
 * Tell when the bank sent one back.
 */
bank_refused: boolean, 
/**
 * Tell when a run is drafted.
 */
run_ready: boolean, 
/**
 * Tell when a client waits for a review.
 */
review_needed: boolean, 
/**
 * Closing the window leaves the app in the tray, where there is one.
 */
keep_in_tray: boolean, 
/**
 * The window stays out of the way at each start.
 */
start_minimised: boolean, 
/**
 * Minutes without anybody at the window after which it locks itself, for AIKit's own people.
 */
lock_after_min: number, };

export type Settings = { 
/**
 * What was chosen on this computer.
 */
chosen: Preferences, 
/**
 * There is a tray.
 */
tray: boolean, 
/**
 * The app starts with the computer; `null` where that cannot be told.
 */
at_login: boolean | null, };

export type StartAtLogin = { 
/**
 * It shall.
 */
on: boolean, };

export type EventsAfter = { 
/**
 * Number of the last event that the page has seen; 0 for a page that has seen none.
 */
after: number, };

export type Event = { "kind": "open", 
/**
 * Its address, `#/payouts`.
 */
address: string, } | { "kind": "say", 
/**
 * The sentence.
 */
text: string, 
/**
 * It says what did not work.
 */
bad: boolean, } | { "kind": "keys" } | { "kind": "locked" };

export type Events = { 
/**
 * Number of the last of them; where there is none, the number that was asked with.
 */
last: number, 
/**
 * What happened, the oldest first.
 */
events: Array<Event>, };

/** Arguments and answer of every command of the desktop app's own. */
export type Natives = {
  /** Who is signed in; the account as it was last seen when the API is out of reach. */
  resume: { args: Record<string, never>; answer: Account | null };
  /** Sign in with the code that came by e-mail. */
  sign_in: { args: SignIn; answer: Account };
  /** Sign in as one of the demo's people. */
  sign_in_demo: { args: SignInDemo; answer: Account };
  /** Sign in at the issuer, in the person's browser; answers when the person is back. */
  sign_in_at_issuer: { args: SignInAtIssuer; answer: Account };
  /** Give up waiting for the browser. */
  stop_waiting: { args: Record<string, never>; answer: null };
  /** Sign out, and delete what was saved for the account. Refused while acts wait to be sent, unless they are discarded. */
  sign_out: { args: SignOut; answer: null };
  /** How the copy of the records on this computer is, and what waits to be sent. */
  copy_state: { args: Record<string, never>; answer: CopyState };
  /** Send what waits and make the copy fresh, now; answers when that is done. */
  sync_now: { args: Record<string, never>; answer: CopyState };
  /** The window is looked at again: make the copy fresh beside it. */
  focused: { args: Record<string, never>; answer: null };
  /** Stop the copy that is on its way; the next goes on from there. */
  cancel_sync: { args: Record<string, never>; answer: CopyState };
  /** Take an act off the list that was refused. */
  dismiss_act: { args: DismissAct; answer: CopyState };
  /** The lines in which this computer and the API differ. */
  statement_differences: { args: Record<string, never>; answer: Array<LineDifference> };
  /** Save a file of the API's where the person wants it. */
  save: { args: SaveFile; answer: SavedFile };
  /** Save a file that the page made in the person's folder of downloads. */
  save_own: { args: SaveOwnFile; answer: SavedFile };
  /** Show an address in the browser. */
  open: { args: OpenUrl; answer: null };
  /** What the person should know about this computer, such as a keychain that is missing. */
  banner: { args: Record<string, never>; answer: string | null };
  /** The key with which this computer sends payouts, as far as anybody may see it. */
  money_key: { args: Record<string, never>; answer: MoneyKey };
  /** Keep a key in the keychain, once Stripe has been asked with it. */
  keep_money_key: { args: KeepMoneyKey; answer: MoneyKey };
  /** Forget it. */
  forget_money_key: { args: Record<string, never>; answer: MoneyKey };
  /** Send a run from this computer. */
  send_here: { args: SendHere; answer: SendingHere };
  /** What this computer sends, or sent last. */
  sending_here: { args: Record<string, never>; answer: SendingHere };
  /** Stop sending, after what is on its way. */
  stop_sending: { args: Record<string, never>; answer: SendingHere };
  /** What was chosen on this computer, and what can be. */
  preferences: { args: Record<string, never>; answer: Settings };
  /** Choose. */
  set_preferences: { args: Preferences; answer: Settings };
  /** Let the app start with the computer, or not. */
  start_at_login: { args: StartAtLogin; answer: Settings };
  /** What happened outside of the page since it asked last; waits for something, for up to 25 seconds. */
  events: { args: EventsAfter; answer: Events };
  /** Somebody is at the window. */
  active: { args: Record<string, never>; answer: null };
  /** Whether whoever is signed in must prove themselves before the window shows anything. */
  locked: { args: Record<string, never>; answer: boolean };
  /** What app this is. */
  host: { args: Record<string, never>; answer: HostInfo };
};
