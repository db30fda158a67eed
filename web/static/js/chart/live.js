// How live bars change a track: bars of its own timeframe as they are, minutes by what they say of the bar under way.

import { isBar } from "./bars.js";

const RELOAD_MS = 4000;

export class Live {
  // onIndex(index) of the first point that changed, 0 for all.
  constructor(track, onIndex) {
    this.track = track;
    this.onIndex = onIndex;
  }

  hear(bar, isMinute) {
    const { last } = this.track.bars;
    if (isMinute) this.#hearMinute(bar);
    else this.#put(bar);
    // Bars between were closed while nobody listened, and are stored by and by.
    if (last && bar.time > this.track.timeframe.after(last.time)) this.#reload(last.time);
  }

  stop() { clearTimeout(this.timer); }

  #put(bar) {
    const index = this.track.bars.put(bar, performance.now());
    if (index >= 0) this.onIndex(index);
  }

  #hearMinute(minute) {
    const { bars, timeframe } = this.track;
    const time = timeframe.floor(minute.time);
    if (bars.last && time < bars.last.time) return this.#reload(time);
    const known = bars.points[bars.at(time)];
    if (isBar(known)) this.#put({ ...known, ...grown(known, minute) });
    else this.#put({ ...minute, time });
    // The volume, and the exact bar, come from the server once the minute is stored.
    if (minute.closed || minute.corrected) this.#reload(time);
  }

  #reload(time) {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      const { bars, timeframe } = this.track;
      if (!timeframe.isStored) for (const row of bars.stored.values()) if (row.time >= time) delete row.heardAt;
      await this.track.load(time).then(() => this.onIndex(0), () => {});
    }, RELOAD_MS);
  }
}

const grown = (bar, minute) => ({ high: Math.max(bar.high, minute.high), low: Math.min(bar.low, minute.low), close: minute.close });
