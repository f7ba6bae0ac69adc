import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseTemplates, type Template, withTemplate } from './templates';

const template: fc.Arbitrary<Template> = fc.record({ name: fc.string({ minLength: 1 }), path: fc.string(), source: fc.string(), medium: fc.string(), content: fc.string(), term: fc.string() });

it('are read as they were kept, and whatever else is there is none', () => {
  fc.assert(fc.property(fc.array(template, { maxLength: 30 }), (kept) => void expect(parseTemplates(JSON.stringify(kept))).toEqual(kept)));
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void expect(Array.isArray(parseTemplates(text))).toBe(true)));
  expect([null, '', '{}', 'null', '[1, null, {"name": "x"}]'].map(parseTemplates)).toEqual([[], [], [], [], []]);
});

it('have each name once, and are at most thirty', () => {
  fc.assert(
    fc.property(fc.array(template, { maxLength: 60 }), (added) => {
      const kept = added.reduce(withTemplate, []);
      expect(new Set(kept.map(({ name }) => name)).size).toBe(kept.length);
      expect(kept.length).toBeLessThanOrEqual(30);
      const last = added.at(-1);
      if (last !== undefined) expect(kept).toContainEqual(last);
    }),
  );
});
