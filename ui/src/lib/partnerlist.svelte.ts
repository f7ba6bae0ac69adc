import type { App } from './app.svelte';
import type { PartnerPage, PartnerRow } from './backend';
import { PagedList } from './pagedlist.svelte';
import { asQuery, type Question } from './partners';

/** Rows of one question to the API. */
const ROWS = 100;

/** All agencies that answer a question, of which only those near the screen are asked for. */
export class PartnerList extends PagedList<Question, PartnerPage, PartnerRow> {
  constructor(app: App) {
    super(ROWS, (question, from, limit) => app.query('partners', asQuery(question, from, limit)), ({ partners }) => partners);
  }
}
