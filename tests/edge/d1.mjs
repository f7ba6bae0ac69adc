// Databases of D1 in workerd for the tests of the API: each connection has an empty one of its own until it closes, asks by
// a line of JSON and is answered by one: {"all": [[sql, values], …], "whole": true where it is a batch}.
//
// node d1.mjs COMMAND…: runs the command with AIKIT_D1=ADDRESS, and ends with it.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Miniflare } from 'miniflare';
import { statements } from './sql.mjs';

const POOL = 24;
const folder = fileURLToPath(new URL('../../migrations/referral', import.meta.url));
const migrations = readdirSync(folder).filter((name) => name.endsWith('.sql')).sort();
const schema = migrations.flatMap((name) => statements(readFileSync(join(folder, name), 'utf8')));
const names = Array.from({ length: POOL }, (_, n) => `D${n}`);

const mf = new Miniflare({
  cf: false,
  logRequests: false,
  modules: true,
  d1Databases: Object.fromEntries(names.map((name) => [name, name])),
  script: `export default {
    async fetch(request, env) {
      const { database, all, whole } = await request.json();
      const db = env[database];
      const prepared = all.map(([sql, values]) => db.prepare(sql).bind(...values));
      try {
        const answers = whole ? await db.batch(prepared) : [await prepared[0].all()];
        return Response.json({ answers: answers.map((a) => ({ rows: a.results, changes: a.meta.changes })) });
      } catch (error) {
        return Response.json({ error: error.message });
      }
    }
  }`,
});
const address = await mf.ready;
async function ask(question) {
  const response = await fetch(address, { method: 'POST', body: JSON.stringify(question) });
  return response.text();
}

/** Everything that the last test made, gone; then the tables as the migrations make them. */
async function emptied(database) {
  const made = `SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view', 'trigger') AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' ORDER BY rowid DESC`;
  const found = JSON.parse(await ask({ database, all: [[made, []]] })).answers[0].rows;
  // What refers to a table was made after it.
  const last = ['trigger', 'view', 'table'];
  found.sort((a, b) => last.indexOf(a.type) - last.indexOf(b.type));
  const drops = found.map(({ type, name }) => `DROP ${type} "${name}"`);
  const all = ['PRAGMA defer_foreign_keys = ON', ...drops, ...schema].map((sql) => [sql, []]);
  const { error } = JSON.parse(await ask({ database, all, whole: true }));
  if (error) throw new Error(`${database} cannot be emptied: ${error}`);
}

const free = [...names];
const waiting = [];
const server = createServer(async (socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  const database = free.pop() ?? (await new Promise((done) => waiting.push(done)));
  socket.on('close', () => (waiting.length ? waiting.shift()(database) : free.push(database)));
  await emptied(database);
  for await (const line of createInterface({ input: socket })) {
    socket.write(`${await ask({ database, ...JSON.parse(line) })}\n`);
  }
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const [program, ...words] = process.argv.slice(2);
const child = spawn(program, words, { stdio: 'inherit', env: { ...process.env, AIKIT_D1: `127.0.0.1:${server.address().port}` } });
child.on('exit', async (code) => {
  await mf.dispose();
  process.exit(code ?? 1);
});
