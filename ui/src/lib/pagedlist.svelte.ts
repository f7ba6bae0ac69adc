import type { CallError } from './backend';
import type { Looked, Query } from './query.svelte';
import { pagesOf } from './rows';

/** Whoever only flies past rows does not ask for them. */
const SETTLE_MS = 80;

/** Some of the rows, by the number of their page from 0. */
type Page<P> = { number: number; query: Query<P> };

/** All rows that answer a question to the API, of which only those near the screen are asked for, `size` at a time. */
export class PagedList<Asked, P, Row> implements Looked {
  /** What the rows answer; `null` before the first answer. */
  asked = $state.raw<Asked | null>(null);
  /** A newer question is under way. The rows of the one before stay until it is answered. */
  looking = $state.raw(false);
  /** How far down the person was, in px, for the next time. */
  top = 0;

  readonly #size: number;
  readonly #query: (asked: Asked, from: number, limit: number) => Query<P>;
  readonly #rows: (page: P) => Row[];
  #pages = $state.raw<readonly Page<P>[]>([]);
  /** The first rows: while those on the screen are on their way, it is known how many there are. */
  #first = $state.raw<Query<P> | null>(null);
  #turn = 0;
  #settle: ReturnType<typeof setTimeout> | undefined;

  constructor(size: number, query: (asked: Asked, from: number, limit: number) => Query<P>, rows: (page: P) => Row[]) {
    this.#size = size;
    this.#query = query;
    this.#rows = rows;
  }

  /** Asks a question. Of several the newest counts, whichever is answered first. Answers whether this one did. */
  async ask(asked: Asked): Promise<boolean> {
    const turn = ++this.#turn;
    const first = this.#page(asked, 0);
    if (first.answer === null) {
      this.looking = true;
      await first.reload();
      if (turn !== this.#turn) return false;
    }
    this.looking = false;
    this.asked = asked;
    this.#first = first;
    this.#pages = [{ number: 0, query: first }];
    return true;
  }

  /** Says which rows are on the screen. */
  show(indexes: readonly number[]): void {
    const { asked } = this;
    if (asked === null) return;
    const numbers = pagesOf(indexes.length === 0 ? [0] : indexes, this.#size);
    const wanted = numbers.map((number): Page<P> => ({ number, query: this.#page(asked, number) }));
    const same = wanted.length === this.#pages.length && wanted.every(({ query }, at) => this.#pages[at]?.query === query);
    if (!same) this.#pages = wanted;
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      for (const { query } of wanted) if (query.answer === null && query.error === null && !query.loading) void query.reload();
    }, SETTLE_MS);
  }

  row(index: number): Row | null {
    const page = this.#pages.find(({ number }) => number === Math.floor(index / this.#size))?.query.data ?? null;
    return page === null ? null : (this.#rows(page)[index % this.#size] ?? null);
  }

  /** How many there are, by the newest answer. */
  get counts(): P | null {
    const answers = [this.#first, ...this.#pages.map(({ query }) => query)].flatMap((query) => query?.answer ?? []);
    return answers.toSorted((a, b) => b.arrivedMs - a.arrivedMs)[0]?.data ?? null;
  }

  /** The oldest of what is on the screen. */
  get answer(): Query<P>['answer'] {
    const answers = this.#pages.flatMap(({ query }) => query.answer ?? []);
    return answers.toSorted((a, b) => a.as_of.localeCompare(b.as_of))[0] ?? null;
  }

  get error(): CallError | null {
    return this.#pages.find(({ query }) => query.error !== null)?.query.error ?? null;
  }

  get loading(): boolean {
    return this.looking || this.#pages.some(({ query }) => query.loading);
  }

  async reload(): Promise<void> {
    await Promise.all(this.#pages.map(({ query }) => query.reload()));
  }

  #page(asked: Asked, number: number): Query<P> {
    return this.#query(asked, number * this.#size, this.#size);
  }
}
