// Timeframes: what each is called, and where its buckets start. All in seconds of UTC, as the server counts them.

// Those that are stored and streamed; every other one is made of them.
export const STORED = ["1m", "5m", "15m", "30m", "1h", "3h", "6h", "12h", "1D", "7D", "14D", "1M"];

// Monday 2000-01-03 00:00 UTC.
const ORIGIN = 946_857_600;
const DAY = 86_400;
const MOST_MINUTES = 5_256_000;
const MOST_MONTHS = 120;
const EXACT = { "": ["minutes", 1], m: ["minutes", 1], M: ["months", 1] };
const ANY_CASE = {
  min: ["minutes", 1], h: ["minutes", 60], hr: ["minutes", 60], d: ["minutes", 1440], day: ["minutes", 1440], w: ["minutes", 10_080],
  week: ["minutes", 10_080], mo: ["months", 1], month: ["months", 1], q: ["months", 3], y: ["months", 12], year: ["months", 12],
};

// A timeframe in anybody's spelling, such as 7m, 60, 4H, 1W; undefined for what is none.
export function parseTimeframe(text) {
  const [, digits, word] = /^\s*(\d{0,7})\s*([A-Za-z]*)\s*$/.exec(text ?? "") ?? [];
  if (digits === undefined || (!digits && !word)) return undefined;
  const [unit, size] = EXACT[word] ?? ANY_CASE[word.toLowerCase()] ?? ANY_CASE[word.toLowerCase().replace(/s$/, "")] ?? [];
  const count = (digits ? Number(digits) : 1) * (size ?? 0);
  if (!(count > 0) || count > (unit === "months" ? MOST_MONTHS : MOST_MINUTES)) return undefined;
  return unit === "months" ? new Months(count) : new Minutes(count);
}

class Minutes {
  constructor(count) {
    this.width = count * 60;
    const [size, letter] = [[DAY, "D"], [3600, "h"], [60, "m"]].find(([seconds]) => this.width % seconds === 0);
    this.name = `${this.width / size}${letter}`;
    this.isStored = STORED.includes(this.name);
    // Whole days need no time of day.
    this.hasClock = this.width % DAY !== 0;
  }

  floor(time) { return time - ((((time - ORIGIN) % this.width) + this.width) % this.width); }

  after(time) { return this.floor(time) + this.width; }
}

class Months {
  constructor(count) {
    this.count = count;
    this.width = count * 30 * DAY;
    this.name = count % 12 ? `${count}M` : `${count / 12}Y`;
    this.isStored = STORED.includes(this.name);
    this.hasClock = false;
  }

  floor(time) { return this.#start(this.#index(time)); }

  after(time) { return this.#start(this.#index(time) + 1); }

  #index(time) {
    const then = new Date(time * 1000);
    return Math.floor(((then.getUTCFullYear() - 2000) * 12 + then.getUTCMonth()) / this.count);
  }

  #start(index) { return Date.UTC(2000, index * this.count) / 1000; }
}
