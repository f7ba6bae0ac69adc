import type { Link, Utm } from './backend';

/** What a link will be, before it is made: the address to share, and the page on AIKit's site that it leads to. */
export function previewLink(mainUrl: string, code: string, id: string, path: string, utm: Utm): { share: string; leadsTo: string } {
  const share = new URL(mainUrl);
  share.searchParams.set('l', id);
  const [page, query] = split(path);
  const params = new URLSearchParams(query);
  params.set('ref', code);
  for (const name of ['source', 'medium', 'campaign', 'content', 'term'] as const) {
    const value = utm[name] ?? '';
    if (value !== '') params.set(`utm_${name}`, value);
  }
  return { share: share.href, leadsTo: `${page}?${params}` };
}

/** Why a path cannot be a link's destination, or `null`. The API is stricter and has the last word. */
export function pathProblem(path: string): string | null {
  if (!path.startsWith('/')) return 'The path begins with a slash, for example /pricing.';
  if (path.startsWith('//') || path.includes('\\') || path.includes('@') || /\s/.test(path)) {
    return 'Only a path on AIKit\u2019s site can be used, for example /pricing.';
  }
  return null;
}

/** What is typed about a link, and kept of a template. */
export type Typed = { path: string; source: string; medium: string; content: string; term: string };

/** UTM values as they are sent: trimmed, and empty ones left out. */
export function utmOf(typed: Omit<Typed, 'path'> & { campaign: string }): Utm {
  const kept = (text: string) => (text.trim() === '' ? null : text.trim());
  const utm: Utm = { source: kept(typed.source), medium: kept(typed.medium), campaign: kept(typed.campaign) };
  const [content, term] = [kept(typed.content), kept(typed.term)];
  return { ...utm, ...(content === null ? {} : { content }), ...(term === null ? {} : { term }) };
}

/** UTM values in a line: `newsletter · email · Spring`. */
export const utmText = ({ utm }: Link): string =>
  [utm.source, utm.medium, utm.campaign, utm.content, utm.term].filter((part) => part !== null && part !== undefined).join(' · ');

/** Links that have every word of the filter in their campaign, path or UTM values. */
export function filterLinks(links: Link[], filter: string): Link[] {
  const plain = (text: string) => text.normalize('NFKD').replace(/\p{M}+/gu, '').toLowerCase();
  const words = plain(filter).split(/\s+/).filter(Boolean);
  return links.filter((link) => {
    const text = plain(`${link.campaign} ${link.path} ${utmText(link)}`);
    return words.every((word) => text.includes(word));
  });
}

export type Length = 'short' | 'post' | 'long';

/** What to say beside a link, by the room there is. The words of the terms are in the middle one, as they are. */
export function disclosures(ofTerms: string, agency: string): Record<Length, string> {
  return {
    short: 'Ad: AIKit partner link',
    post: ofTerms,
    long: `About our links to AIKit: ${ofTerms} AIKit pays this commission to ${agency}; it is no part of what you pay us.`,
  };
}

function split(path: string): [page: string, query: string] {
  const at = path.indexOf('?');
  return at < 0 ? [path, ''] : [path.slice(0, at), path.slice(at + 1)];
}
