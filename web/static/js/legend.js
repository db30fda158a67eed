// What stands in words and numbers around the candles: the legend of one bar, the last price, its change.

import { byId, make } from "./dom.js";
import * as format from "./format.js";

export function showLegend(bars, index, digits, withTime) {
  const bar = bars.all[index];
  if (!bar) return byId("legend").replaceChildren();
  const price = (value) => format.price(value, digits);
  const change = ((bar.close - bar.open) / bar.open) * 100;
  const mean = bars.average(index);
  const part = (name, text, kind) => make("span", { class: kind, "data-part": name }, make("b", {}, name), text);
  const direction = format.direction(bar.close - bar.open);
  byId("legend").replaceChildren(
    make("span", { class: "when" }, format.moment(bar.time, withTime)),
    ...["open", "high", "low", "close"].map((name) => part(name[0].toUpperCase(), price(bar[name]), direction)),
    make("span", { class: direction }, format.percent(change)),
    part("Vol", format.compact(bar.volume)),
    ...(mean === undefined ? [] : [part("MA10", price(mean), "average")]),
  );
}

export function showQuote(bars, range, digits) {
  const { last, all } = bars;
  if (!last) {
    byId("price").textContent = byId("change").textContent = "–";
    byId("change").className = "";
    return;
  }
  const first = all[Math.max(0, all.length - range.bars)];
  const change = ((last.close - first.open) / first.open) * 100;
  byId("price").textContent = format.price(last.close, digits);
  const whole = all.length >= range.bars;
  byId("change-label").textContent = whole ? range.says[0].toUpperCase() + range.says.slice(1) : `Since ${format.moment(first.time)}`;
  byId("change").textContent = format.percent(change);
  byId("change").className = format.direction(change);
}

const STATES = { connecting: "Connecting…", live: "Live", stopped: "Exchange silent", refused: "Not live" };

export function showState(state, waitMs) {
  const pill = byId("connection");
  pill.dataset.state = state;
  const text = state === "waiting" ? `Reconnecting in ${Math.ceil(waitMs / 1000)} s` : STATES[state];
  if (pill.lastElementChild.textContent !== text) pill.lastElementChild.textContent = text;
}
