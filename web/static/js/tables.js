// A table of returns, one market a row, each a link to its chart.

import { chartOf } from "./api.js";
import { make } from "./dom.js";
import { direction, percent } from "./format.js";

export function returnsTable(rows, column) {
  const titles = ["", "Market", "Exchange", "Return"].map((title) => make("th", { scope: "col" }, title));
  const lines = rows.map((row, index) => line(row, index, row[column]));
  return make("table", {}, make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...lines));
}

function line({ exchange, base_id, quote_id }, index, value) {
  const href = chartOf({ exchange, base_id, quote_id });
  return make(
    "tr", {},
    make("td", {}, String(index + 1)),
    make("td", {}, make("a", { href }, `${base_id}/${quote_id}`)),
    make("td", {}, exchange),
    make("td", { class: direction(value) }, percent(value)),
  );
}
