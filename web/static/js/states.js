// The states of a minute: what each is called, and how a share of a day in it is drawn (colours and patterns: coverage.css).

import { make } from "./dom.js";

export const MINUTES_A_DAY = 1440;

// From the bottom of a cell to its top.
export const STATES = [
  { name: "present", says: "Candle stored" },
  { name: "empty", says: "No trades" },
  { name: "outage", says: "Exchange outage" },
  { name: "fetching", says: "Being fetched" },
  { name: "failed", says: "Failed" },
  { name: "not_asked", says: "Not asked for yet" },
];

export const sayOf = (name) => STATES.find((state) => state.name === name).says;

// What is rare is still to be seen: no part is thinner than this.
const LEAST_PX = 3;

// The background of a cell `height` pixels high: parts from the bottom up, by minutes of a whole day.
export function stacked(counts, height) {
  const parts = STATES.filter(({ name }) => counts[name] > 0)
    .map(({ name }) => ({ name, px: Math.max(name === "present" ? 0 : LEAST_PX, Math.round((counts[name] / MINUTES_A_DAY) * height)) }));
  const most = parts.reduce((one, other) => (other.px > one.px ? other : one), parts[0]);
  const over = parts.reduce((sum, { px }) => sum + px, 0) - height;
  const whole = total(counts) >= MINUTES_A_DAY;
  if (most && (over > 0 || whole)) most.px -= over;
  let top = height;
  return parts.map(({ name, px }) => `var(--fill-${name}) 0 ${(top -= px)}px / 100% ${px}px no-repeat`).join(", ");
}

export const total = (counts) => STATES.reduce((sum, { name }) => sum + (counts[name] ?? 0), 0);

// "1,380 minutes · 95.8 %"; only a whole is 100 %.
export function share(minutes, of) {
  const percent = Math.floor((minutes / of) * 1000) / 10;
  return `${minutes.toLocaleString("en")} ${minutes === 1 ? "minute" : "minutes"} · ${percent || minutes === 0 ? percent : "under 0.1"} %`;
}

export const swatch = (name) => make("i", { class: "swatch", "data-state": name, "aria-hidden": "true" });

export const legend = () => STATES.map(({ name, says }) => make("li", {}, swatch(name), says));

// Each state of `counts` in a line.
export function lines(counts) {
  const of = total(counts);
  return STATES.filter(({ name }) => counts[name] > 0)
    .map(({ name, says }) => make("li", {}, swatch(name), make("span", {}, says), make("b", {}, share(counts[name], of))));
}
