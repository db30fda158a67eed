// Numbers and times as people read them.

// How prices of a market are written: by its tick, else with five significant digits.
export function priceFormat(tick, value) {
  const digits = tick > 0 ? Math.min(MOST_DIGITS, (plain(tick).split(".")[1] ?? "").length) : digitsFor(value);
  return { digits, drawn: { type: "custom", minMove: tick > 0 ? tick : 10 ** -digits, formatter: (shown) => price(shown, digits) } };
}

const MOST_DIGITS = 12;
const plain = (value) => value.toFixed(MOST_DIGITS).replace(/\.?0+$/, "");
const digitsFor = (price) => (price > 0 ? Math.min(MOST_DIGITS, Math.max(0, 4 - Math.floor(Math.log10(price)))) : 2);

export const price = (value, digits) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const compact = (value) =>
  value.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 4 });

export function percent(value, digits = 2) {
  const text = Math.abs(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${value < 0 ? "−" : "+"}${text}\u00a0%`;
}

export const direction = (value) => (value < 0 ? "fall" : "rise");

const date = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit" });

// `seconds` since 1970 as "3 May 2024 14:05"; without the time of day for bars of a day and longer.
export function moment(seconds, withTime) {
  const then = new Date(seconds * 1000);
  return withTime ? `${date.format(then)} ${clock.format(then)}` : date.format(then);
}

const month = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", month: "short", year: "numeric" });

// A day of UTC, by any of its milliseconds since 1970.
export const day = {
  iso: (ms) => new Date(ms).toISOString().slice(0, 10),
  long: (ms) => date.format(new Date(ms)),
  month: (ms) => month.format(new Date(ms)),
};

// "14:05", by milliseconds.
export const time = (ms) => clock.format(new Date(ms));
