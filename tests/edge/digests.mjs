// What the engine compiled to WebAssembly says of journals: one JSON a line in ({journal, terms, as_of}), one answer a line out.
// usage: digests.mjs MODULE, the script that wasm-bindgen made for node.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { digest } = createRequire(import.meta.url)(process.argv[2]);
for await (const line of createInterface({ input: process.stdin })) {
  const { journal, terms, as_of } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(digest(journal, terms, as_of))}\n`);
}
