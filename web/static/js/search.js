// The search box: part of a name finds markets of every exchange; arrows, Enter and Escape work.

import { byId, make } from "./dom.js";

const MOST_SHOWN = 60;

export class Search {
  constructor(markets, onChoose) {
    this.onChoose = onChoose;
    this.input = byId("search");
    this.list = byId("found");
    this.shown = [];
    this.active = -1;
    this.know(markets);
    this.input.addEventListener("input", () => this.#show());
    this.input.addEventListener("focus", () => this.#show());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("blur", () => this.#hide());
    // Before the blur that a click brings, or there would be nothing left to click on.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", ({ target }) => this.#choose(this.shown[target.closest("li")?.dataset.index]));
  }

  // Markets with candles come first.
  know(markets) {
    this.entries = [...markets]
      .sort((a, b) => (b.last_time !== null) - (a.last_time !== null))
      .map((market) => ({ market, text: searchable(market) }));
  }

  #show() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.entries.filter(({ text }) => words.every((word) => text.includes(word)));
    this.shown = found.slice(0, MOST_SHOWN).map(({ market }) => market);
    this.active = words.length && this.shown.length ? 0 : -1;
    this.list.replaceChildren(...this.shown.map(option));
    if (!found.length) this.list.append(make("li", { class: "more" }, "No market has this name."));
    if (found.length > MOST_SHOWN) {
      this.list.append(make("li", { class: "more" }, `and ${found.length - MOST_SHOWN} more; type to narrow`));
    }
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.#mark();
  }

  #hide() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (this.list.hidden) return this.#show();
      this.active = (this.active + step + this.shown.length) % Math.max(1, this.shown.length);
      return this.#mark();
    }
    if (event.key === "Enter") this.#choose(this.shown[this.active]);
    if (event.key === "Escape") this.#hide();
  }

  #mark() {
    [...this.list.querySelectorAll("[role=option]")].forEach((item, index) => {
      item.setAttribute("aria-selected", String(index === this.active));
      if (index !== this.active) return;
      item.scrollIntoView({ block: "nearest" });
      this.input.setAttribute("aria-activedescendant", item.id);
    });
  }

  #choose(market) {
    if (!market) return;
    this.input.value = "";
    this.#hide();
    this.input.blur();
    this.onChoose(market);
  }
}

function searchable({ exchange, base_id, quote_id, symbol, former }) {
  const spellings = [`${exchange}::${base_id}${quote_id}`, `${base_id}/${quote_id}`, `${base_id}-${quote_id}`, symbol, ...former];
  return spellings.join(" ").toLowerCase();
}

function option(market, index) {
  const name = `${market.base_id}/${market.quote_id}`;
  const about = market.last_time === null ? `${market.exchange}, no candles yet` : market.exchange;
  const attributes = { role: "option", id: `found-${index}`, "data-index": index, "aria-selected": "false" };
  return make("li", attributes, make("span", {}, name), make("small", {}, about));
}
