// The chart page: what was chosen, history by REST and what follows by WebSocket, drawn.

import * as api from "./api.js";
import { isBar } from "./chart/bars.js";
import { identity, keep, kept, readChoices, sameMarket, writeChoices } from "./chart/choices.js";
import { cover } from "./chart/cover.js";
import { showLegend, showQuote } from "./chart/legend.js";
import { Live } from "./chart/live.js";
import { Mender } from "./chart/mender.js";
import { Overlay } from "./chart/overlay.js";
import { Pickers } from "./chart/pickers.js";
import { NO_MARKET, Pill } from "./chart/pill.js";
import { Plot } from "./chart/plot.js";
import { StudyLines } from "./chart/study-lines.js";
import { StudyMenu } from "./chart/study-menu.js";
import { Track } from "./chart/track.js";
import { Zone } from "./chart/zone.js";
import { byId } from "./dom.js";
import { Feed } from "./feed.js";
import { watchFills } from "./fills.js";
import { priceFormat } from "./format.js";
import { Search } from "./search.js";
import { drawWidgetsWhenSeen } from "./widgets.js";

// A change is drawn after this long, together with those that follow it.
const TOGETHER_MS = 40;
// A load that takes longer is said to be one.
const PATIENCE_MS = 250;
const MOST_WARMING = 6;
const MOST_OTHERS = 100;

let choices = readChoices(location.search || kept());
let remembered = !location.search; // by this browser, not said by an address
let view = 0; // another number for each market and timeframe that is shown
let shown; // of the view: {track, live, mender, market, format}
let changed = Infinity; // first point to draw again
let hovered = -1;
let timer;
let streams; // of the exchanges, once the server has told of them

const pill = new Pill();
const plot = new Plot(byId("chart"), { onHover: hover, onEdge: loadOlder, onMove: (now) => { byId("realtime").hidden = now; } });
const studies = new StudyLines(plot.chart);
const feed = new Feed({
  onState: (...state) => { pill.socket = state; pill.tell(); },
  onAgain: () => again(shown?.track.bars.last?.time),
  onMissed: () => again(shown?.track.bars.first?.time),
});
const overlay = new Overlay(plot.chart, feed, () => later(Infinity));
const pickers = new Pickers(choose);
const menu = new StudyMenu((wanted) => choose({ studies: wanted }));
new Search((market) => choose({ market, versus: "" }));

// A choice of a person: it stands in the address from now on, and the browser's back button takes it back.
function choose(change) {
  apply({ ...choices, ...change });
  history.pushState(null, "", writeChoices(choices));
  keep(location.search);
}

function apply(next) {
  const before = choices;
  choices = next;
  tellControls();
  if (before.log !== next.log) plot.logarithmic(next.log);
  const other = !sameMarket(before.market, next.market) || before.timeframe.name !== next.timeframe.name;
  if (other || before.range !== next.range) return show();
  if (before.zone !== next.zone) rezone();
  if (before.studies !== next.studies) restudy();
  if (before.versus !== next.versus) compare();
}

function tellControls() {
  pickers.tell(choices);
  menu.tell(choices.studies);
}

// First listen, then read history, then apply what was heard meanwhile: nothing falls in between.
async function show() {
  const [now, { market, timeframe }] = [++view, choices];
  shown?.stop();
  shown = undefined;
  hovered = -1;
  pill.refused = false;
  if (pill.stream === NO_MARKET) pill.stream = undefined;
  pill.heardAt = undefined;
  const patience = setTimeout(() => now === view && cover("Loading candles…"), PATIENCE_MS);
  const track = new Track(market, timeframe);
  const live = new Live(track, later);
  const mute = feed.follow(market, timeframe, (bar, isNews) => {
    if (isNews) pill.heardAt = Date.now();
    live.hear(bar);
  }, () => { pill.refused = true; pill.tell(); });
  try {
    const [known] = await Promise.all([market.symbol ? market : api.market(market), track.newest()]);
    if (now === view) begin(known, track, live, mute);
    else mute();
  } catch (error) {
    mute();
    if (now === view) refuse(error);
  } finally {
    clearTimeout(patience);
  }
}

function begin(market, track, live, mute) {
  choices.market = market;
  const mender = new Mender(track, () => later(0));
  const end = () => [mute, () => live.stop(), () => mender.stop()].forEach((part) => part());
  shown = { track, mender, market, zone: new Zone(track.timeframe.hasClock ? choices.zone : "UTC"), stop: end };
  live.begin();
  name(market, track.timeframe);
  drawAnew();
  mender.mend();
  compare();
  offer();
}

// All of it, with the newest bars in view.
function drawAnew() {
  const { track, market } = shown;
  settle();
  if (!track.bars.last) return cover(`No candles of ${market.base_id}/${market.quote_id} on ${market.exchange} are stored yet.`);
  cover("");
  shown.format = priceFormat(market.tick_size, track.bars.points.filter(isBar).at(-1).close);
  plot.show(choices.zone, track.timeframe.hasClock);
  plot.draw([]);
  plot.draw(track.bars.points, choices.range?.bars ?? plot.comfortable);
  restudy();
  performance.mark("candles drawn");
}

function restudy() {
  studies.choose(choices.studies);
  if (!shown?.format) return;
  for (const part of [plot, studies, overlay]) part.format(shown.format.drawn);
  studies.draw(shown.track.bars.points);
  tell();
  plot.leaveRoom(byId("legend").offsetHeight);
  warmUp();
}

