// The pie of quoted volumes and the histograms of returns, drawn by Chart.js.

/* global Chart */

import { byId, color, make } from "./dom.js";
import { compact, percent } from "./format.js";

// The fewer markets, the fewer bins.
const binsFor = (count) => Math.min(40, Math.max(8, Math.ceil(2 * Math.sqrt(count))));
const edge = (value) => (Math.abs(value) < 1e-9 ? "0" : percent(value, Number.isInteger(value) ? 0 : 1));
// From dark to light through blue and yellow: steps of lightness, so that neighbours differ for every eye.
const RAMP = ["#3d6cb3", "#4287cf", "#57a3df", "#7fbde6", "#a9d3ea", "#d5d6c3", "#ecc682", "#eba94f", "#e38a31", "#c96a24"];

export function drawPie(box, rows) {
  const total = rows.reduce((sum, row) => sum + row.total_volume, 0);
  const colors = rows.map((row, index) => (row.bqgrp === "Other" ? color("muted") : ramp(index / Math.max(1, rows.length - 1))));
  box.append(canvas("Pie of the quoted volume by pair; the list beside it says the same"));
  new Chart(box.firstChild, {
    type: "pie",
    data: {
      labels: rows.map((row) => row.bqgrp),
      datasets: [{ data: rows.map((row) => row.total_volume), backgroundColor: colors, borderColor: color("surface"), borderWidth: 2 }],
    },
    options: {
      ...still(),
      plugins: { legend: { display: false }, tooltip: { callbacks: { label: ({ raw }) => ` ${compact(raw)}` } } },
    },
  });
  byId("volume-key").replaceChildren(...rows.map((row, index) => make(
    "li", {},
    swatch(colors[index]),
    make("span", {}, row.bqgrp),
    make("span", { class: "share" }, `${compact(row.total_volume)} · ${((row.total_volume / total) * 100).toFixed(1)} %`),
  )));
}

function swatch(background) {
  const box = make("span", { class: "swatch", "aria-hidden": "true" });
  box.style.background = background;
  return box;
}

export function drawSpread(box, values) {
  const bins = histogram(values);
  box.append(canvas(`Histogram of ${values.length} returns`));
  const axis = { grid: { color: color("grid") }, ticks: { color: color("muted"), maxRotation: 0 }, border: { color: color("line") } };
  const title = (text) => ({ display: true, text, color: color("muted") });
  new Chart(box.firstChild, {
    type: "bar",
    data: {
      datasets: [{
        data: bins.map(({ from, to, count }) => ({ x: (from + to) / 2, y: count })), categoryPercentage: 1, barPercentage: 0.92, borderRadius: 2,
        backgroundColor: bins.map(({ to }) => color(to <= 1e-9 ? "down" : "up")),
      }],
    },
    options: {
      ...still(),
      scales: {
        // Edges of bins stand between the bars.
        x: {
          ...axis, type: "linear", offset: false, min: bins[0].from, max: bins.at(-1).to, grid: { display: false }, title: title("Return"),
          ticks: { ...axis.ticks, stepSize: bins[0].to - bins[0].from, maxTicksLimit: 9, callback: edge },
        },
        y: { ...axis, title: title("Markets"), ticks: { ...axis.ticks, precision: 0 } },
      },
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: {
          title: ([{ dataIndex }]) => `${percent(bins[dataIndex].from)} to ${percent(bins[dataIndex].to)}`,
          label: ({ raw: { y } }) => ` ${y} ${y === 1 ? "market" : "markets"}`,
        } },
      },
    },
  });
}

// Bins of equal width with an edge at zero. The outermost two also hold the one per cent beyond them on either side,
// or one wild market would squeeze all others into a line.
export function histogram(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high] = [Math.min(0, at(0.01)), Math.max(0, at(0.99))];
  const width = round((high - low) / binsFor(sorted.length) || 1);
  const first = Math.floor(low / width);
  const last = Math.max(first, Math.ceil(high / width) - 1);
  const bins = Array.from({ length: last - first + 1 }, (_, i) => ({ from: (first + i) * width, to: (first + i + 1) * width, count: 0 }));
  for (const value of sorted) bins[Math.min(last, Math.max(first, Math.floor(value / width))) - first].count += 1;
  return bins;
}

// The next larger of 1, 2, 2.5 or 5 times a power of ten, so that the edges can be read.
function round(width) {
  const power = 10 ** Math.floor(Math.log10(width));
  return power * [1, 2, 2.5, 5, 10].find((step) => step * power >= width * 0.999);
}

function canvas(label) {
  return make("canvas", { role: "img", "aria-label": label });
}

function still() {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  return { responsive: true, maintainAspectRatio: false, animation: false };
}

function ramp(share) {
  const place = share * (RAMP.length - 1);
  const [from, to] = [RAMP[Math.floor(place)], RAMP[Math.ceil(place)]].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return `rgb(${from.map((part, i) => Math.round(part + (to[i] - part) * (place % 1))).join(", ")})`;
}
