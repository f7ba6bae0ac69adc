import type { Computer, Event } from './backend';

const AGAIN_MS = 2_000;
const ACTIVE_EACH_MS = 15_000;

/** Tells of everything that happens around the window, until it is stopped. */
export function listen(computer: Computer, happened: (event: Event) => void): () => void {
  let stopped = false;
  void (async () => {
    let after = 0;
    while (!stopped) {
      try {
        const { last, events } = await computer.events(after);
        after = last;
        // A page that is gone leaves them to the next, which has seen none.
        if (!stopped) events.forEach(happened);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  })();
  return () => {
    stopped = true;
  };
}

/** Says now and then that somebody is at the window, until it is stopped. */
export function sayActive(computer: Computer): () => void {
  let saidMs = -Infinity;
  const say = () => {
    if (performance.now() - saidMs < ACTIVE_EACH_MS) return;
    saidMs = performance.now();
    // Unsaid, the window locks itself a little early.
    computer.active().catch(() => undefined);
  };
  const signs = ['pointerdown', 'pointermove', 'keydown', 'wheel'] as const;
  for (const sign of signs) window.addEventListener(sign, say, { passive: true });
  return () => {
    for (const sign of signs) window.removeEventListener(sign, say);
  };
}