// Some indicators begin with a session, which may be older than the bars that are there.
async function warmUp() {
  const { track } = shown;
  const need = studies.needs(track.bars.last.time);
  for (let page = 0; page < MOST_WARMING && track.bars.first.time > need && (await loadOlder()); page += 1);
}

function rezone() {
  if (!shown) return;
  const { hasClock } = shown.track.timeframe;
  shown.zone = new Zone(hasClock ? choices.zone : "UTC");
  plot.show(choices.zone, hasClock);
  plot.reweigh();
  redraw(0);
}

// Points from `index` on have changed.
function later(index) {
  changed = Math.min(changed, index);
  timer = timer ?? setTimeout(() => {
    const from = changed;
    settle();
    if (shown) redraw(from);
  }, TOGETHER_MS);
}

// All is drawn now: what was to be drawn later is not.
function settle() {
  clearTimeout(timer);
  timer = undefined;
  changed = Infinity;
}

function redraw(from) {
  const { points } = shown.track.bars;
  if (!points.length) return;
  if (!shown.format) return drawAnew();
  if (from === 0) plot.draw(points);
  else if (from < points.length) plot.update(points, from);
  if (from < points.length) studies.draw(points, points.length - from > 2 ? 0 : from);
  overlay.draw(points);
  tell();
}

async function loadOlder() {
  const { track } = shown ?? {};
  if (!(await track?.older(() => plot.settled()).catch(() => false)) || shown?.track !== track) return false;
  redraw(0);
  shown.mender.mend();
  return true;
}

// The connection is back: what was missed since the bar at `from` is asked for, and what could not be shown is shown.
function again(from = 0) {
  if (!shown) return choices.market ? show() : chooseFirst();
  shown.track.load(from).then(() => later(0), () => {});
  overlay.again().then(() => later(Infinity));
}

async function compare() {
  const { versus, market, timeframe } = choices;
  try {
    await overlay.choose(versus && { ...identity(market), exchange: versus }, timeframe);
  } catch {
    await overlay.choose(undefined);
  }
  if (shown?.format) overlay.format(shown.format.drawn);
  later(Infinity);
}

function hover(time) {
  hovered = time === undefined || !shown ? -1 : shown.track.bars.at(time);
  tell();
}

function tell() {
  if (!shown?.format) return;
  const { track: { bars, timeframe }, format, zone, market } = shown;
  const index = hovered < 0 ? bars.points.length - 1 : hovered;
  const { time } = bars.points[index];
  showLegend(bars, index, {
    when: (moment) => zone.moment(moment, timeframe.hasClock),
    digits: format.digits,
    studies: studies.at(time),
    versus: overlay.track && { exchange: overlay.track.market.exchange, bar: overlay.at(time) },
  });
  const price = showQuote(bars, choices.range, format.digits, zone);
  document.title = `${price} ${market.base_id}/${market.quote_id} · ${market.exchange} · Candlehouse`;
}

function entitle(market) {
  byId("symbol").textContent = `${market.base_id}/${market.quote_id}`;
  byId("exchange").textContent = market.is_trading === false ? `${market.exchange}, not traded any more` : market.exchange;
  byId("exchange").hidden = false;
}

function name(market, timeframe) {
  entitle(market);
  const symbol = byId("symbol").textContent;
  byId("chart").setAttribute("aria-label", `${symbol} on ${market.exchange}, bars of ${timeframe.name}`);
  history.replaceState(null, "", writeChoices(choices));
  keep(location.search);
  tellStream();
}

function refuse(error) {
  if (remembered && error.status === 404) {
    remembered = false;
    return chooseFirst();
  }
  if (error.status === undefined || error.status >= 500) return cover(error.message, show);
  pill.stream = NO_MARKET;
  pill.tell();
  byId("symbol").textContent = "Unknown market";
  byId("exchange").hidden = true;
  cover(error.message, () => byId("search").focus(), "Choose a market");
}

function tellStream() {
  if (streams && pill.stream !== NO_MARKET) pill.stream = choices.market && (streams[choices.market.exchange] ?? null);
  pill.tell();
}

// Other exchanges with this pair, to be compared with.
async function offer() {
  const { market } = shown;
  const found = await api.search(`${market.base_id}/${market.quote_id}`, MOST_OTHERS).catch(() => []);
  if (shown?.market === market) pickers.offer(found, market, choices.versus);
}

// For whoever names no market the most traded one.
async function chooseFirst() {
  try {
    [choices.market] = await api.search("", 1);
  } catch (error) {
    return cover(error.message, chooseFirst);
  }
  if (choices.market) return show();
  pill.stream = NO_MARKET;
  pill.tell();
  byId("symbol").textContent = "No market yet";
  cover("No markets are known yet. They appear with the first contact to an exchange.", chooseFirst);
}

function start() {
  byId("chart").plot = plot; // what is drawn, for whoever asks in the console
  byId("realtime").addEventListener("click", () => plot.toRealTime());
  document.addEventListener("themechange", () => {
    for (const part of [plot, studies, overlay]) part.recolor();
    if (shown?.format) redraw(0);
  });
  addEventListener("popstate", () => apply(readChoices(location.search)));
  tellControls();
  plot.logarithmic(choices.log);
  // Names and panes take their room at once, so that nothing jumps when the candles come.
  studies.choose(choices.studies);
  if (choices.market) entitle(choices.market);
  if (choices.market) show();
  else chooseFirst();
  watchFills({
    onStatus: (told) => { streams = told.streams; tellStream(); },
    onFailure: () => feed.doubt(),
    onProgress: () => shown?.mender.hurry(),
  });
  drawWidgetsWhenSeen();
}

start();
