// The bars of one market at one interval: ascending, one per bucket, no bucket missing between two of them.

const AVERAGED = 10;

export class Bars {
  constructor(width) {
    this.width = width;
    this.all = [];
  }

  get last() { return this.all.at(-1); }

  // Take rows in any order; a row replaces what is known of its bucket. Buckets without trades between two rows get
  // the close before them and no volume.
  merge(rows) {
    const known = new Map(this.all.filter((bar) => !bar.filled).map((bar) => [bar.time, bar]));
    for (const row of rows) known.set(row.time, row);
    const sorted = [...known.values()].sort((a, b) => a.time - b.time);
    this.all = [];
    for (const bar of sorted) this.#append(bar);
  }

  // Take one live bar. Answers the index of the first bar that is new or changed; -1 when it is older than all.
  put(bar) {
    if (!this.last || bar.time > this.last.time) {
      const first = this.all.length;
      this.#append(bar);
      return first;
    }
    const index = this.all.length - 1 - Math.round((this.last.time - bar.time) / this.width);
    if (index < 0 || this.all[index].time !== bar.time) return -1;
    this.all[index] = bar;
    return index;
  }

  // The mean of the ten closes that end with this bar's own; undefined for the first nine bars.
  average(index) {
    if (index < AVERAGED - 1) return undefined;
    const closes = this.all.slice(index - AVERAGED + 1, index + 1);
    return closes.reduce((sum, bar) => sum + bar.close, 0) / AVERAGED;
  }

  at(time) {
    const index = this.last ? this.all.length - 1 - Math.round((this.last.time - time) / this.width) : -1;
    return this.all[index]?.time === time ? index : -1;
  }

  #append(bar) {
    const before = this.last;
    if (before) {
      const { close } = before;
      for (let time = before.time + this.width; time < bar.time; time += this.width) {
        this.all.push({ time, open: close, high: close, low: close, close, volume: 0, filled: true });
      }
    }
    this.all.push(bar);
  }
}
