// The worker on this computer: workerd with a D1 of its own, taking the options and the environment of
// `aikit-partners-server serve`, so that whatever starts the one can start the other.
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Miniflare } from 'miniflare';
import { statements } from './sql.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string' },
    port: { type: 'string', default: '8787' },
    config: { type: 'string' },
    ui: { type: 'string', default: process.env.AIKIT_UI_DIR },
    demo: { type: 'boolean', default: false },
    // Seconds between two triggers, which are a minute apart once deployed; a demo is in a hurry.
    every: { type: 'string', default: '1' },
  },
});
if (positionals[0] !== 'serve' || !options.data) {
  console.error('usage: serve.mjs serve --data FOLDER [--port N] [--config FILE] [--ui FOLDER] [--demo] [--every SECONDS]');
  process.exit(2);
}
const built = process.env.AIKIT_EDGE_DIR ?? join(root, 'dist', 'edge');
if (!existsSync(join(built, 'index_bg.wasm'))) {
  console.error(`${built} holds no worker: run ./dev edge build first.`);
  process.exit(2);
}

const names = /^(STRIPE_|OIDC_|WEBHOOK_SECRET_|MAIL_API_|DRAFT_SLICES$)/;
const bindings = Object.fromEntries(Object.entries(process.env).filter(([name]) => names.test(name)));
if (options.demo) bindings.AIKIT_DEMO = '1';
// A worker does not know its port.
const settings = options.config ? readFileSync(options.config, 'utf8') : '';
bindings.AIKIT_CONFIG = /^public_url/m.test(settings) ? settings : `public_url = 'http://localhost:${options.port}/'\n${settings}`;

// As wrangler.toml has it: these paths go to the worker, everything else is a page.
const wrangler = readFileSync(join(root, 'crates', 'edge', 'wrangler.toml'), 'utf8');
const paths = JSON.parse(/^run_worker_first = (.*)$/m.exec(wrangler)[1]);

const store = join(options.data, 'd1');
mkdirSync(store, { recursive: true });
const storage = { cf: false, logRequests: false, d1Databases: { DB: 'referral' }, d1Persist: store };
// The database first: nobody is let in before it is whole.
const mf = new Miniflare({ ...storage, modules: true, script: 'export default {}' });
await prepare(await mf.getD1Database('DB'));
await mf.setOptions({
  ...storage,
  host: '127.0.0.1',
  port: Number(options.port),
  modules: [
    { type: 'ESModule', path: join(built, 'index.js') },
    { type: 'CompiledWasm', path: join(built, 'index_bg.wasm') },
  ],
  modulesRoot: built,
  compatibilityDate: /^compatibility_date = "(.*)"$/m.exec(wrangler)[1],
  bindings,
  ...(options.ui && {
    assets: {
      directory: options.ui,
      assetConfig: { not_found_handling: 'single-page-application' },
      routerConfig: { has_user_worker: true, static_routing: { user_worker: paths } },
    },
  }),
});

await mf.ready;
console.log(`listening on http://127.0.0.1:${options.port}`);

let ending = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    if (ending) return;
    ending = true;
    await mf.dispose();
    process.exit(0);
  });
}
// What `wrangler d1 export` writes, for the way back to an embedded server.
process.on('SIGUSR2', async () => {
  const db = await mf.getD1Database('DB');
  const [lines] = await db.prepare('PRAGMA miniflare_d1_export(?,?,?);').bind(0, 0).raw();
  const file = join(options.data, 'from-d1.sql');
  writeFileSync(`${file}.partial`, lines.join('\n'), { mode: 0o600 });
  renameSync(`${file}.partial`, file);
});
const worker = await mf.getWorker();
while (!ending) {
  await new Promise((done) => setTimeout(done, Number(options.every) * 1000));
  if (ending) break;
  try {
    await worker.scheduled({ cron: '* * * * *' });
  } catch (error) {
    if (!ending) console.error(`the trigger: ${error.message}`);
  }
}

/** A command of the operator's program on the folder, which must be at hand. */
function operator(...command) {
  execFileSync(process.env.AIKIT_SERVER ?? 'aikit-partners-server', command, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Migrations that were not applied, in the table of `wrangler d1 migrations`; first of all, what an embedded server left in the folder. */
async function prepare(db) {
  await db.prepare('CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)').run();
  const applied = new Set((await db.prepare('SELECT name FROM d1_migrations').all()).results.map((row) => row.name));
  const folder = join(root, 'migrations', 'referral');
  for (const name of readdirSync(folder).filter((f) => f.endsWith('.sql')).sort()) {
    if (applied.has(name)) continue;
    const all = statements(readFileSync(join(folder, name), 'utf8'));
    await db.batch([...all.map((sql) => db.prepare(sql)), db.prepare('INSERT INTO d1_migrations (name) VALUES (?)').bind(name)]);
  }
  if (applied.size) return;
  const embedded = join(options.data, 'referral.db');
  if (options.demo) {
    for (const [role, email] of [['finance', 'finance@aikit.example'], ['staff', 'partners@aikit.example']]) {
      operator('staff', 'add', '--data', options.data, '--role', role, email);
    }
  }
  if (!existsSync(embedded)) return;
  const file = join(options.data, 'to-d1.sql');
  rmSync(file, { force: true });
  operator('export', '--data', options.data, '--to', file);
  const all = statements(readFileSync(file, 'utf8'));
  rmSync(file);
  for (let at = 0; at < all.length; at += 500) await db.batch(all.slice(at, at + 500).map((sql) => db.prepare(sql)));
}
