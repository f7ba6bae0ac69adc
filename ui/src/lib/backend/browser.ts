import type { Account, Downloads, Session, SignInBegun } from './bindings';
import { type Answer, type AnswerOf, type Args, type Backend, CallError, type CallName, type DownloadName, toCallError } from './backend';
import { fileRequestOf, type Request, requestOf } from './request';

const AS_OF_HEADER = 'aikit-as-of';
const TIMEOUT_MS = 30_000;
/** The page that a window comes back to after a confirmation, and where it says so to the page that waits. */
const CONFIRMED = '#/confirmed';
const CONFIRMATIONS = 'aikit-confirmations';

/** Talks to the Referral API that served the page. Invariant: the access token lives in this object and nowhere else. */
export class BrowserBackend implements Backend {
  readonly host = 'browser';
  readonly money = null;
  readonly computer = null;
  readonly copies = null;
  #accessToken: string | null = null;
  #refreshing: Promise<Account | null> | null = null;
  #stop: (() => void) | null = null;

  async call<N extends CallName>(name: N, args: Args<N>): Promise<Answer<AnswerOf<N>>> {
    const response = await this.#ask(requestOf(name, args));
    const data = (await read(response)) as AnswerOf<N>;
    return { data, as_of: response.headers.get(AS_OF_HEADER) ?? new Date().toISOString(), saved: false };
  }

  async save<N extends DownloadName>(name: N, args: Downloads[N]): Promise<string | null> {
    const response = await this.#ask(fileRequestOf(name, args));
    if (!response.ok) await read(response);
    const file = await response.blob().catch(() => {
      throw new CallError('offline', 'The connection broke before the whole file was here. Try again.');
    });
    takeAway(file, /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? name);
    return null;
  }

  saveOwn(name: string, mime: string, bytes: Uint8Array<ArrayBuffer>): Promise<string | null> {
    takeAway(new Blob([bytes], { type: mime }), name);
    return Promise.resolve(null);
  }

  /** Renews the session by its cookie. Several callers share one renewal, and several tabs take turns. */
  resume(): Promise<Account | null> {
    this.#refreshing ??= inTurn(() => this.#refresh()).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  signIn(who: { email: string; code: string }): Promise<Account> {
    return this.#start('/v1/auth/sessions', { ...who, keep: 'cookie' });
  }

  signInDemo(person: string): Promise<Account> {
    return this.#start('/v1/demo/sessions', { person, keep: 'cookie' });
  }

  async signInAtIssuer(confirm: boolean): Promise<Account> {
    // At once, while the click still counts: later it would be taken for a pop-up.
    const other = confirm ? window.open('about:blank', '_blank', 'popup,width=520,height=720') : null;
    if (confirm && other === null) {
      throw new CallError('unavailable', 'The browser did not open a window for this. Allow windows for this site and try again.');
    }
    try {
      const begin = { return_to: confirm ? CONFIRMED : location.hash, confirm };
      const request: Request = { method: 'POST', url: '/v1/auth/oidc', body: JSON.stringify(begin) };
      let response = await this.#send(request);
      if (response.status === 401 && (await this.resume()) !== null) response = await this.#send(request);
      const { url } = (await read(response)) as SignInBegun;
      if (other === null) {
        location.assign(url);
        return await new Promise<never>(() => undefined);
      }
      other.location.href = url;
      await this.#confirmed();
    } catch (error) {
      other?.close();
      throw error;
    }
    // The confirmation has put a new session in the place of the old one.
    const account = await this.resume();
    if (account === null) throw new CallError('signed_out', 'Your session has ended. Sign in again.');
    return account;
  }

  stopWaiting(): Promise<void> {
    this.#stop?.();
    return Promise.resolve();
  }

