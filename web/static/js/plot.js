// Candles, the mean of ten, and volume below them, drawn by lightweight-charts.

import {
  CandlestickSeries, ColorType, CrosshairMode, HistogramSeries, LineSeries, createChart,
} from "/static/vendor/lightweight-charts.js";
import { color } from "./dom.js";

// Bars left of the view below which older ones are asked for.
const EDGE = 200;
const ROOM_RIGHT = 4;
// A young history is not spread over the whole width.
const FEWEST_SHOWN = 40;

export class Plot {
  constructor(element, { onHover, onEdge, onMove }) {
    this.element = element;
    this.chart = createChart(element, { autoSize: true, ...look() });
    this.candles = this.chart.addSeries(CandlestickSeries, { priceLineStyle: 2 });
    this.mean = this.chart.addSeries(LineSeries, {
      lineWidth: 2, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
    });
    this.volume = this.chart.addSeries(
      HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false }, 1,
    );
    this.chart.panes()[0].setStretchFactor(5);
    this.chart.panes()[1].setStretchFactor(1);
    this.recolor();
    this.chart.subscribeCrosshairMove(({ time }) => onHover(time));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      onMove(this.atRealTime());
      if (range && range.from < EDGE) onEdge();
    });
    element.addEventListener("keydown", (event) => this.#key(event));
  }

  // Draw all of `bars`; the view stays where it is unless `shown` says how many of the newest to show.
  draw(bars, shown) {
    const scale = this.chart.timeScale();
    this.candles.setData(bars.all);
    this.volume.setData(bars.all.map((bar) => this.#volume(bar)));
    this.mean.setData(bars.all.map((_, index) => this.#mean(bars, index)));
    this.element.dataset.bars = bars.all.length;
    if (shown) {
      const end = bars.all.length - 1;
      const width = Math.min(shown, Math.max(FEWEST_SHOWN, bars.all.length));
      scale.setVisibleLogicalRange({ from: end - width + 0.5, to: end + ROOM_RIGHT });
    }
  }

  // Draw what changed from `index` on.
  update(bars, index) {
    const newest = Number(this.element.dataset.bars) - 1;
    for (let i = index; i < bars.all.length; i += 1) {
      this.candles.update(bars.all[i], i < newest);
      this.volume.update(this.#volume(bars.all[i]), i < newest);
      this.mean.update(this.#mean(bars, i), i < newest);
    }
    this.element.dataset.bars = bars.all.length;
  }

  precision(digits) {
    const priceFormat = { type: "price", precision: digits, minMove: 10 ** -digits };
    this.candles.applyOptions({ priceFormat });
    this.mean.applyOptions({ priceFormat });
  }

  // Whole days need no time of day on the axis.
  times(visible) {
    this.chart.applyOptions({ timeScale: { timeVisible: visible } });
  }

  recolor() {
    const [up, down] = [color("up"), color("down")];
    this.chart.applyOptions(look());
    this.candles.applyOptions({
      upColor: up, wickUpColor: up, borderUpColor: up, downColor: down, wickDownColor: down, borderDownColor: down,
    });
    this.mean.applyOptions({ color: color("average") });
  }

  atRealTime() {
    return this.chart.timeScale().scrollPosition() > -2;
  }

  toRealTime() {
    this.chart.timeScale().scrollToPosition(ROOM_RIGHT, false);
  }

  #volume({ time, open, close, volume }) {
    return { time, value: volume, color: color(close < open ? "down-soft" : "up-soft") };
  }

  #mean(bars, index) {
    const value = bars.average(index);
    const { time } = bars.all[index];
    return value === undefined ? { time } : { time, value };
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

function look() {
  const line = { color: color("grid") };
  const cross = { color: color("muted"), labelBackgroundColor: color("raised") };
  return {
    layout: {
      background: { type: ColorType.Solid, color: color("surface") }, textColor: color("muted"),
      fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12,
      panes: { separatorColor: color("line"), separatorHoverColor: color("raised"), enableResize: false },
    },
    grid: { vertLines: line, horzLines: line },
    crosshair: { mode: CrosshairMode.Normal, vertLine: cross, horzLine: cross },
    rightPriceScale: { borderColor: color("line"), scaleMargins: { top: innerWidth > 640 ? 0.12 : 0.22, bottom: 0.06 } },
    timeScale: { borderColor: color("line"), secondsVisible: false, rightOffset: ROOM_RIGHT },
    localization: { locale: "en-GB" },
  };
}
