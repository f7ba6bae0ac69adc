import { describe, expect, it } from 'vitest';
import type { Resource } from './backend';
import { ending, fileParts, fileProblem, fill, grouped, linkProblem, moved, search, size } from './resources';

const resource = (id: string, kind: Resource['kind'], title: string, text = ''): Resource => ({
  id,
  kind,
  title,
  summary: '',
  text,
  link: null,
  file: null,
  changed_at: '2026-06-01T00:00:00Z',
  published_at: null,
  version: 1,
});

describe('a template', () => {
  const own = { link: 'https://go.example/r/a?x=1&y=$&', agency: '{link} & Söhne' };
  it('takes what is the agency\u2019s own, once, and leaves other braces', () => {
    expect(fill('{agency}: {link}, {Link} {name} {{link}}', own)).toBe(
      '{link} & Söhne: https://go.example/r/a?x=1&y=$&, {Link} {name} {https://go.example/r/a?x=1&y=$&}',
    );
  });
});

describe('a list', () => {
  const all = [
    resource('1', 'case_study', 'Hôtel am Fluß', 'Twelve weeks'),
    resource('2', 'email_template', 'Introduce AIKit'),
    resource('3', 'case_study', 'A clinic'),
  ];
  it('is searched without minding case and accents', () => {
    expect(search(all, 'HOTEL weeks').map((one) => one.id)).toEqual(['1']);
    expect(search(all, 'case study').map((one) => one.id)).toEqual(['1', '3']);
    expect(search(all, '  ')).toHaveLength(3);
    expect(search(all, 'nothing')).toEqual([]);
  });
  it('is grouped by kind, in the order of each', () => {
    expect(grouped(all).map(({ many, of }) => [many, of.map((one) => one.id)])).toEqual([
      ['E-mail templates', ['2']],
      ['Case studies', ['1', '3']],
    ]);
  });
});

describe('the order', () => {
  const order = ['a', 'gone', 'b', 'c'];
  const seen = ['a', 'b', 'c'];
  it('moves past the neighbour that is seen and loses nobody', () => {
    expect(moved(order, seen, 'b', -1)).toEqual(['b', 'a', 'gone', 'c']);
    expect(moved(order, seen, 'a', 1)).toEqual(['gone', 'b', 'a', 'c']);
    expect(moved(order, seen, 'b', 1)).toEqual(['a', 'gone', 'c', 'b']);
  });
  it('ends at its ends', () => {
    expect(moved(order, seen, 'a', -1)).toBeNull();
    expect(moved(order, seen, 'c', 1)).toBeNull();
    expect(moved(order, seen, 'gone', 1)).toBeNull();
  });
});

describe('a file', () => {
  it('has a size and an ending in words', () => {
    expect([size(12), size(1_499), size(320_400), size(1_470_000)]).toEqual(['12 B', '1 kB', '320 kB', '1.5 MB']);
    expect([ending('One pager.final.pdf'), ending('README')]).toEqual(['PDF', '']);
  });
  it('is refused with its reason', () => {
    expect(fileProblem({ name: 'a.PDF', size: 1_500_000 })).toBeNull();
    expect(fileProblem({ name: 'a.pdf', size: 1_500_001 })).toContain('give its link');
    expect(fileProblem({ name: 'a.pdf', size: 0 })).toContain('empty');
    expect(fileProblem({ name: 'logo.svg', size: 10 })).toContain('Only PDF');
  });
  it('is sent in parts that are the whole file', async () => {
    const bytes = Uint8Array.from({ length: 300_001 }, (_, n) => n % 251);
    const parts = await fileParts('u', 'a.zip', bytes);
    expect(parts.map(({ part, data }) => [part, data.length])).toEqual([[0, 200_000], [1, 200_000], [2, 4]]);
    const joined = parts.map(({ data }) => atob(data)).join('');
    expect(joined.length).toBe(bytes.length);
    expect(Array.from(joined, (c) => c.charCodeAt(0))).toEqual(Array.from(bytes));
    expect(new Set(parts.map(({ sha256 }) => sha256)).size).toBe(1);
    const [one] = await fileParts('u', 'a.txt', new TextEncoder().encode('x'));
    expect(one?.sha256).toBe('2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881');
  });
});

it('links are https and nothing else', () => {
  expect(['', 'https://a.example/b c'.replace(' ', '%20'), 'https://a.example'].map(linkProblem)).toEqual([null, null, null]);
  for (const bad of ['http://a.example', 'a.example', 'javascript:alert(1)', 'https://', 'https://me@a.example', 'https://a b']) expect(linkProblem(bad)).not.toBeNull();
});
