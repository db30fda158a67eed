// Numbers and times as people read them.

// Decimals that a price of this market needs: its tick's, else those of five significant digits.
export function decimals(tick, price) {
  if (tick > 0) return Math.min(12, Math.max(0, (tick.toFixed(12).replace(/0+$/, "").split(".")[1] ?? "").length));
  return price > 0 ? Math.min(12, Math.max(0, 4 - Math.floor(Math.log10(price)))) : 2;
}

export const price = (value, digits) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const compact = (value) =>
  value.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 4 });

export function percent(value, digits = 2) {
  const text = Math.abs(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${value < 0 ? "−" : "+"}${text}\u00a0%`;
}

export const direction = (value) => (value < 0 ? "fall" : "rise");

const day = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });
const minute = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit" });

// `seconds` since 1970 as "3 May 2024 14:05"; without the time of day for bars of a day and longer.
export function moment(seconds, withTime) {
  const date = new Date(seconds * 1000);
  return withTime ? `${day.format(date)} ${minute.format(date)}` : day.format(date);
}
