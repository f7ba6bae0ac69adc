/** What was deleted on the screen and is deleted in truth a moment later, unless somebody takes that back. */
export class Leaving {
  ids = $state.raw<readonly string[]>([]);

  /** Answers how to take it back. Where the window is closed before, nothing was deleted. */
  start(id: string, afterMs: number, deed: () => Promise<void>): () => void {
    this.ids = [...this.ids, id];
    const stay = () => (this.ids = this.ids.filter((one) => one !== id));
    const timer = setTimeout(() => void deed().finally(stay), afterMs);
    return () => {
      clearTimeout(timer);
      stay();
    };
  }
}
