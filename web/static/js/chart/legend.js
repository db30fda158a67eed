// What stands in words and numbers around the candles: the legend of one bar, the last price, its change.

import { byId, make } from "../dom.js";
import * as format from "../format.js";
import { isBar } from "./bars.js";
import { KINDS } from "./studies.js";

const WHY = {
  outage: "the exchange was out of order", fetching: "being fetched", failed: "could not be fetched", not_asked: "not fetched yet",
};
const SINCE = { "1D": "day", "7D": "week", "1M": "month", "1Y": "year" };

// `index` is that of a point of `bars`. `around`: how its time reads, digits of prices, indicators, the other exchange.
export function showLegend(bars, index, around) {
  const point = bars.points[index];
  if (!point) return byId("legend").replaceChildren();
  byId("legend").replaceChildren(
    make("p", {}, make("span", { class: "when" }, around.when(point.time)), ...numbers(bars, index, around)),
    ...around.studies.map((study) => make("p", {}, ...studyParts(study, around.digits))),
    ...(around.versus ? [make("p", {}, ...versusParts(around.versus, point, around.digits))] : []),
  );
}

const part = (name, text, kind) => make("span", { class: kind, "data-part": name }, make("b", {}, name), text);

function numbers(bars, index, { digits }) {
  const point = bars.points[index];
  const why = point.missing && make("span", { class: "missing", "data-part": "missing" }, `${isBar(point) ? "Minutes missing" : "Missing"}: ${WHY[point.missing]}`);
  if (!isBar(point)) return [why ?? make("span", { "data-part": "quiet" }, point.quiet ? `No trades · ${format.price(point.close, digits)}` : "No candle")];
  const before = bars.before(index)?.close ?? point.open;
  const kind = format.direction(point.close - point.open);
  const change = format.percent(((point.close - before) / before) * 100);
  return [
    ...["open", "high", "low", "close"].map((name) => part(name[0].toUpperCase(), format.price(point[name], digits), kind)),
    make("span", { class: format.direction(point.close - before), "data-part": "change" }, change),
    part("Vol", format.compact(point.volume)),
    ...(why ? [why] : []),
  ];
}

function studyParts({ study, title, ink, values }, digits) {
  const shown = study.kind === "vwap" ? `VWAP ${SINCE[study.settings[0]]}` : title;
  const own = KINDS[study.kind].digits ?? digits;
  const swatch = make("i", { class: "ink", "data-ink": ink, "aria-hidden": "true" });
  const numbers = values.map((value) => (value === undefined ? "–" : format.price(value, own)));
  return [swatch, make("span", { "data-part": title }, make("b", {}, shown), numbers.join(" · "))];
}

function versusParts({ exchange, bar }, point, digits) {
  const swatch = make("i", { class: "ink", "data-ink": "versus", "aria-hidden": "true" });
  const away = bar && isBar(point) ? ` (${format.percent(((bar.close - point.close) / point.close) * 100)})` : "";
  return [swatch, make("span", { "data-part": "versus" }, make("b", {}, exchange), bar ? format.price(bar.close, digits) + away : "–")];
}

// The newest price, and its change over the range, or over a day where no range is chosen. Answers the price.
export function showQuote(bars, range, digits, zone) {
  const stored = bars?.points.filter(isBar) ?? [];
  const last = stored.at(-1);
  if (!last) {
    byId("price").textContent = byId("change").textContent = "–";
    byId("change-label").textContent = "Change";
    byId("change").className = "";
    return "–";
  }
  const [first, says] = reference(stored, last, range, zone);
  const change = ((last.close - first.open) / first.open) * 100;
  byId("price").textContent = format.price(last.close, digits);
  byId("change-label").textContent = says;
  byId("change").textContent = format.percent(change);
  byId("change").className = format.direction(change);
  return byId("price").textContent;
}

function reference(stored, last, range, zone) {
  const [from, says] = range
    ? [stored[Math.max(0, stored.length - range.bars)], range.says]
    : [stored.find(({ time }) => time > last.time - 86_400), "last day"];
  const whole = range ? stored.length >= range.bars : stored[0].time <= last.time - 86_400;
  return [from, whole ? says[0].toUpperCase() + says.slice(1) : `Since ${last.time - from.time < 86_400 ? zone.clock(from.time) : zone.moment(from.time)}`];
}
