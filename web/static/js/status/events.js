// What happened to the feeds, the newest first.

import { make } from "../dom.js";
import { day, time } from "../format.js";

const KINDS = {
  connected: "Connected", lost: "Connection lost", stale: "Market silent", refused: "Refused", healed: "Healed", gap: "Cannot heal yet", outage: "Exchange outage",
};

export function showEvents(box, rows) {
  if (!rows.length) return box.replaceChildren(make("p", { class: "about" }, "Nothing has happened yet."));
  const head = ["Time", "Exchange", "What", "Market", "Detail"].map((title) => make("th", { scope: "col" }, title));
  const lines = rows.map(({ id, at, exchange, kind, market, detail }) => make("tr", { "data-event": id },
    make("td", { class: "time" }, make("time", { datetime: new Date(at).toISOString() }, `${day.long(at)} ${time(at)}`)),
    make("td", {}, exchange),
    make("td", {}, make("span", { class: "state", "data-state": kind }, make("span", { class: "dot", "aria-hidden": "true" }), KINDS[kind] ?? kind)),
    make("td", {}, market), make("td", { class: "detail" }, detail)));
  box.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines)));
}
