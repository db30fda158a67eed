// The analytics widgets: two tables, a pie and two histograms, each with its own empty and error state.

import * as api from "./api.js";
import { byId, emptyState } from "./dom.js";
import { drawPie, drawSpread } from "./figures.js";
import { returnsTable } from "./tables.js";

const NOTHING = "Nothing here yet: returns need a few days of candles.";
const TOP = 500;

const WIDGETS = [
  { id: "geodr-table", load: () => api.dailyReturns(TOP), draw: (box, rows) => box.append(returnsTable(rows, "daily_return_pct", "Highest daily returns")) },
  { id: "wr-table", load: () => api.weeklyReturns(TOP), draw: (box, rows) => box.append(returnsTable(rows, "weekly_return_pct", "Highest weekly returns")) },
  { id: "volume", load: api.quotedVolumes, draw: drawPie },
  { id: "geodr-spread", load: () => api.dailyReturns(-1), draw: (box, rows) => drawSpread(box, rows.map((row) => row.daily_return_pct)) },
  { id: "wr-spread", load: () => api.weeklyReturns(-1), draw: (box, rows) => drawSpread(box, rows.map((row) => row.weekly_return_pct)) },
];

export function drawWidgets() {
  for (const widget of WIDGETS) draw(widget);
  document.addEventListener("themechange", () => WIDGETS.forEach(redraw));
}

// Below the chart they are asked for when somebody scrolls there, so that candles come first.
export function drawWidgetsWhenSeen() {
  const watcher = new IntersectionObserver((seen) => {
    if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
    watcher.disconnect();
    drawWidgets();
  }, { rootMargin: "200px" });
  watcher.observe(byId("widgets"));
}

async function draw(widget) {
  try {
    widget.rows = await widget.load();
    redraw(widget);
  } catch (error) {
    byId(widget.id).replaceChildren(emptyState(error.message, () => draw(widget)));
  }
}

function redraw({ id, rows, draw: drawRows }) {
  if (!rows) return;
  const box = byId(id);
  box.replaceChildren();
  if (rows.length) drawRows(box, rows);
  else box.replaceChildren(emptyState(NOTHING));
}
