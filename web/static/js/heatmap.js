// Markets by days: one cell for each, drawn by the states of its minutes. Arrows move, Enter opens.

import { make } from "./dom.js";
import { day } from "./format.js";
import { STATES, share, stacked, total } from "./states.js";

const DAY_MS = 86_400_000;
const CELL_PX = 28;
// Up to so many days each has its number above it; of more, only Mondays.
const MOST_NUMBERS = 31;
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export class HeatMap {
  // onPoint(cell or undefined, text parts) for a tooltip, onOpen(market, start of the day) for its details.
  constructor(box, { onPoint, onOpen }) {
    this.box = box;
    this.onPoint = onPoint;
    this.onOpen = onOpen;
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("click", ({ target }) => this.#open(target.closest("td")));
    box.addEventListener("pointerover", ({ target, pointerType }) => pointerType !== "touch" && this.#point(target.closest("td")));
    box.addEventListener("pointerleave", () => this.#point());
    box.addEventListener("focusin", ({ target }) => this.#focus(target.closest("td")));
    box.addEventListener("focusout", () => this.#point());
  }

  draw(told) {
    this.told = told;
    this.days = Array.from({ length: (told.end - told.start) / DAY_MS }, (_, index) => told.start + index * DAY_MS);
    const rows = told.markets.map((market, index) => this.#row(market, index));
    const table = make("table", { role: "grid", "aria-label": "Minutes by market and day", "data-days": this.days.length },
      make("thead", {}, this.#months(), this.#numbers()), make("tbody", {}, ...rows));
    table.style.setProperty("--days", this.days.length);
    this.box.replaceChildren(make("div", { class: "scroll" }, table));
    this.rows = [...table.tBodies[0].rows];
    // The newest days are looked at first.
    this.box.firstChild.scrollLeft = this.box.firstChild.scrollWidth;
    this.rows[0]?.lastElementChild.setAttribute("tabindex", "0");
  }

  counts(row, column) {
    const { days } = this.told.markets[row];
    return Object.fromEntries(Object.entries(days).map(([name, minutes]) => [name, minutes[column]]));
  }

  // Only the markets with these words in their names.
  filter(words) {
    for (const row of this.rows ?? []) row.hidden = !words.every((word) => row.dataset.text.includes(word));
  }

  #months() {
    const cells = [make("td", { class: "corner" })];
    for (const [index, ms] of this.days.entries()) {
      const date = new Date(ms);
      if (index && date.getUTCDate() !== 1) continue;
      const left = this.days.length - index;
      const rest = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate() - date.getUTCDate() + 1;
      cells.push(make("th", { colspan: Math.min(left, rest), class: "month" }, make("span", {}, day.month(ms))));
    }
    return make("tr", { "aria-hidden": "true" }, ...cells);
  }

  #numbers() {
    const dense = this.days.length > MOST_NUMBERS;
    const cells = this.days.map((ms) => {
      const date = new Date(ms);
      const shown = !dense || date.getUTCDay() === 1;
      return make("th", { scope: "col", "aria-label": day.long(ms) }, shown ? String(date.getUTCDate()) : "");
    });
    return make("tr", {}, make("th", { scope: "col", class: "corner" }, "Market"), ...cells);
  }

  #row(market, index) {
    const sums = {};
    for (const { name } of STATES) sums[name] = (market.days[name] ?? []).reduce((sum, minutes) => sum + minutes, 0);
    const answered = sums.present + sums.empty + sums.outage;
    const about = total(sums) ? `${market.exchange} · ${Math.floor((answered / total(sums)) * 1000) / 10} %` : market.exchange;
    const head = make("th", { scope: "row", title: "Share of its minutes that the exchange has answered for" },
      make("span", {}, `${market.base_id}/${market.quote_id}`), make("small", {}, about));
    const text = `${market.exchange} ${market.base_id}/${market.quote_id} ${market.base_id}${market.quote_id} ${market.symbol}`.toLowerCase();
    return make("tr", { "data-text": text, "data-row": index }, head, ...this.days.map((_, column) => this.#cell(index, column)));
  }

  #cell(row, column) {
    const counts = this.counts(row, column);
    if (!total(counts)) return make("td", { class: "none", tabindex: "-1", "aria-label": this.label(row, column) });
    const cell = make("td", { tabindex: "-1", "aria-label": this.label(row, column) });
    cell.style.background = stacked(counts, CELL_PX);
    return cell;
  }

  label(row, column) {
    const { base_id, quote_id, exchange } = this.told.markets[row];
    const counts = this.counts(row, column);
    const parts = STATES.filter(({ name }) => counts[name] > 0).map(({ name, says }) => `${says}: ${share(counts[name], total(counts))}`);
    return `${base_id}/${quote_id} on ${exchange}, ${day.long(this.days[column])}. ${parts.join(", ") || "Nothing known"}`;
  }

  #place(cell) {
    return cell && this.rows?.includes(cell.parentElement) ? [Number(cell.parentElement.dataset.row), cell.cellIndex - 1] : undefined;
  }

  #point(cell) {
    const place = this.#place(cell);
    if (!place) return this.onPoint();
    this.onPoint(cell, this.told.markets[place[0]], this.days[place[1]], this.counts(...place));
  }

  #focus(cell) {
    if (!this.#place(cell)) return;
    for (const other of this.box.querySelectorAll("td[tabindex='0']")) other.setAttribute("tabindex", "-1");
    cell.setAttribute("tabindex", "0");
    this.#point(cell);
  }

  #open(cell) {
    const place = this.#place(cell);
    if (!place) return;
    cell.focus();
    this.onPoint();
    this.onOpen(this.told.markets[place[0]], this.days[place[1]]);
  }

  #key(event) {
    const cell = event.target.closest("td");
    if (!this.#place(cell)) return;
    if (event.key === "Escape") return this.onPoint();
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return this.#open(cell);
    }
    const shown = this.rows.filter((row) => !row.hidden);
    const ends = { Home: 1, End: this.days.length };
    const [down, right] = STEPS[event.key] ?? [0, 0];
    const row = shown[shown.indexOf(cell.parentElement) + down];
    const next = row?.cells[ends[event.key] ?? cell.cellIndex + right];
    if (!(event.key in STEPS) && !(event.key in ends)) return;
    event.preventDefault();
    if (next?.matches("td")) next.focus();
  }
}
