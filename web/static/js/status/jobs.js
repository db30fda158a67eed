// The fetches: how far each is and how fast it goes, and a button that stops it.

import * as api from "../api.js";
import { make } from "../dom.js";
import { day } from "../format.js";
import { lasting } from "./ages.js";
import { explain } from "./refused.js";

const STATES = { queued: "Waiting for a worker", running: "Running", done: "Done", cancelled: "Cancelled", failed: "Some pages refused" };
const RATES_OVER_MS = 30_000;
const WORTH_MS = 4000;

export class Jobs {
  constructor(box, onChange) {
    this.box = box;
    this.onChange = onChange;
    this.seen = new Map(); // by job, its minutes left at moments of the last half minute
    this.areBusy = false;
  }

  show(rows) {
    this.areBusy = rows.some(isUnderWay);
    if (!rows.length) return this.box.replaceChildren(make("p", { class: "about" }, "None yet. What you fetch shows here, whoever began it."));
    // A button that has the focus keeps it.
    const focused = document.activeElement?.closest?.("[data-job]")?.dataset.job;
    this.box.replaceChildren(...rows.map((row) => this.#card(row)));
    if (focused) this.box.querySelector(`[data-job="${focused}"] button`)?.focus();
  }

  #card(row) {
    const done = row.minutes_total - row.minutes_left;
    const span = `${day.long(row.start)} – ${day.long(row.end - 1)}`;
    const state = make("span", { class: "state", "data-state": row.state }, make("span", { class: "dot", "aria-hidden": "true" }), this.#says(row));
    const end = make("div", { class: "end" }, make("p", { class: "when" }, span), ...(isUnderWay(row) ? [this.#stop(row)] : []));
    const card = make("article", { "data-job": row.id }, make("h3", {}, row.exchange, make("small", {}, ` #${row.id}`)), state, end);
    if (isUnderWay(row)) card.append(make("progress", { max: row.minutes_total, value: done, "aria-label": `Fetch ${row.id} of ${row.exchange}` }));
    card.append(make("p", { class: "facts" }, this.#facts(row, done).join(" · ")));
    if (row.note) card.append(make("p", { class: "note" }, row.note));
    return card;
  }

  #says(row) {
    if (row.state === "queued" && (row.leased || row.requests)) return STATES.running;
    return STATES[row.state] ?? row.state;
  }

  #facts(row, done) {
    const share = row.minutes_total ? Math.floor((100 * done) / row.minutes_total) : 100;
    const left = isUnderWay(row) ? this.#left(row) : "";
    return [
      `${share} % of ${row.minutes_total.toLocaleString("en")} minutes`, `${row.rows_written.toLocaleString("en")} candles new or changed`,
      row.errors ? `${row.errors.toLocaleString("en")} pages failed` : "", left,
    ].filter(Boolean);
  }

  // By the pace of the last half minute.
  #left({ id, minutes_left }) {
    const now = performance.now();
    const seen = [...(this.seen.get(id) ?? []), [now, minutes_left]].filter(([at]) => now - at < RATES_OVER_MS);
    this.seen.set(id, seen);
    const [[then, before]] = seen;
    if (now - then < WORTH_MS || before <= minutes_left) return "";
    return `${lasting((minutes_left * (now - then)) / (before - minutes_left))} left`;
  }

  #stop({ id, exchange }) {
    const button = make("button", { type: "button", "aria-label": `Stop fetch ${id} of ${exchange}` }, "Stop");
    button.addEventListener("click", async () => {
      button.disabled = true;
      await api.cancelFetch(id).catch((error) => button.replaceWith(make("p", { class: "said bad" }, ...explain(error))));
      this.onChange();
    });
    return button;
  }
}

const isUnderWay = ({ state }) => state === "queued" || state === "running";
