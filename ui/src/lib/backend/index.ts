import type { Backend } from './backend';
import { BrowserBackend } from './browser';

export * from './backend';
export type * from './bindings';
export type { Event, MoneyKey, Preferences, SendingHere, Settings } from './natives';
export { sayConfirmed } from './browser';

/** The backend of the host that the page finds itself in. */
export async function chooseBackend(): Promise<Backend> {
  if ('__TAURI_INTERNALS__' in window) {
    const { DesktopBackend } = await import('./desktop');
    return new DesktopBackend();
  }
  return new BrowserBackend();
}
