import { getContext, setContext } from 'svelte';
import { toast } from 'svelte-sonner';
import { type AnswerOf, type Args, type Backend, type CallName, type DownloadName, type Downloads, type Overview, toCallError } from './backend';
import { copyText } from './copy';
import type { Deed } from './keys';
import { Queries, type Query } from './query.svelte';
import { href, parseRoute, type Route } from './route';
import { Session } from './session.svelte';

/** What every page can reach: the session, what was asked, and where the person is. */
export class App {
  readonly session: Session;
  readonly #queries = new Queries();
  /** What pages remember of where the person was. */
  // eslint-disable-next-line svelte/prefer-svelte-reactivity -- Nothing is rendered from the map itself.
  readonly #kept = new Map<string, unknown>();
  route = $state.raw<Route>(parseRoute(location.hash));
  /** What would be lost by signing out, while the person is asked. */
  unsent = $state.raw<string | null>(null);
  /** What the keys of the page that is shown do. */
  pageDeeds: Partial<Record<Deed, () => void>> = {};

  constructor(backend: Backend) {
    this.session = new Session(backend, () => {
      this.#queries.clear();
      this.#kept.clear();
    });
    window.addEventListener('hashchange', () => {
      this.route = parseRoute(location.hash);
    });
  }

  query<N extends CallName>(name: N, args: Args<N>): Query<AnswerOf<N>> {
    return this.#queries.of(this.session, name, args);
  }

  /** The same object under a name until the person is another. */
  keep<T>(name: string, make: () => T): T {
    if (!this.#kept.has(name)) this.#kept.set(name, make());
    return this.#kept.get(name) as T;
  }

  go(route: Route): void {
    location.hash = href(route);
  }

  /** Says where the person is without a step to go back to: for what is typed into a filter. */
  say(route: Route): void {
    history.replaceState(history.state, '', href(route));
    this.route = route;
  }

  /** Signs out. Whoever is next begins at a page of their own. */
  async signOut(discard = false): Promise<void> {
    try {
      this.unsent = await this.session.signOut(discard);
      if (this.unsent !== null) return;
    } catch {
      this.unsent = null;
      toast.error('This page is signed out, but AIKit could not be reached to end the session. Sign in and out again later.');
    }
    this.go({ page: 'sign-in' });
  }

  /** Copies the agency's main link and says so. */
  async copyMainLink(): Promise<void> {
    const overview: Query<Overview> = this.query('overview', {});
    if (overview.data === null) await overview.reload();
    if (overview.data === null) {
      toast.error(overview.error?.message ?? 'Your link is not known yet.');
      return;
    }
    await this.copy(overview.data.link_url, 'Your link is copied.');
  }

  async copy(text: string, said: string): Promise<void> {
    if (await copyText(text)) toast.success(said);
    else toast.error('The clipboard is closed to this page. Select the text and copy it by hand.');
  }

  /** Saves a file, and says where it is unless the browser does. */
  async save<N extends DownloadName>(name: N, args: Downloads[N]): Promise<void> {
    try {
      const path = await this.session.act(() => this.session.backend.save(name, args));
      if (path !== null) toast.success(`Saved as ${path}`);
    } catch (caught) {
      toast.error(toCallError(caught).message);
    }
  }

  /** Asks for a fresh onboarding address and leads on to Stripe. */
  async continueToStripe(): Promise<void> {
    try {
      const { data } = await this.session.act(() => this.session.backend.call('onboarding_link', {}));
      await this.session.backend.open(data.url);
    } catch (caught) {
      toast.error(toCallError(caught).message);
    }
  }
}

const KEY = Symbol('app');

export function provideApp(app: App): void {
  setContext(KEY, app);
}

export function useApp(): App {
  return getContext<App>(KEY);
}
