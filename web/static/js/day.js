// One day of one market: its hours in a strip, and each span that is not stored candles, with its reason.

import * as api from "./api.js";
import { byId, emptyState, make } from "./dom.js";
import { day, time } from "./format.js";
import { sayOf, swatch } from "./states.js";

const DAY_MS = 86_400_000;
const MOST_LINES = 100;

export async function showDay(market, startMs) {
  const box = byId("day");
  const title = make("h2", { id: "day-title", tabindex: "-1" }, `${market.base_id}/${market.quote_id}`,
    make("small", {}, `${market.exchange} · ${day.long(startMs)}`));
  const close = make("button", { type: "button", class: "icon", "aria-label": "Close" }, "×");
  close.addEventListener("click", () => { box.hidden = true; });
  const body = make("div", { class: "body", "aria-busy": "true" }, make("p", { class: "about" }, "Loading…"));
  const chart = make("a", { href: api.chartOf(market) }, "Open the chart");
  box.replaceChildren(make("header", {}, title, chart, close), body);
  box.hidden = false;
  title.focus({ preventScroll: true });
  box.scrollIntoView({ block: "nearest", behavior: "smooth" });
  try {
    const told = await api.coverage(market, startMs, startMs + DAY_MS - 1, ["all"]);
    if (box.contains(body)) body.replaceChildren(strip(told.markets[0].spans, startMs), spans(told.markets[0].spans));
  } catch (error) {
    body.replaceChildren(emptyState(error.message, () => showDay(market, startMs)));
  }
  body.removeAttribute("aria-busy");
}

function strip(all, startMs) {
  const parts = all.map(({ start, end, state }) => {
    const part = make("i", { "data-state": state });
    part.style.left = `${((start - startMs) / DAY_MS) * 100}%`;
    part.style.width = `${((end - start) / DAY_MS) * 100}%`;
    return part;
  });
  const hours = ["00:00", "06:00", "12:00", "18:00", "24:00"].map((text) => make("span", {}, text));
  return make("div", { class: "strip", "aria-hidden": "true" }, make("div", { class: "hours" }, ...parts), make("div", { class: "scale" }, ...hours));
}

function spans(all) {
  const odd = all.filter(({ state }) => state !== "present");
  if (!all.length) return make("p", { class: "about" }, "Nobody has wanted these minutes, they are not kept any more, or the market was not listed yet.");
  if (!odd.length) return make("p", { class: "about" }, "A candle is stored for every minute.");
  const lines = odd.slice(0, MOST_LINES).map(({ start, end, minutes, state, reason }) => make("tr", {},
    make("td", {}, minutes === 1 ? time(start) : `${time(start)} – ${time(end - 60_000)}`),
    make("td", {}, minutes.toLocaleString("en")),
    make("td", {}, swatch(state), sayOf(state)),
    make("td", {}, reason ?? "")));
  const titles = ["Minutes", "Count", "State", "Reason"].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...lines));
  const more = odd.length > MOST_LINES ? [make("p", { class: "about" }, `and ${(odd.length - MOST_LINES).toLocaleString("en")} more spans`)] : [];
  return make("div", { class: "spans" }, table, ...more);
}
