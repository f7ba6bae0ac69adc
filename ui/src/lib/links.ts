import type { Utm } from './backend';

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

/** UTM values as they are sent: trimmed, and empty ones left out. */
export function utmOf(typed: { source: string; medium: string; campaign: string }): Utm {
  const kept = (text: string) => (text.trim() === '' ? null : text.trim());
  return { source: kept(typed.source), medium: kept(typed.medium), campaign: kept(typed.campaign) };
}

function split(path: string): [page: string, query: string] {
  const at = path.indexOf('?');
  return at < 0 ? [path, ''] : [path.slice(0, at), path.slice(at + 1)];
}
