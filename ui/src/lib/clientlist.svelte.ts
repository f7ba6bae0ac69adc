import type { App } from './app.svelte';
import type { Client, ClientPage, ClientsQuery } from './backend';
import { type Choice, type Order, START } from './clients';
import { PagedList } from './pagedlist.svelte';

/** Rows of one question to the API. */
const ROWS = 200;

type Asked = { find: string; status: Choice; order: Order };

/** All clients of an agency that answer a question, of which only those near the screen are asked for. */
export class ClientList extends PagedList<Asked, ClientPage, Client> {
  constructor(app: App) {
    const query = ({ find, status, order }: Asked, from: number, limit: number) => {
      const args: ClientsQuery = { limit };
      if (find !== '') args.find = find;
      if (status !== 'all') args.status = status;
      if (order.sort !== START.sort) args.sort = order.sort;
      if (order.ascending) args.ascending = true;
      if (from > 0) args.from = from;
      return app.query('clients', args);
    };
    super(ROWS, query, ({ rows }) => rows);
  }
}
