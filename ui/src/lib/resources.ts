import type { Resource, ResourceKind } from './backend';
import type { Word } from './words';

/** The kinds in the order in which they are shown. */
export const KINDS: { kind: ResourceKind; many: string; one: string }[] = [
  { kind: 'email_template', many: 'E-mail templates', one: 'E-mail template' },
  { kind: 'case_study', many: 'Case studies', one: 'Case study' },
  { kind: 'best_practice', many: 'Best practice', one: 'Best practice' },
  { kind: 'material', many: 'Material', one: 'Material' },
];

export const kindName = (kind: ResourceKind): string => KINDS.find((one) => one.kind === kind)?.one ?? kind;

/** What stands for what an agency's own is, in an e-mail template. */
export type Own = { link: string; agency: string };

/** A template with what is the agency's own. Everything else in braces stays as it is. */
export function fill(text: string, own: Own): string {
  return text.replace(/\{(link|agency)\}/g, (_, name: keyof Own) => own[name]);
}

/** Resources that have every word of the search in their title, summary, text or file. */
export function search(resources: Resource[], typed: string): Resource[] {
  const plain = (text: string) => text.normalize('NFKD').replace(/\p{M}+/gu, '').toLowerCase();
  const words = plain(typed).split(/\s+/).filter(Boolean);
  return resources.filter((one) => {
    const text = plain(`${one.title} ${one.summary} ${kindName(one.kind)} ${one.text} ${one.file?.name ?? ''}`);
    return words.every((word) => text.includes(word));
  });
}

/** Those of each kind that has some, in their order. */
export function grouped(resources: Resource[]): { kind: ResourceKind; many: string; of: Resource[] }[] {
  return KINDS.map(({ kind, many }) => ({ kind, many, of: resources.filter((one) => one.kind === kind) })).filter(({ of }) => of.length > 0);
}

/** How long a file is: `1.4 MB`, `320 kB`. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** What a file is, in a word: `PDF`. */
export const ending = (name: string): string => (name.includes('.') ? (name.split('.').pop() ?? '') : '').toUpperCase();

/** The ids with one of them a place up or down among those that are seen; `null` where it is at the end already. */
export function moved(order: string[], seen: string[], id: string, by: -1 | 1): string[] | null {
  const neighbour = seen[seen.indexOf(id) + by];
  if (!seen.includes(id) || neighbour === undefined) return null;
  const rest = order.filter((one) => one !== id);
  rest.splice(rest.indexOf(neighbour) + (by === 1 ? 1 : 0), 0, id);
  return rest;
}

export const stateWord = (one: Resource): Word =>
  one.published_at === null ? { text: 'Draft', tone: 'plain' } : { text: 'Published', tone: 'good' };

const FILE_BYTES = 1_500_000;
const ENDINGS = ['PDF', 'PNG', 'JPG', 'JPEG', 'WEBP', 'TXT', 'CSV', 'DOCX', 'PPTX', 'XLSX', 'ZIP'];

/** What the file dialog offers. */
export const ACCEPT = ENDINGS.map((one) => `.${one.toLowerCase()}`).join(',');

/** Why a file cannot be sent, or `null`. The API is stricter and has the last word. */
export function fileProblem(file: { name: string; size: number }): string | null {
  if (!ENDINGS.includes(ending(file.name))) return 'Only PDF, PNG, JPEG, WebP, text, CSV, Word, PowerPoint, Excel and ZIP files are kept here.';
  if (file.size === 0) return 'This file is empty.';
  if (file.size > FILE_BYTES) return `This file has ${size(file.size)}; 1.5 MB is the most. Put it somewhere else and give its link.`;
  return null;
}

/** Why an address cannot be the link of a resource, or `null`. */
export function linkProblem(typed: string): string | null {
  const text = typed.trim();
  if (text === '') return null;
  return /^https:\/\/[^\s/@]+(\/\S*)?$/i.test(text) && URL.canParse(text) ? null : 'The whole address, beginning with https://';
}

const PART_BYTES = 150_000;

/** One part of a file, as it is sent. */
export type FilePart = { upload: string; name: string; bytes: number; sha256: string; part: number; data: string };

/** A file in parts, each of which fits in a request. */
export async function fileParts(upload: string, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<FilePart[]> {
  // Missing on an insecure origin, on which AIKit's people do not work.
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const parts: FilePart[] = [];
  for (let at = 0; at < bytes.length; at += PART_BYTES) {
    const data = base64(bytes.subarray(at, at + PART_BYTES));
    parts.push({ upload, name, bytes: bytes.length, sha256, part: at / PART_BYTES, data });
  }
  return parts;
}

function base64(bytes: Uint8Array): string {
  let text = '';
  // A call takes a limited number of arguments.
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
