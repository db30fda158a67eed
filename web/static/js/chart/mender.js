// Asks again and again for what is missing, so that it appears when it has been fetched.

const EVERY_MS = 15_000;
const SOON_MS = 3000;

export class Mender {
  constructor(track, onChange) {
    this.track = track;
    this.onChange = onChange;
    this.lookedAt = 0;
    this.timer = setInterval(() => this.track.missing.length && this.mend(), EVERY_MS);
  }

  // Minutes arrive: look, though not more often than every few seconds.
  hurry() {
    this.track.hasOlder = true;
    if (performance.now() - this.lookedAt > SOON_MS) this.mend();
  }

  // Learn why minutes are not there, and load the bars of those that have come. Asked meanwhile, it looks once more: older
  // bars may have been loaded.
  async mend() {
    this.wanted = true;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.wanted) {
        this.wanted = false;
        this.lookedAt = performance.now();
        await this.#look();
      }
    } catch {
      // The server does not answer; the connection says so, and this is tried again.
    } finally {
      this.busy = false;
    }
  }

  stop() {
    clearInterval(this.timer);
    this.wanted = false;
  }

  async #look() {
    const { track } = this;
    if (!track.bars.first) await track.newest();
    const before = track.missing;
    await track.askCoverage();
    const left = new Set(track.missing.map(({ start, end }) => `${start}-${end}`));
    const come = before.filter(({ start, end }) => !left.has(`${start}-${end}`));
    if (come.length) await track.load(track.timeframe.floor(come[0].start), come.at(-1).end);
    this.onChange();
  }
}
