import fc from 'fast-check';
import jsQR from 'jsqr';
import { expect, it } from 'vitest';
import { linesOf, qrFileName, qrSvg } from './qr';

/** What another program reads from the picture: its path is painted dot by dot, as a screen would. */
function read(svg: string): string | undefined {
  const [, width, height] = /viewBox="0 0 (\d+) ([\d.]+)"/.exec(svg) ?? [];
  const scale = 4;
  const [w, h] = [Number(width) * scale, Math.ceil(Number(height) * scale)];
  const dots = new Uint8ClampedArray(w * h * 4).fill(255);
  const [, path] = /<path d="([^"]+)"/.exec(svg) ?? [];
  for (const [, x, y, length] of (path ?? '').matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
    for (let row = 0; row < scale; row++) {
      for (let column = 0; column < Number(length) * scale; column++) {
        const at = ((Number(y) * scale + row) * w + Number(x) * scale + column) * 4;
        dots.fill(0, at, at + 3);
      }
    }
  }
  return jsQR(dots, w, h, { inversionAttempts: 'dontInvert' })?.data;
}

const id = '0193e5a0-7c1e-4f00-8000-0123456789ab';

it('holds the link and nothing else', () => {
  for (const link of ['https://partners.aikit.example/r/PARTNER_ASR22MD6', `https://partners.aikit.example/r/bureau-meridian?l=${id}`, 'http://127.0.0.1:8897/r/x']) {
    expect(read(qrSvg(link, 'Bureau Meridian'))).toBe(link);
  }
});

it('is read again however long the link is', () => {
  const path = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.~/%'), minLength: 0, maxLength: 900 });
  fc.assert(
    fc.property(path, fc.string({ unit: 'grapheme', maxLength: 90 }), (path, name) => {
      const link = `https://partners.aikit.example/r/${path}?l=${id}`;
      expect(read(qrSvg(link, name))).toBe(link);
    }),
    { numRuns: 40 },
  );
});

it('has the name under it, whatever is in the name', () => {
  const svg = qrSvg('https://aikit.example/r/x', 'Smith & "Sons" <Ltd>');
  expect(svg).toContain('Smith &amp; &quot;Sons&quot; &lt;Ltd&gt;');
  expect(linesOf('Bureau Meridian')).toEqual(['Bureau Meridian']);
  expect(linesOf('')).toEqual([]);
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (name) => {
      const lines = linesOf(name);
      expect(lines.length).toBeLessThanOrEqual(2);
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(30);
      expect(qrSvg('https://aikit.example/r/x', name).match(/<(?!\/?(svg|rect|path|text)\b)/)).toBeNull();
    }),
  );
});

it('is saved under the name of its campaign', () => {
  expect([qrFileName('Spring newsletter 2026'), qrFileName('Über Öl & Co.'), qrFileName(''), qrFileName('../..')]).toEqual([
    'qr-spring-newsletter-2026', 'qr-uber-ol-co', 'qr-link', 'qr-link',
  ]);
});
