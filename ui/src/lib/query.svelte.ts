import { untrack } from 'svelte';
import { type Answer, type AnswerOf, type Args, CallError, type CallName, toCallError } from './backend';
import { isAway, waitMs } from './retry';
import type { Session } from './session.svelte';

const REFRESH_MS = 30_000;
/** What came within this is not asked for again when its page opens. */
const JUST_NOW_MS = 1000;
/** Answers that are kept; those that were not looked at for the longest go first. */
const KEPT = 300;
const UNTRUSTED = 'The copy kept on this computer does not hold together, so its figures are hidden. They come back as soon as AIKit can be reached.';

/** What a call last brought, kept between pages so that a figure that was seen once is there at once. */
export class Query<T> {
  answer = $state.raw<(Answer<T> & { arrivedMs: number }) | null>(null);
  error = $state.raw<CallError | null>(null);
  loading = $state.raw(false);

  readonly #fetch: () => Promise<Answer<T>>;
  readonly #copies: boolean;
  #asked = 0;

  /** With `copies` the host keeps saved copies itself, so that being out of reach means that there is none to trust. */
  constructor(fetch: () => Promise<Answer<T>>, copies = false) {
    this.#fetch = fetch;
    this.#copies = copies;
  }

  get data(): T | null {
    return this.answer?.data ?? null;
  }

  /** Asks again. What is there stays until the answer is; only the newest question counts. */
  async reload(): Promise<void> {
    const asked = ++this.#asked;
    this.loading = true;
    try {
      const answer = await this.#fetch();
      if (asked === this.#asked) this.put(answer);
    } catch (caught) {
      if (asked === this.#asked) this.#fail(toCallError(caught));
    } finally {
      if (asked === this.#asked) this.loading = false;
    }
  }

  /** Takes an answer that came another way, such as that of an act. */
  put(answer: Answer<T>): void {
    this.#asked++;
    this.loading = false;
    if (answer.untrusted === true) {
      this.#fail(new CallError('offline', UNTRUSTED, null, true));
      return;
    }
    this.answer = { ...answer, arrivedMs: Date.now() };
    this.error = null;
  }

  /** What is on the screen stays and says since when it is old, unless it is known not to be right. */
  #fail(error: CallError): void {
    if (error.untrusted || (this.#copies && error.code === 'offline')) this.answer = null;
    this.error = error;
  }
}

/** All queries of one session. */
export class Queries {
  // eslint-disable-next-line svelte/prefer-svelte-reactivity -- Nothing is rendered from the map itself.
  readonly #kept = new Map<string, Query<never>>();

  /** The query of that call, the same object for the same arguments. */
  of<N extends CallName>(session: Session, name: N, args: Args<N>): Query<AnswerOf<N>> {
    const key = JSON.stringify([name, args]);
    const kept = this.#kept.get(key) as Query<AnswerOf<N>> | undefined;
    if (kept !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, kept as Query<never>);
      return kept;
    }
    const made = new Query(async () => {
      try {
        return await session.backend.call(name, args);
      } catch (caught) {
        const error = toCallError(caught);
        if (error.code === 'signed_out') session.ended();
        throw error;
      }
    }, session.backend.host === 'desktop');
    this.#kept.set(key, made as Query<never>);
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(old);
    }
    return made;
  }

  clear(): void {
    this.#kept.clear();
  }
}

/** What can be looked at again. */
export type Looked = Pick<Query<unknown>, 'answer' | 'error' | 'loading' | 'reload'>;

/**
 * Keeps a query fresh while its page is on the screen: at once, on return to the window or the network, and now and then;
 * soon and ever more seldom while the API is out of reach, so that nobody has to press a button when it is back.
 */
export function keepFresh(query: Looked, everyMs = REFRESH_MS): () => void {
  let misses = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const later = () => {
    clearTimeout(timer);
    if (!ended) timer = setTimeout(look, waitMs(misses, everyMs, Math.random()));
  };
  const look = () => {
    if (document.visibilityState !== 'visible' || query.loading) return later();
    void query.reload().then(() => {
      misses = isAway(query) ? misses + 1 : 0;
      later();
    });
  };
  const back = () => {
    misses = 0;
    look();
  };
  // An effect calls this, and must not run again because a question is under way.
  untrack(() => (query.error === null && query.answer !== null && Date.now() - query.answer.arrivedMs < JUST_NOW_MS ? later() : look()));
  document.addEventListener('visibilitychange', look);
  window.addEventListener('focus', look);
  window.addEventListener('online', back);
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', look);
    window.removeEventListener('focus', look);
    window.removeEventListener('online', back);
  };
}
