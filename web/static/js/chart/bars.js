// The bars of one market at one timeframe, and a point for every bucket between two of them: of a minute without trades,
// or of one that is missing. Times are seconds.
//
// A point is a bar {time, open, high, low, close, volume}; or without trades, the same with `quiet`; or only a time, with
// `missing` (a state of the coverage) where it is known why. A bar may be `missing` minutes, too.

// So many empty points at most stand for one hole, at its ends, or a hole of years would fill the memory; fewer where the
// market is quiet nearly always.
const MOST_EMPTY = 1000;
const MOST_EMPTY_OF_RARE = 20;
const RARE = 0.1;

export class Bars {
  constructor(timeframe) {
    this.timeframe = timeframe;
    this.points = [];
    this.holes = []; // of the coverage, ascending: {start, end, state}
    this.answered = []; // spans that the coverage was asked of: {start, end}
    this.stored = new Map(); // by time
    this.mostEmpty = undefined;
  }

  get first() { return this.points[0]; }
  get last() { return this.points.at(-1); }
  get size() { return this.stored.size; }

  // Take rows that were asked for at the moment `askedAt` (ms). What was heard live since then stays, and so does a running
  // bar that has grown meanwhile.
  merge(rows, askedAt = Infinity) {
    for (const row of rows) {
      const known = this.stored.get(row.time);
      const grown = known?.heardAt && row.time >= this.last.time && known.volume > row.volume;
      if (!(known?.heardAt >= askedAt || grown)) this.stored.set(row.time, { ...row });
    }
    this.#rebuild();
  }

  // Take one live bar. Answers the index of the first point that is new or changed, -1 when it is older than all.
  put(bar, heardAt) {
    if (this.first && bar.time < this.first.time) return -1;
    const row = { ...bar, heardAt };
    this.stored.set(bar.time, row);
    if (!this.last || bar.time > this.last.time) {
      const index = this.points.length;
      this.#append(row);
      return index;
    }
    const index = this.at(bar.time);
    if (index < 0) {
      this.#rebuild();
      return 0;
    }
    const { missing } = this.points[index];
    this.points[index] = missing ? { ...row, missing } : row;
    return this.#carry(index);
  }

  // What the coverage says of the span that it was asked for.
  know({ start, end, holes, isKnown }) {
    this.holes = [...this.holes.filter((hole) => hole.end <= start || hole.start >= end), ...holes].sort((a, b) => a.start - b.start);
    if (isKnown) this.answered = joined([...this.answered, { start, end }]);
    this.#rebuild();
  }

  // The place of the point at `time`, -1 where there is none.
  at(time) {
    const place = this.#place(time);
    return this.points[place]?.time === time ? place : -1;
  }

  // The nearest bar with trades before the point at `index`.
  before(index) {
    for (let i = index - 1; i >= 0; i -= 1) if (isBar(this.points[i])) return this.points[i];
    return undefined;
  }

  #place(time) {
    let [low, high] = [0, this.points.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.points[middle].time < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #rebuild() {
    const sorted = [...this.stored.values()].sort((a, b) => a.time - b.time);
    this.mostEmpty ??= this.#allowance(sorted);
    this.points = [];
    this.hole = 0;
    for (const row of sorted) this.#append(row);
  }

  #allowance(sorted) {
    if (sorted.length < 2) return undefined;
    const buckets = (sorted.at(-1).time - sorted[0].time) / this.timeframe.width;
    return sorted.length / buckets < RARE ? MOST_EMPTY_OF_RARE : MOST_EMPTY;
  }

  #append(row) {
    if (this.last) for (const time of this.#between(this.last.time, row.time)) this.points.push(this.#empty(time));
    const missing = this.#missing(row.time);
    this.points.push(missing ? { ...row, missing } : row);
  }

  #between(from, to) {
    const times = [];
    for (let time = this.timeframe.after(from); time < to && times.length <= MOST_EMPTY; time = this.timeframe.after(time)) times.push(time);
    const most = this.mostEmpty ?? MOST_EMPTY;
    if (times.length <= most) return times;
    const last = Array.from({ length: most / 2 }, (_, index) => this.timeframe.floor(to - (most / 2 - index) * this.timeframe.width));
    return [...times.slice(0, most / 2), ...last.filter((time, index) => time < to && time > (last[index - 1] ?? times[most / 2 - 1]))];
  }

  #empty(time) {
    const missing = this.#missing(time);
    if (missing) return { time, missing };
    return this.answered.some((span) => span.start <= time && this.timeframe.after(time) <= span.end) ? this.#flat(time) : { time };
  }

  #flat(time) {
    const { close } = this.before(this.points.length) ?? {};
    return close === undefined ? { time } : { time, open: close, high: close, low: close, close, volume: 0, quiet: true };
  }

  // Points without trades after a changed bar stand at its new close. Answers `index`.
  #carry(index) {
    const { close } = this.points[index];
    for (let i = index + 1; i < this.points.length && !isBar(this.points[i]); i += 1) {
      if (this.points[i].quiet) this.points[i] = { ...this.points[i], open: close, high: close, low: close, close };
    }
    return index;
  }

  #missing(time) {
    const end = this.timeframe.after(time);
    let [low, high] = [0, this.holes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.holes[middle].end <= time) low = middle + 1;
      else high = middle;
    }
    return this.holes[low]?.start < end ? this.holes[low].state : undefined;
  }
}

export const isBar = (point) => point?.close !== undefined && !point.quiet;

function joined(spans) {
  const sorted = spans.sort((a, b) => a.start - b.start);
  const found = [];
  for (const span of sorted) {
    if (found.length && span.start <= found.at(-1).end) found.at(-1).end = Math.max(found.at(-1).end, span.end);
    else found.push({ ...span });
  }
  return found;
}
