// The table of exchanges.

import { ROOT } from "../api.js";
import { make } from "../dom.js";
import { ago } from "./ages.js";

const COLUMNS = ["Exchange", "Stream", "Follows", "Newest candle", "Markets", "Gaps", "Failed pages", "Outages", "Rate used"];
const STATES = { connected: "Live", connecting: "Connecting", silent: "Silent", closed: "Closed", stopped: "No stream runs", off: "Not streamed" };

export function exchangesTable(rows) {
  if (!rows.length) return make("p", { class: "about" }, "No exchange is streamed and none has markets yet.");
  const head = make("tr", {}, ...COLUMNS.map((title, index) => make("th", { scope: "col", class: index > 1 && "number" }, title)));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.flatMap(lines)));
}

function lines(row) {
  const stale = row.state === "connected" && !row.fresh;
  const state = stale ? "stale" : row.state;
  const says = stale ? "Stale" : STATES[row.state] ?? row.state;
  const cells = make("tr", { "data-exchange": row.exchange },
    make("th", { scope: "row" }, make("a", { href: `${ROOT}view/coverage?exchange=${encodeURIComponent(row.exchange)}` }, row.exchange)),
    make("td", {}, make("span", { class: "state", "data-state": state }, make("span", { class: "dot", "aria-hidden": "true" }), says)),
    cell("Follows", count(row.symbols), row.connections ? `${row.connections} ${row.connections === 1 ? "connection" : "connections"}` : ""),
    cell("Newest candle", row.newest ? `${ago(row.newest)} ago` : "–"),
    cell("Markets", count(row.markets)),
    cell("Gaps", count(row.gaps), row.gaps ? "minutes" : "", row.gaps > 0),
    cell("Failed pages", count(row.failures), "", row.failures > 0),
    cell("Outages", count(row.outages)),
    cell("Rate used", row.budget_limit ? `${count(row.budget_used)} of ${count(row.budget_limit)}` : "–"));
  const told = [row.trouble, row.healing_since ? `What the feed missed is being asked for since ${ago(row.healing_since)}.` : ""].filter(Boolean);
  if (!told.length) return [cells];
  return [cells, make("tr", { class: "trouble" }, make("td", { colspan: COLUMNS.length }, told.join(" ")))];
}

// On a phone, where there is no place for columns, `title` stands beside the value.
function cell(title, value, unit = "", warn = false) {
  return make("td", { class: warn ? "number warn" : "number", "data-title": title }, value, unit ? make("small", {}, unit) : "");
}

const count = (value) => value.toLocaleString("en");
