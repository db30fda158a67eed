// Candles, volume below them and bands where minutes are missing, drawn by lightweight-charts.

import {
  CandlestickSeries, HistogramSeries, PriceScaleMode, createChartEx,
} from "../../vendor/lightweight-charts.js";
import { color } from "../dom.js";
import { ZonedAxis } from "./axis.js";
import { isBar } from "./bars.js";
import { BAND, look } from "./look.js";
import { Zone } from "./zone.js";

// Bars left of the view below which older ones are asked for.
const EDGE = 200;
const ROOM_RIGHT = 4;
// A young history is not spread over the whole width.
const FEWEST_SHOWN = 40;
const BAR_PX = 8;
// More changed points than this are drawn all at once.
const MANY = 50;
// A hidden tab has no frames.
const FRAME_AT_MOST_MS = 100;
const NO_LINE = { priceLineVisible: false, lastValueVisible: false };

export class Plot {
  constructor(element, { onHover, onEdge, onMove }) {
    this.element = element;
    this.points = [];
    this.axis = new ZonedAxis();
    this.chart = createChartEx(element, this.axis, { autoSize: true, ...look() });
    this.band = this.chart.addSeries(HistogramSeries, { ...NO_LINE, ...BAND });
    this.chart.priceScale("missing").applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
    this.candles = this.chart.addSeries(CandlestickSeries, { priceLineStyle: 2 });
    this.volume = this.chart.addSeries(HistogramSeries, { priceFormat: { type: "volume" }, ...NO_LINE }, 1);
    this.recolor();
    this.chart.subscribeCrosshairMove(({ time }) => onHover(time));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(() => {
      onMove(this.atRealTime());
      // Told while data is being set, too, when the view is not yet what it will be.
      setTimeout(() => this.atEdge && onEdge());
    });
    element.addEventListener("keydown", (event) => this.#key(event));
  }

  // Draw all points; the view stays where it is unless `shown` says how many of the newest to show.
  draw(points, shown) {
    this.points = points;
    this.candles.setData(points.map(candle));
    this.volume.setData(points.map(column));
    this.band.setData(points.map(band));
    this.#count();
    if (shown) this.#show(shown);
  }

  // Draw what changed from `index` on.
  update(points, index) {
    if (points.length - index > MANY) return this.draw(points);
    const newest = this.points.length && this.drawn - 1;
    this.points = points;
    for (let i = index; i < points.length; i += 1) {
      this.candles.update(candle(points[i]), i < newest);
      this.volume.update(column(points[i]), i < newest);
      this.band.update(band(points[i]), i < newest);
    }
    this.#count();
  }

  // How many bars fill the width.
  get comfortable() { return Math.round(this.element.clientWidth / BAR_PX); }

  format(priceFormat) { this.candles.applyOptions({ priceFormat }); }

  // `hasClock`: whether bars are shorter than days, which are shown by their date in UTC.
  show(zone, hasClock) {
    const named = new Zone(hasClock ? zone : "UTC");
    this.axis.zone = named;
    this.chart.applyOptions({
      timeScale: { timeVisible: hasClock, tickMarkFormatter: (time, kind) => named.tick(time, kind) },
      localization: { timeFormatter: (time) => named.moment(time, hasClock) },
    });
  }

  // Weigh the midnights of the axis anew: that happens for new points only.
  reweigh() {
    const view = this.chart.timeScale().getVisibleLogicalRange();
    const { points } = this;
    for (const pane of this.chart.panes()) for (const series of pane.getSeries()) series.setData([]);
    this.draw(points);
    if (view) this.chart.timeScale().setVisibleLogicalRange(view);
  }

  // For a legend that is so many pixels high.
  leaveRoom(px) {
    const height = this.chart.panes()[0].getHeight() || 1;
    this.chart.priceScale("right").applyOptions({ scaleMargins: { top: Math.min(0.5, (px + 16) / height), bottom: 0.06 } });
  }

  logarithmic(on) {
    this.chart.priceScale("right").applyOptions({ mode: on ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal });
  }

  recolor() {
    const [up, down] = [color("up"), color("down")];
    this.chart.applyOptions(look());
    this.candles.applyOptions({
      upColor: up, wickUpColor: up, borderUpColor: up, downColor: down, wickDownColor: down, borderDownColor: down,
    });
    if (this.points.length) this.draw(this.points);
  }

  // After the next frame a view that was just chosen is one of times, and stays when bars are put before it.
  settled() {
    return new Promise((resolve) => {
      requestAnimationFrame(() => resolve());
      setTimeout(resolve, FRAME_AT_MOST_MS);
    });
  }

  get atEdge() { return this.points.length > 0 && this.chart.timeScale().getVisibleLogicalRange()?.from < EDGE; }

  atRealTime() { return this.chart.timeScale().scrollPosition() > -2; }

  toRealTime() { this.chart.timeScale().scrollToPosition(ROOM_RIGHT, false); }

  #show(shown) {
    const end = this.points.length - 1;
    const width = Math.min(shown, Math.max(FEWEST_SHOWN, this.points.length));
    this.chart.timeScale().setVisibleLogicalRange({ from: end - width + 0.5, to: end + ROOM_RIGHT });
  }

  #count() {
    this.drawn = this.points.length;
    this.element.dataset.bars = this.points.filter(isBar).length;
  }

  #key(event) {
    const scale = this.chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const zoom = { "+": 0.8, "-": 1.25 }[event.key];
    if (event.key === "End") this.toRealTime();
    if (range && step) scale.scrollToPosition(scale.scrollPosition() + step * ((range.to - range.from) / 10), false);
    if (range && zoom) scale.setVisibleLogicalRange({ from: range.to - (range.to - range.from) * zoom, to: range.to });
    if (step || zoom || event.key === "End") event.preventDefault();
  }
}

const candle = ({ time, open, high, low, close, quiet }) => {
  if (close === undefined) return { time };
  return quiet ? { time, open, high, low, close, color: color("muted"), borderColor: color("muted"), wickColor: color("muted") } : { time, open, high, low, close };
};
const column = ({ time, open, close, volume, quiet }) =>
  (close === undefined || quiet ? { time } : { time, value: volume, color: color(close < open ? "down-soft" : "up-soft") });
const band = (point) => (point.missing ? { time: point.time, value: 1, color: color(shade(point)) } : { time: point.time });
const shade = (point) => `${point.missing === "failed" ? "failed" : "missing"}${isBar(point) ? "-soft" : ""}`;
