import { invoke } from '@tauri-apps/api/core';
import type { Account, Downloads } from './bindings';
import type { Natives } from './natives';
import {
  type Answer,
  type AnswerOf,
  type Args,
  type Backend,
  type CallName,
  type Computer,
  type Copies,
  type DownloadName,
  type Money,
  toCallError,
} from './backend';

/** Asks the desktop app, which holds the tokens and keeps saved copies. */
export class DesktopBackend implements Backend {
  readonly host = 'desktop';
  readonly money: Money = {
    key: () => native('money_key', {}),
    keep: (key) => native('keep_money_key', { key }),
    forget: () => native('forget_money_key', {}),
    send: (run) => native('send_here', { run }),
    sending: () => native('sending_here', {}),
    stop: () => native('stop_sending', {}),
  };
  readonly computer: Computer = {
    settings: () => native('preferences', {}),
    choose: (chosen) => native('set_preferences', chosen),
    startAtLogin: (on) => native('start_at_login', { on }),
    events: (after) => native('events', { after }),
    active: async () => void (await native('active', {})),
    locked: () => native('locked', {}),
  };

  readonly copies: Copies = {
    state: () => native('copy_state', {}),
    syncNow: () => native('sync_now', {}),
    cancel: () => native('cancel_sync', {}),
    dismiss: (mid) => native('dismiss_act', { mid }),
    focused: async () => {
      await native('focused', {});
    },
    differences: () => native('statement_differences', {}),
  };

  call<N extends CallName>(name: N, args: Args<N>): Promise<Answer<AnswerOf<N>>> {
    return rpc(name, args);
  }

  async save<N extends DownloadName>(file: N, args: Downloads[N]): Promise<string | null> {
    return (await native('save', { file, args })).path;
  }

  async saveOwn(name: string, _mime: string, bytes: Uint8Array<ArrayBuffer>): Promise<string | null> {
    // By character: an argument list has an end, and a picture may be longer.
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
    return (await native('save_own', { name, base64: btoa(text) })).path;
  }

  resume(): Promise<Account | null> {
    return native('resume', {});
  }

  signIn(who: { email: string; code: string }): Promise<Account> {
    return native('sign_in', who);
  }

  signInDemo(person: string): Promise<Account> {
    return native('sign_in_demo', { person });
  }

  signInAtIssuer(confirm: boolean): Promise<Account> {
    return native('sign_in_at_issuer', { confirm });
  }

  async stopWaiting(): Promise<void> {
    await native('stop_waiting', {});
  }

  async signOut(discard: boolean): Promise<void> {
    await native('sign_out', { discard });
  }

  async open(url: string): Promise<void> {
    await native('open', { url });
  }

  banner(): Promise<string | null> {
    return native('banner', {});
  }
}

/** One of the app's own commands, which the API does not know. */
function native<N extends string & keyof Natives>(name: N, args: Natives[N]['args']): Promise<Natives[N]['answer']> {
  return rpc(name, args);
}

async function rpc<T>(cmd: string, args: object): Promise<T> {
  try {
    return await invoke<T>('rpc', { cmd, args });
  } catch (error) {
    throw toCallError(error);
  }
}
