// What a person has chosen, as it stands in the address: which market, timeframe, range, zone, scale, indicators, and
// with which exchange it is compared. A copied address shows the same chart.

import { rangeNamed } from "./ranges.js";
import { readStudies, writeStudies } from "./studies.js";
import { parseTimeframe } from "./timeframe.js";
import { isZone } from "./zone.js";

const KEPT = "chart";
const IDENTITY = ["exchange", "base_id", "quote_id"];

// `market` is undefined where the address names none.
export function readChoices(query) {
  const words = new URLSearchParams(query);
  const named = IDENTITY.some((field) => words.get(field));
  const range = rangeNamed(words.get("range"));
  const timeframe = parseTimeframe(words.get("interval"));
  return {
    market: named ? Object.fromEntries(IDENTITY.map((field) => [field, words.get(field) || "?"])) : undefined,
    timeframe: timeframe ?? parseTimeframe(range?.interval ?? "1m"),
    range: timeframe && timeframe.name !== range?.interval ? undefined : range,
    zone: isZone(words.get("tz")) ? words.get("tz") : "UTC",
    log: words.get("log") === "1",
    studies: readStudies(words.get("ind") ?? ""),
    versus: words.get("vs") ?? "",
  };
}

export function writeChoices({ market, timeframe, range, zone, log, studies, versus }) {
  const words = {
    ...Object.fromEntries(IDENTITY.map((field) => [field, market?.[field]])),
    interval: timeframe.name, range: range?.name, tz: zone, log: log ? "1" : "", ind: writeStudies(studies), vs: versus,
  };
  const said = Object.entries(words).filter(([, value]) => value);
  // Colons, commas and slashes may stand in a query as they are, and are read more easily so.
  return `?${new URLSearchParams(said).toString().replace(/%3A/g, ":").replace(/%2C/g, ",").replace(/%2F/g, "/")}`;
}

export const keep = (query) => localStorage.setItem(KEPT, query);
export const kept = () => localStorage.getItem(KEPT) ?? "";

export const sameMarket = (one, other) => IDENTITY.every((field) => one?.[field] === other?.[field]);
export const identity = (market) => Object.fromEntries(IDENTITY.map((field) => [field, market[field]]));
