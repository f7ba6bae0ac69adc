import { type Account, type Backend, CallError, type DemoPerson, type Role, toCallError } from './backend';

/** Who is signed in, and the ways in and out. */
export class Session {
  account = $state.raw<Account | null>(null);
  /** What this host must say at all times. */
  banner = $state.raw<string | null>(null);
  /** Why the sign-in page is shown, when the person did not ask for it. */
  farewell = $state.raw<string | null>(null);
  /** Set while an act waits for the person to prove who they are. */
  proof = $state.raw<{ done: (proved: boolean) => void } | null>(null);

  /** Nobody was at this window for a while: whoever is signed in proves themselves before it shows anything. */
  locked = $state.raw(false);

  readonly backend: Backend;
  readonly #forget: () => void;
  #person: string | null = null;

  /** `forget` drops whatever pages keep of the account that goes. */
  constructor(backend: Backend, forget: () => void) {
    this.backend = backend;
    this.#forget = forget;
  }

  async resume(): Promise<void> {
    const account = await this.backend.resume();
    this.locked = account !== null && ((await this.backend.computer?.locked()) ?? false);
    this.account = account;
    await this.#readBanner();
  }

  async signIn(who: { email: string; code: string }): Promise<void> {
    this.#enter(await this.backend.signIn(who), null);
    await this.#readBanner();
  }

  async signInDemo(person: string): Promise<void> {
    this.#enter(await this.backend.signInDemo(person), person);
    await this.#readBanner();
  }

  async signInAtIssuer(confirm: boolean): Promise<void> {
    this.#enter(await this.backend.signInAtIssuer(confirm), null);
    await this.#readBanner();
  }

  /**
   * Signs out. Answers why not, where something waits to be sent that is not to be discarded; then nothing has happened.
   */
  async signOut(discard = false): Promise<string | null> {
    try {
      await this.backend.signOut(discard);
    } catch (caught) {
      const error = toCallError(caught);
      if (error.code === 'conflict') return error.message;
      this.#leave(null);
      throw error;
    }
    this.#leave(null);
    return null;
  }

  /** Shows nothing of the session until the person has proved themselves. What was on the screen is forgotten. */
  lock(): void {
    if (this.account === null) return;
    this.proof?.done(false);
    this.locked = true;
    this.#forget();
  }

  /** Says that the API no longer knows this session. */
  ended(): void {
    if (this.account !== null) this.#leave('Your session has ended. Sign in again to go on.');
  }

  /**
   * Does an act. Where the API wants a fresh sign-in first, the person is asked for one and the act is repeated once.
   * Rejects with a `CallError`.
   */
  async act<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (caught) {
      const error = toCallError(caught);
      if (error.code === 'signed_out') this.ended();
      if (error.code !== 'step_up') throw error;
      if (!(await this.#prove())) throw new CallError('step_up', 'This was not done, because it was not confirmed.');
      return await run().catch((again: unknown) => {
        throw toCallError(again);
      });
    }
  }

  /** Which of the demo's people is signed in; `null` outside the demo, or when it cannot be told. */
  demoPerson(people: DemoPerson[]): DemoPerson | null {
    return whoAmI(this.account, this.#person, people);
  }

  async #prove(): Promise<boolean> {
    const proved = await new Promise<boolean>((resolve) => {
      this.proof = { done: resolve };
    });
    this.proof = null;
    return proved;
  }

  #enter(account: Account, person: string | null): void {
    // Another person's pages must not be shown for a moment; one's own may, after a confirmation.
    if (this.account?.user !== account.user) this.#forget();
    this.account = account;
    this.#person = person;
    this.locked = false;
    this.farewell = null;
  }

  #leave(farewell: string | null): void {
    this.proof?.done(false);
    this.account = null;
    this.#person = null;
    this.locked = false;
    this.farewell = farewell;
    this.#forget();
  }

  async #readBanner(): Promise<void> {
    this.banner = await this.backend.banner().catch(() => null);
  }
}

/** The demo person by the id that signed in; after a reload, by role and name where that leaves one. */
export function whoAmI(account: Account | null, person: string | null, people: DemoPerson[]): DemoPerson | null {
  if (account === null) return null;
  if (person !== null) return people.find((one) => one.person === person) ?? null;
  const { partner, role } = account;
  const alike = people.filter((one) => one.role === role && (partner === null || one.name === partner.name));
  return alike.length === 1 ? (alike[0] ?? null) : null;
}

const PARTNER_ROLES: readonly Role[] = ['owner', 'member'];

/** Whether this account sees an agency's pages; all others see runs. */
/** Whether an account of AIKit's sees what agencies work with before they do. */
export function isLibrarian(account: Account): boolean {
  return account.role === 'staff' || account.role === 'admin';
}

export function isPartner(account: Account): boolean {
  return PARTNER_ROLES.includes(account.role);
}
