import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const api = process.env.AIKIT_API ?? 'http://127.0.0.1:8787';

export default defineConfig({
  plugins: [svelte()],
  // From the root, so that the page of any address finds its files: a message leads to `/runs/2026-10.1`.
  base: '/',
  build: {
    target: 'safari17.5',
    // A `data:` address would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { port: 1420, strictPort: true, proxy: { '/v1': api } },
  test: { environment: 'node', include: ['src/**/*.test.ts'] },
});
