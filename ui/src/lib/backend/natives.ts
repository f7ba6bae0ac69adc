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

export type OpenUrl = { 
/**
 * A whole address.
 */
url: string, };

export type HostInfo = { 
/**
 * Version of the app.
 */
version: string, 
/**
 * Address of the API.
 */
api: string, };

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
  /** Sign out, and delete what was saved for the account. */
  sign_out: { args: Record<string, never>; answer: null };
  /** Show an address in the browser. */
  open: { args: OpenUrl; answer: null };
  /** What the person should know about this computer, such as a keychain that is missing. */
  banner: { args: Record<string, never>; answer: string | null };
  /** What app this is. */
  host: { args: Record<string, never>; answer: HostInfo };
};
