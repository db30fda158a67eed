// The chart page: which market, which range, history by REST and what follows by WebSocket.

import * as api from "./api.js";
import { Bars } from "./bars.js";
import { byId, emptyState, make } from "./dom.js";
import { Feed } from "./feed.js";
import { watchFills } from "./fills.js";
import { decimals } from "./format.js";
import { showLegend, showQuote, showState } from "./legend.js";
import { Plot } from "./plot.js";
import { RANGES, rangeNamed, width } from "./ranges.js";
import { Search } from "./search.js";
import { drawWidgets } from "./widgets.js";

const IDENTITY = ["exchange", "base_id", "quote_id"];
const page = { market: undefined, range: undefined, bars: undefined, digits: 2, hovered: -1, view: 0, older: "" };
let waiting = []; // live bars that came before the history they belong to
let connection = ["connecting"];
let fresh = {};

const plot = new Plot(byId("chart"), { onHover: hover, onEdge: loadOlder, onMove: (now) => { byId("realtime").hidden = now; } });
const feed = new Feed({
  onBar: (bar) => (waiting ? waiting.push(bar) : take(bar)),
  onState: (...state) => { connection = state; tellState(); },
  onAgain: () => loadHistory({ keepView: true }),
  onRefusal: () => { connection = ["refused"]; tellState(); },
});

// First listen, then read history, then apply what was heard meanwhile: nothing falls in between.
function show(market, range) {
  Object.assign(page, { market, range, bars: new Bars(width(range.interval)), hovered: -1, view: page.view + 1, older: "" });
  waiting = [];
  name(market, range);
  feed.watch(market, range.interval);
  cover("Loading candles…");
  return loadHistory({});
}

async function loadHistory({ keepView }) {
  const { view, market, range, bars } = page;
  try {
    const rows = await api.bars(market, range.interval);
    if (view !== page.view) return;
    bars.merge(rows);
  } catch (error) {
    if (view === page.view && !keepView) cover(error.message, () => show(market, range));
    return;
  }
  const heard = waiting ?? [];
  waiting = undefined;
  bars.merge(heard.filter((bar) => !bars.all.length || bar.time >= bars.all[0].time));
  drawAll(keepView ? undefined : range.bars);
}

function drawAll(shown) {
  const { bars, market, range } = page;
  if (!bars.last) return cover(`No candles of ${market.base_id}/${market.quote_id} on ${market.exchange} are stored yet.`);
  cover("");
  page.digits = decimals(market.tick_size, bars.last.close);
  plot.precision(page.digits);
  plot.times(width(range.interval) < 86400);
  plot.draw(bars, shown);
  tell();
}

function take(bar) {
  const { bars, range } = page;
  if (!bars.last) {
    bars.put(bar);
    return drawAll(range.bars);
  }
  const index = bars.put(bar);
  if (index < 0) return;
  plot.update(bars, index);
  tell();
}

async function loadOlder() {
  const { view, market, range, bars } = page;
  if (!bars?.last || page.older) return;
  page.older = "loading";
  const end = bars.all[0].time * 1000 - 60_000;
  const rows = await api.bars(market, range.interval, end).catch(() => undefined);
  if (view !== page.view) return;
  page.older = rows && rows.length === 0 ? "none" : "";
  if (!rows?.length) return;
  bars.merge(rows);
  plot.draw(bars);
}

function hover(time) {
  page.hovered = time === undefined || !page.bars ? -1 : page.bars.at(time);
  if (page.bars?.last) tell();
}

function tell() {
  const { bars, range, digits, hovered } = page;
  showLegend(bars, hovered < 0 ? bars.all.length - 1 : hovered, digits, width(range.interval) < 86400);
  showQuote(bars, range, digits);
}

function tellState() {
  const silent = connection[0] === "live" && page.market && fresh[page.market.exchange] !== true;
  showState(...(silent ? ["stopped"] : connection));
}

