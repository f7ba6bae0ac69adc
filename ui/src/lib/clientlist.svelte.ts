import type { App } from './app.svelte';
import type { CallError, Client, ClientPage, ClientsQuery } from './backend';
import { type Choice, type Order, START } from './clients';
import type { Looked, Query } from './query.svelte';
import { pagesOf } from './rows';

/** Rows of one question to the API. */
const ROWS = 200;
/** Whoever only flies past rows does not ask for them. */
const SETTLE_MS = 80;

/** Some of the rows, by the number of their page from 0. */
type Page = { number: number; query: Query<ClientPage> };
type Asked = { find: string; status: Choice; order: Order };

/** All clients of an agency that answer a question, of which only those near the screen are asked for. */
export class ClientList implements Looked {
  /** What the rows answer; `null` before the first answer. */
  asked = $state.raw<Asked | null>(null);
  /** A newer question is under way. The rows of the one before stay until it is answered. */
  looking = $state.raw(false);
  /** How far down the person was, in px, for the next time. */
  top = 0;

  readonly #app: App;
  #pages = $state.raw<readonly Page[]>([]);
  /** The first rows: while those on the screen are on their way, it is known how many there are. */
  #first = $state.raw<Query<ClientPage> | null>(null);
  #turn = 0;
  #settle: ReturnType<typeof setTimeout> | undefined;

  constructor(app: App) {
    this.#app = app;
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
    const numbers = pagesOf(indexes.length === 0 ? [0] : indexes, ROWS);
    const wanted = numbers.map((number): Page => ({ number, query: this.#page(asked, number) }));
    const same = wanted.length === this.#pages.length && wanted.every(({ query }, at) => this.#pages[at]?.query === query);
    if (!same) this.#pages = wanted;
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      for (const { query } of wanted) if (query.answer === null && query.error === null && !query.loading) void query.reload();
    }, SETTLE_MS);
  }

  row(index: number): Client | null {
    return this.#pages.find(({ number }) => number === Math.floor(index / ROWS))?.query.data?.rows[index % ROWS] ?? null;
  }

  /** How many there are, by the newest answer. */
  get counts(): Omit<ClientPage, 'rows'> | null {
    const answers = [this.#first, ...this.#pages.map(({ query }) => query)].flatMap((query) => query?.answer ?? []);
    return answers.toSorted((a, b) => b.arrivedMs - a.arrivedMs)[0]?.data ?? null;
  }

  /** The oldest of what is on the screen. */
  get answer(): Query<ClientPage>['answer'] {
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

  #page({ find, status, order }: Asked, number: number): Query<ClientPage> {
    const args: ClientsQuery = { limit: ROWS };
    if (find !== '') args.find = find;
    if (status !== 'all') args.status = status;
    if (order.sort !== START.sort) args.sort = order.sort;
    if (order.ascending) args.ascending = true;
    if (number > 0) args.from = number * ROWS;
    return this.#app.query('clients', args);
  }
}
