import { untrack } from 'svelte';
import { type Answer, type AnswerOf, type Args, CallError, type CallName, toCallError } from './backend';
import type { Session } from './session.svelte';

const REFRESH_MS = 30_000;

/** What a call last brought, kept between pages so that a figure that was seen once is there at once. */
export class Query<T> {
  answer = $state.raw<(Answer<T> & { arrivedMs: number }) | null>(null);
  error = $state.raw<CallError | null>(null);
  loading = $state.raw(false);

  readonly #fetch: () => Promise<Answer<T>>;
  #asked = 0;

  constructor(fetch: () => Promise<Answer<T>>) {
    this.#fetch = fetch;
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
      if (asked === this.#asked) this.error = toCallError(caught);
    } finally {
      if (asked === this.#asked) this.loading = false;
    }
  }

  /** Takes an answer that came another way, such as that of an act. */
  put(answer: Answer<T>): void {
    this.#asked++;
    this.loading = false;
    this.answer = { ...answer, arrivedMs: Date.now() };
    this.error = null;
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
    if (kept !== undefined) return kept;
    const made = new Query(async () => {
      try {
        return await session.backend.call(name, args);
      } catch (caught) {
        const error = toCallError(caught);
        if (error.code === 'signed_out') session.ended();
        throw error;
      }
    });
    this.#kept.set(key, made as Query<never>);
    return made;
  }

  clear(): void {
    this.#kept.clear();
  }
}

/** Keeps a query fresh while its page is on the screen: at once, on return to the window, and now and then. */
export function keepFresh(query: Query<unknown>, everyMs = REFRESH_MS): () => void {
  const look = () => {
    if (document.visibilityState === 'visible' && !query.loading) void query.reload();
  };
  // An effect calls this, and must not run again because a question is under way.
  untrack(look);
  const timer = setInterval(look, everyMs);
  window.addEventListener('focus', look);
  window.addEventListener('online', look);
  return () => {
    clearInterval(timer);
    window.removeEventListener('focus', look);
    window.removeEventListener('online', look);
  };
}
