/** The page's idea of the time, good to a few seconds: enough for «Live», countdowns and years. */
class Now {
  date = $state.raw(new Date());

  constructor() {
    setInterval(() => {
      this.date = new Date();
    }, 5000);
  }
}

export const now = new Now();
