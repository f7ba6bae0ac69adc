import { CALLS, DOWNLOADS, type Downloads, type Way } from './bindings';
import type { Args, CallName, DownloadName } from './backend';

/** An HTTP request, before any host has touched it. */
export type Request = { method: 'GET' | 'POST'; url: string; body: string | null };

/**
 * Turns a call into a request: path parameters are taken out of the arguments by name, and what remains is the query
 * of a GET or the JSON body of a POST.
 */
export function requestOf<N extends CallName>(name: N, args: Args<N>): Request {
  return travel(CALLS[name], args);
}

/** The same of a file. */
export function fileRequestOf<N extends DownloadName>(name: N, args: Downloads[N]): Request {
  return travel(DOWNLOADS[name], args);
}

function travel({ method, path }: Way, args: object): Request {
  const rest = new Map<string, unknown>(Object.entries(args));
  const url = path.replace(/\{(\w+)\}/g, (_, parameter: string) => {
    const value = rest.get(parameter);
    rest.delete(parameter);
    return pathSegment(parameter, value);
  });
  if (method === 'POST') return { method, url, body: JSON.stringify(Object.fromEntries(rest)) };
  const query = new URLSearchParams();
  for (const [key, value] of rest) {
    if (value !== null && value !== undefined) query.set(key, String(value));
  }
  return { method, url: query.size > 0 ? `${url}?${query}` : url, body: null };
}

function pathSegment(parameter: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new TypeError(`The path parameter ${parameter} is missing.`);
  // A URL parser folds `.` and `..` away, percent-encoded or not, so no encoding can carry them.
  if (value === '.' || value === '..') throw new TypeError(`The path parameter ${parameter} may not be "${value}".`);
  return encodeURIComponent(value.toWellFormed());
}