function cover(sentence, act, label) {
  byId("cover").hidden = !sentence;
  byId("cover").replaceChildren(...emptyState(sentence, act, label).children);
  if (sentence) byId("legend").replaceChildren();
}

function name(market, range) {
  const symbol = `${market.base_id}/${market.quote_id}`;
  byId("symbol").textContent = symbol;
  byId("exchange").textContent = market.exchange;
  byId("exchange").hidden = false;
  byId("interval").textContent = `${range.interval} bars`;
  byId("chart").setAttribute("aria-label", `${symbol} on ${market.exchange}, bars of ${range.interval}, ${range.says}`);
  document.title = `${symbol} · ${market.exchange} · Candlehouse`;
  for (const button of byId("ranges").children) button.setAttribute("aria-pressed", String(button.dataset.range === range.name));
  const { exchange, base_id, quote_id } = market;
  history.replaceState(null, "", `?${new URLSearchParams({ exchange, base_id, quote_id, range: range.name })}`);
  localStorage.setItem("market", JSON.stringify({ exchange, base_id, quote_id }));
  tellState();
}

function addRangeButtons() {
  byId("ranges").replaceChildren(...RANGES.map((range) => {
    const about = { type: "button", "data-range": range.name, "aria-label": range.says, "aria-pressed": "false" };
    const button = make("button", about, range.name);
    button.addEventListener("click", () => page.market && show(page.market, range));
    return button;
  }));
}

const same = (wanted) => (market) => IDENTITY.every((field) => market[field] === wanted?.[field]);
const formerly = (wanted) => ({ exchange, former }) =>
  exchange === wanted?.exchange && former.includes(`${wanted?.base_id}/${wanted?.quote_id}`);

// A name that a market bears means that one, any other the one that bore it.
const named = (markets, wanted) => markets.find(same(wanted)) ?? markets.find(formerly(wanted));

// What the address names, known or not; undefined when it names no market.
function asked() {
  const words = new URLSearchParams(location.search);
  if (!IDENTITY.some((field) => words.has(field))) return undefined;
  return Object.fromEntries(IDENTITY.map((field) => [field, words.get(field) || "?"]));
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem("market"));
  } catch {
    return undefined;
  }
}

// The one seen last, else a large one that has candles.
function usualMarket(markets) {
  const filled = markets.filter((market) => market.last_time !== null);
  const large = ["USDT", "USD", "USDC"].map((quote) => filled.find(({ base_id, quote_id }) => base_id === "BTC" && quote_id === quote));
  return named(markets, remembered()) ?? large.find(Boolean) ?? filled[0] ?? markets[0];
}

function refuse({ exchange, base_id, quote_id }) {
  byId("symbol").textContent = "Unknown market";
  const sentence = `${base_id}/${quote_id} on ${exchange} is unknown or no longer traded. Choose a market from the list.`;
  cover(sentence, () => byId("search").focus(), "Choose a market");
}

async function start() {
  addRangeButtons();
  byId("realtime").addEventListener("click", () => plot.toRealTime());
  document.addEventListener("themechange", () => { plot.recolor(); if (page.bars?.last) plot.draw(page.bars); });
  watchFills({
    onStatus: ({ streams }) => {
      fresh = Object.fromEntries(Object.entries(streams).map(([exchange, stream]) => [exchange, stream.fresh]));
      tellState();
    },
    onProgress: () => page.market && loadHistory({ keepView: true }),
  });
  drawWidgets();
  await chooseFirst();
}

async function chooseFirst() {
  try {
    const markets = await api.markets();
    if (!markets.length) return cover("No markets are known yet. They appear with the first contact to an exchange.", chooseFirst);
    page.range = rangeNamed(new URLSearchParams(location.search).get("range"));
    new Search(markets, (market) => show(market, page.range));
    const wanted = asked();
    const market = wanted ? named(markets, wanted) : usualMarket(markets);
    await (market ? show(market, page.range) : refuse(wanted));
  } catch (error) {
    cover(error.message, chooseFirst);
  }
}

start();
