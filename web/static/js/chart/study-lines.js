// The lines of the chosen indicators on the chart. They are made of stored bars alone: what stands for a minute without
// trades changes none.

import { HistogramSeries, LineSeries, LineStyle, PriceScaleMode } from "../../vendor/lightweight-charts.js";
import { color } from "../dom.js";
import { isBar } from "./bars.js";
import { KINDS, titleOf } from "./studies.js";

const COLORS = 6;
// Of the height: the price, the volume, each indicator in a pane of its own.
const HEIGHTS = [6, 1.2, 1.8];

export class StudyLines {
  constructor(chart) {
    this.chart = chart;
    this.shown = [];
    this.setHeights();
  }

  // Draw these instead of what was there.
  choose(studies) {
    for (const { series } of this.shown.flatMap(({ lines }) => lines)) this.chart.removeSeries(series);
    let pane = 2;
    this.shown = studies.map((study, index) => {
      const place = KINDS[study.kind].pane === "price" ? 0 : pane++;
      return { study, title: titleOf(study), ink: `study-${(index % COLORS) + 1}`, lines: this.#add(study, place) };
    });
    this.recolor();
    this.setHeights();
  }

  setHeights() {
    this.chart.panes().forEach((pane, index) => pane.setStretchFactor(HEIGHTS[Math.min(index, HEIGHTS.length - 1)]));
  }

  format(priceFormat) {
    for (const { study, lines } of this.shown) {
      const { digits } = KINDS[study.kind];
      const own = digits === undefined ? priceFormat : { type: "price", precision: digits, minMove: 10 ** -digits };
      for (const { series } of lines) series.applyOptions({ priceFormat: own });
    }
  }

  // From `changed` on, the place of a point: of all of them, or of a few at the end.
  draw(points, changed = 0) {
    const bars = points.filter(isBar);
    for (const { study, lines } of this.shown) {
      KINDS[study.kind].lines(bars, study.settings).forEach(({ values }, index) => {
        const line = lines[index];
        line.values = new Map(bars.map(({ time }, place) => [time, values[place]]));
        const drawn = points.slice(changed).map(({ time }) => this.#point(time, line.values.get(time), line));
        if (!changed) line.series.setData(drawn);
        else drawn.forEach((point) => line.series.update(point, point.time < line.last));
        line.last = points.at(-1)?.time;
      });
    }
  }

  // How far back bars are needed for what is shown at `time`.
  needs(time) { return Math.min(time, ...this.shown.map(({ study }) => KINDS[study.kind].needs?.(time, study.settings) ?? time)); }

  // For the legend: each indicator with its values at `time`.
  at(time) {
    return this.shown.map(({ study, title, ink, lines }) => ({ study, title, ink, values: lines.map(({ values }) => values?.get(time)) }));
  }

  recolor() {
    for (const { ink, lines } of this.shown) {
      lines.forEach(({ series, quiet }) => series.applyOptions({ color: color(quiet ? "muted" : ink) }));
    }
  }

  #add(study, pane) {
    const { levels = [], lines } = KINDS[study.kind];
    const made = lines([], study.settings).map(({ dashed, columns, name, quiet }) => {
      const about = { priceLineVisible: false, lastValueVisible: false };
      const series = columns
        ? this.chart.addSeries(HistogramSeries, about, pane)
        : this.chart.addSeries(LineSeries, { ...about, lineWidth: dashed || name ? 1 : 2, lineStyle: dashed ? LineStyle.Dashed : LineStyle.Solid, crosshairMarkerVisible: false }, pane);
      return { series, columns, quiet };
    });
    // A new pane takes over how the price is scaled, which may be logarithmic.
    if (pane) this.chart.priceScale("right", pane).applyOptions({ mode: PriceScaleMode.Normal, scaleMargins: { top: 0.12, bottom: 0.12 } });
    for (const price of levels) made[0].series.createPriceLine({ price, color: color("line"), lineWidth: 1, lineStyle: LineStyle.Dotted, axisLabelVisible: false });
    return made;
  }

  #point(time, value, { columns }) {
    if (value === undefined) return { time };
    return columns ? { time, value, color: color(value < 0 ? "down-soft" : "up-soft") } : { time, value };
  }
}
