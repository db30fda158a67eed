// How live bars change a track. What is heard before its history is there waits for it.

const RELOAD_MS = 4000;

export class Live {
  // onIndex(index) of the first point that changed, 0 for all.
  constructor(track, onIndex) {
    this.track = track;
    this.onIndex = onIndex;
    this.waiting = [];
  }

  // The history is there.
  begin() {
    const { waiting } = this;
    this.waiting = undefined;
    for (const [bar, heardAt] of waiting) this.#put(bar, heardAt);
  }

  hear(bar) {
    if (this.waiting) this.waiting.push([bar, performance.now()]);
    else this.#put(bar, performance.now());
  }

  stop() { clearTimeout(this.timer); }

  #put(bar, heardAt) {
    const { bars, timeframe } = this.track;
    const before = bars.last;
    const index = bars.put(bar, heardAt);
    if (index >= 0) this.onIndex(index);
    // Bars between were closed while nobody listened, and are stored by and by.
    if (before && bar.time > timeframe.after(before.time)) this.#reload(before.time);
  }

  #reload(time) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.track.load(time).then(() => this.onIndex(0), () => {}), RELOAD_MS);
  }
}
