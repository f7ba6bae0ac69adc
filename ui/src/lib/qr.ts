import { encode } from 'uqr';

/** White around the code, in modules: what the standard asks for. */
const QUIET = 4;
/** Side of a picture in px, at least. */
const PNG_PX = 1024;
/** Letters of a name beside each other. */
const LINE = 30;
const FONT = "'Inter Variable', Inter, Arial, sans-serif";

/** A code and what stands under it, in modules. */
export type QrDrawing = {
  width: number;
  height: number;
  /** Dark modules beside each other. */
  runs: { x: number; y: number; length: number }[];
  lines: { text: string; x: number; y: number; size: number }[];
};

/** Draws an address with a name under it. Dark on white whatever the page looks like, because readers expect it. */
export function drawQr(address: string, name: string): QrDrawing {
  const { size, data } = encode(address, { ecc: 'M', border: 0 });
  const width = size + 2 * QUIET;
  const runs = data.flatMap((row, y) => runsOf(row).map(({ from, length }) => ({ x: QUIET + from, y: QUIET + y, length })));
  const texts = linesOf(name);
  // Letters of a bold sans are about 0.6 of their size wide.
  const longest = Math.max(1, ...texts.map((text) => [...text].length));
  const letter = Math.min(width / 14, (width - QUIET) / (0.6 * longest));
  const top = size + 2 * QUIET - 1 + letter;
  const lines = texts.map((text, n) => ({ text, x: width / 2, y: top + n * letter * 1.25, size: letter }));
  const last = lines.at(-1);
  return { width, height: last === undefined ? width : last.y + letter * 0.4 + 2, runs, lines };
}

export function qrSvg(address: string, name: string): string {
  const { width, height, runs, lines } = drawQr(address, name);
  const path = runs.map(({ x, y, length }) => `M${x} ${y}h${length}v1h-${length}z`).join('');
  const texts = lines.map(
    ({ text, x, y, size }) =>
      `<text x="${x}" y="${round(y)}" font-size="${round(size)}" font-weight="600" font-family="${FONT}" text-anchor="middle" fill="#000">${escaped(text)}</text>`,
  );
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${round(height)}" width="${width * 8}" height="${round(height * 8)}" shape-rendering="crispEdges">` +
    `<rect width="100%" height="100%" fill="#fff"/><path d="${path}" fill="#000"/>${texts.join('')}</svg>`
  );
}

/** The same as a picture, each module a whole number of px. */
export async function qrPng(address: string, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height, runs, lines } = drawQr(address, name);
  const px = Math.ceil(PNG_PX / width);
  const canvas = document.createElement('canvas');
  canvas.width = width * px;
  canvas.height = Math.ceil(height * px);
  const paint = canvas.getContext('2d');
  if (paint === null) throw new Error('There is no canvas to draw on.');
  paint.fillStyle = '#fff';
  paint.fillRect(0, 0, canvas.width, canvas.height);
  paint.fillStyle = '#000';
  for (const { x, y, length } of runs) paint.fillRect(x * px, y * px, length * px, px);
  paint.textAlign = 'center';
  for (const { text, x, y, size } of lines) {
    paint.font = `600 ${size * px}px ${FONT}`;
    paint.fillText(text, x * px, y * px);
  }
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (blob === null) throw new Error('The picture could not be made.');
  return new Uint8Array(await blob.arrayBuffer());
}

/** What the file of a code is called, without its ending: `qr-spring-newsletter`. */
export function qrFileName(campaign: string): string {
  const plain = campaign.normalize('NFKD').toLowerCase().replace(/\p{M}+/gu, '').replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '');
  return `qr-${plain.slice(0, 60).replace(/-+$/, '') || 'link'}`;
}

/** A name in at most two lines, cut where even they are too short. */
export function linesOf(name: string): string[] {
  const words = name.replace(/[\p{Cc}\p{Cs}]+/gu, ' ').split(/\s+/).filter(Boolean);
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && [...`${last} ${word}`].length <= LINE) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  const [first, second] = lines.map((line, n) => cut(n === 1 && lines.length > 2 ? `${line} …` : line));
  return [first, second].filter((line) => line !== undefined);
}

function cut(line: string): string {
  const letters = [...line];
  return letters.length <= LINE ? line : `${letters.slice(0, LINE - 1).join('')}…`;
}

function runsOf(row: readonly boolean[]): { from: number; length: number }[] {
  const runs: { from: number; length: number }[] = [];
  row.forEach((dark, at) => {
    const last = runs.at(-1);
    if (!dark) return;
    if (last !== undefined && last.from + last.length === at) last.length++;
    else runs.push({ from: at, length: 1 });
  });
  return runs;
}

const round = (n: number) => Math.round(n * 100) / 100;
const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escaped = (text: string) => text.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
