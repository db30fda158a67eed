// One market at one timeframe as far as it was loaded: the newest page, older ones before it, what was missed meanwhile,
// and what is known of the minutes that are not there.

import * as api from "../api.js";
import { Bars } from "./bars.js";

const PAGE = 500;
const MINUTE = 60;
// Younger minutes are still settling: that they are not there says nothing yet.
const SETTLING = 5 * MINUTE;
const MISSING = ["outage", "fetching", "failed", "not_asked"];

export class Track {
  constructor(market, timeframe) {
    this.market = market;
    this.timeframe = timeframe;
    this.bars = new Bars(timeframe);
    this.hasOlder = true;
    this.busy = undefined;
  }

  async newest() {
    const askedAt = performance.now();
    const rows = await api.bars(this.market, this.timeframe.name);
    this.bars.merge(rows, askedAt);
    if (rows.length < PAGE) this.hasOlder = false;
  }

  // Prepend a page when `settled` lets it; answers whether there was one. One at a time.
  async older(settled = async () => {}) {
    if (!this.hasOlder || this.busy || !this.bars.first) return false;
    this.busy = api.bars(this.market, this.timeframe.name, this.bars.first.time * 1000 - MINUTE * 1000);
    try {
      const rows = await this.busy;
      await settled();
      this.bars.merge(rows);
      this.hasOlder = rows.length === PAGE;
      return rows.length > 0;
    } finally {
      this.busy = undefined;
    }
  }

  // Load again what is stored from the bar at `from` to the moment `to` (seconds; none: to now), however much that is.
  async load(from, to) {
    const askedAt = performance.now();
    let [rows, end, found] = [[], to === undefined ? undefined : to * 1000, []];
    do {
      rows = await api.bars(this.market, this.timeframe.name, end);
      found = [...rows, ...found];
      end = rows.length ? (rows[0].time - MINUTE) * 1000 : undefined;
    } while (rows.length === PAGE && rows[0].time > from);
    this.bars.merge(found.filter((row) => row.time >= from), askedAt);
  }

  // Ask why minutes are not there, from the moment `from` to `to` (seconds; of what is loaded, by default).
  async askCoverage(from = this.bars.first?.time, to = this.timeframe.after(this.bars.last?.time ?? 0)) {
    if (from === undefined || !(to > from)) return;
    const told = await api.coverage(this.market, from * 1000, to * 1000 - 1, MISSING);
    const [{ minutes, spans }] = told.markets;
    const settled = api.now() / 1000 - SETTLING;
    const holes = spans.map(({ start, end, state }) => ({ start: start / 1000, end: Math.min(end / 1000, settled), state }));
    this.bars.know({ start: from, end: to, holes: holes.filter(({ start, end }) => end > start), isKnown: minutes > 0 });
  }

  // The loaded spans in which minutes are missing; what arrives for them is to be shown.
  get missing() {
    const { holes, first } = this.bars;
    return first ? holes.filter(({ end, state }) => end > first.time && state !== "outage") : [];
  }
}
