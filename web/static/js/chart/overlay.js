// The same pair on another exchange, as a line of its closes over the candles.

import { LineSeries } from "../../vendor/lightweight-charts.js";
import { color } from "../dom.js";
import { isBar } from "./bars.js";
import { Track } from "./track.js";

export class Overlay {
  constructor(chart, feed, onChange) {
    this.chart = chart;
    this.feed = feed;
    this.onChange = onChange;
    this.track = undefined;
  }

  // Show `market`, or nothing where it is undefined.
  async choose(market, timeframe) {
    this.stop?.();
    this.stop = undefined;
    if (this.series) this.chart.removeSeries(this.series);
    this.series = undefined;
    this.track = market && new Track(market, timeframe);
    if (!market) return;
    this.series = this.chart.addSeries(LineSeries, {
      color: color("versus"), lineWidth: 2, priceLineVisible: false, lastValueVisible: true, crosshairMarkerVisible: false,
    }, 0);
    const { track } = this;
    this.stop = this.feed.follow(market, timeframe, (bar) => {
      if (track.bars.put(bar, performance.now()) >= 0) this.onChange();
    });
    await track.newest();
  }

  format(priceFormat) { this.series?.applyOptions({ priceFormat }); }

  recolor() { this.series?.applyOptions({ color: color("versus") }); }

  // Only at the times of `points`, so that it adds none to the axis. Asks for older bars as far back as these go.
  async draw(points) {
    const { track, series } = this;
    if (!series || !points.length) return;
    series.setData(points.map(({ time }) => {
      const bar = this.at(time);
      return bar ? { time, value: bar.close } : { time };
    }));
    const before = track.bars.first?.time;
    while (this.track === track && track.bars.first?.time > points[0].time && (await track.older().catch(() => false)));
    if (this.track === track && track.bars.first?.time < before) this.onChange();
  }

  at(time) {
    const point = this.track?.bars.points[this.track.bars.at(time)];
    return isBar(point) ? point : undefined;
  }

  async again() {
    if (this.track?.bars.last) await this.track.load(this.track.bars.last.time).catch(() => {});
  }
}
