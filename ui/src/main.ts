import '@fontsource-variable/inter/wght.css';
import './app.css';
import { mount } from 'svelte';
import Root from './Root.svelte';
import { App } from './lib/app.svelte';
import { chooseBackend } from './lib/backend';
import './lib/theme.svelte';

// The address in a message, `/runs/2026-10.1`, is the page `#/runs/2026-10.1`.
if (location.hash === '' && !/^\/(index\.html)?$/.test(location.pathname)) {
  history.replaceState(null, '', `/#${location.pathname}`);
}

const target = document.getElementById('app');
if (target === null) throw new Error('index.html has no element "app".');
mount(Root, { target, props: { app: new App(await chooseBackend()) } });
