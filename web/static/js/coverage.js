// The coverage page: which markets and days are shown, their heat map, and one day of it in detail.

import * as api from "./api.js";
import { showDay } from "./day.js";
import { byId, emptyState, make } from "./dom.js";
import { watchFills } from "./fills.js";
import { day } from "./format.js";
import { HeatMap } from "./heatmap.js";
import { legend, lines } from "./states.js";

const DAY_MS = 86_400_000;
const PAGE = 60;
const NOTHING = "No minute of any market was wanted yet: fetch some history, or let a stream run for a while.";
const isPhone = matchMedia("(width <= 640px)").matches;

const map = new HeatMap(byId("map"), { onPoint: showTip, onOpen: showDay });
let asked = 0;

function start() {
  const query = new URLSearchParams(location.search);
  const today = Date.now();
  byId("exchange").value = query.get("exchange") ?? "";
  byId("market").value = query.get("market") ?? "";
  byId("to").value = query.get("to") ?? day.iso(today);
  byId("from").value = query.get("from") ?? day.iso(today - (isPhone ? 13 : 29) * DAY_MS);
  byId("states").replaceChildren(...legend());
  for (const id of ["exchange", "from", "to"]) byId(id).addEventListener("change", () => load());
  byId("market").addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => load(map.told.markets));
  load();
  watchFills({ onProgress: () => map.told && load([], true) });
}

// `before`: markets that are shown already. `quietly`: the map stays as it is until the new one is there.
async function load(before = [], quietly = false) {
  const turn = ++asked;
  const [from, to] = ["from", "to"].map((id) => Date.parse(byId(id).value));
  if (Number.isNaN(from) || Number.isNaN(to)) return fail("Choose a first and a last day.");
  if (from > to) return fail("The first day is after the last.");
  if (!quietly) remember();
  byId("map").setAttribute("aria-busy", String(!quietly));
  try {
    const limit = quietly ? Math.max(PAGE, map.told.markets.length) : PAGE;
    const told = await api.coverageDays({ exchange: byId("exchange").value, start: from, end: to + DAY_MS - 1, limit, offset: before.length });
    if (turn === asked) show({ ...told, markets: [...before, ...told.markets] });
  } catch (error) {
    if (turn === asked && !quietly) fail(error.message, () => load());
  }
}

function show(told) {
  byId("map").setAttribute("aria-busy", "false");
  const left = told.total - told.markets.length;
  byId("more").hidden = left <= 0;
  byId("more").textContent = `Show ${Math.min(left, PAGE).toLocaleString("en")} more of ${left.toLocaleString("en")} markets`;
  if (!told.markets.length) return fail(NOTHING);
  map.draw(told);
  filter();
}

function fail(sentence, again) {
  byId("map").setAttribute("aria-busy", "false");
  byId("more").hidden = true;
  byId("map").replaceChildren(emptyState(sentence, again));
}

function filter() {
  map.filter(byId("market").value.toLowerCase().split(/\s+/).filter(Boolean));
  remember();
}

function remember() {
  const values = ["exchange", "market", "from", "to"].map((id) => [id, byId(id).value]).filter(([, value]) => value);
  history.replaceState(null, "", `?${new URLSearchParams(values)}`);
}

function showTip(cell, market, startMs, counts) {
  const tip = byId("tip");
  tip.hidden = !cell;
  if (!cell) return;
  const told = lines(counts);
  tip.replaceChildren(
    make("strong", {}, `${market.base_id}/${market.quote_id}`), make("small", {}, `${market.exchange} · ${day.long(startMs)}`),
    ...(told.length ? [make("ul", {}, ...told)] : [make("p", {}, "Not listed yet, not kept any more, or not wanted by anybody.")]),
  );
  const place = cell.getBoundingClientRect();
  const left = Math.min(Math.max(8, place.left + place.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = place.top - tip.offsetHeight - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 60 ? above : place.bottom + 8}px`;
}

addEventListener("scroll", () => { byId("tip").hidden = true; }, { passive: true, capture: true });
start();