  async signOut(): Promise<void> {
    try {
      const end: Request = { method: 'POST', url: '/v1/auth/end', body: '{}' };
      let response = await this.#send(end);
      // A session is ended by its access token; a page that was left open has an old one.
      if (response.status === 401 && (await this.resume()) !== null) response = await this.#send(end);
      if (response.status !== 401) await read(response);
    } finally {
      this.#accessToken = null;
    }
  }

  open(url: string): Promise<void> {
    const { protocol } = new URL(url, location.href);
    if (protocol !== 'https:' && protocol !== 'http:') {
      return Promise.reject(new CallError('invalid', `This address cannot be opened: ${url}`));
    }
    // A new window would be taken for a pop-up here, because an answer was awaited since the click.
    location.assign(url);
    return Promise.resolve();
  }

  banner(): Promise<string | null> {
    return Promise.resolve(null);
  }

  /** Answers when the window that was opened says that it is back. */
  async #confirmed(): Promise<void> {
    this.#stop?.();
    const channel = new BroadcastChannel(CONFIRMATIONS);
    try {
      await new Promise<void>((resolve, reject) => {
        channel.onmessage = () => resolve();
        this.#stop = () => reject(new CallError('step_up', 'This was not confirmed.'));
      });
    } finally {
      this.#stop = null;
      channel.close();
    }
  }

  async #refresh(): Promise<Account | null> {
    const response = await this.#send({ method: 'POST', url: '/v1/auth/refresh', body: '{}' });
    if (response.status === 401) {
      this.#accessToken = null;
      return null;
    }
    return this.#keep((await read(response)) as Session);
  }

  async #start(url: string, body: object): Promise<Account> {
    const response = await this.#send({ method: 'POST', url, body: JSON.stringify(body) });
    return this.#keep((await read(response)) as Session);
  }

  #keep(session: Session): Account {
    this.#accessToken = session.access_token;
    return session.account;
  }

  /** Sends a request, and once more with a new token where the old one has run out. */
  async #ask(request: Request): Promise<Response> {
    const response = await this.#send(request);
    if (response.status !== 401 || this.#accessToken === null || (await this.resume()) === null) return response;
    return this.#send(request);
  }

  async #send({ method, url, body }: Request): Promise<Response> {
    const headers = new Headers({ accept: 'application/json' });
    if (body !== null) headers.set('content-type', 'application/json');
    if (this.#accessToken !== null) headers.set('authorization', `Bearer ${this.#accessToken}`);
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      return await fetch(url, { method, headers, body, credentials: 'same-origin', cache: 'no-store', signal });
    } catch {
      throw new CallError(
        'offline',
        method === 'GET'
          ? 'AIKit could not be reached. Check the connection and try again.'
          : 'AIKit could not be reached, so it is not known whether this was done. Look again before you repeat it.',
      );
    }
  }
}

/** Hands a file to the browser, which shows that it has it. */
function takeAway(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser reads it after this turn.
  setTimeout(() => URL.revokeObjectURL(link.href), TIMEOUT_MS);
}

async function read(response: Response): Promise<unknown> {
  const text = await response.text().catch(() => {
    throw new CallError('offline', 'The connection broke before the whole answer was here. Try again.');
  });
  let body: unknown = null;
  try {
    if (text !== '') body = JSON.parse(text);
  } catch {
    // Not ours: a proxy's page, for example.
    throw new CallError('unavailable', `AIKit answered with something unreadable (HTTP ${response.status}). Try again.`);
  }
  if (!response.ok) throw toCallError(body);
  return body;
}

/** Runs `renew` while no other tab does, where the browser can say so. */
function inTurn<T>(renew: () => Promise<T>): Promise<T> {
  // Absent on an insecure origin.
  const locks = navigator.locks as LockManager | undefined;
  return locks === undefined ? renew() : locks.request('aikit-refresh', renew);
}

/** Called by the window that has come back: tells the page that waits, and closes. */
export function sayConfirmed(): void {
  const channel = new BroadcastChannel(CONFIRMATIONS);
  channel.postMessage('confirmed');
  channel.close();
  window.close();
}
