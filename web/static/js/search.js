// The search box: part of a name finds markets of every exchange; "/" leads to it, arrows, Enter and Escape work.

import * as api from "./api.js";
import { byId, make } from "./dom.js";

const MOST_SHOWN = 50;
// Between two letters.
const TYPING_MS = 80;

export class Search {
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.input = byId("search");
    this.list = byId("found");
    this.shown = [];
    this.active = -1;
    this.input.addEventListener("input", () => this.#askSoon());
    this.input.addEventListener("focus", () => this.#ask());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("blur", () => this.#hide());
    document.addEventListener("keydown", (event) => this.#lead(event));
    // Before the blur that a click brings, or there would be nothing left to click on.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", ({ target }) => this.#choose(this.shown[target.closest("li")?.dataset.index]));
  }

  // From wherever a person is who is not typing.
  #lead(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    this.input.focus();
    this.input.select();
  }

  #askSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#ask(), TYPING_MS);
  }

  // What was typed last counts, in whatever order answers come.
  async #ask() {
    const text = this.input.value.trim();
    this.asked = text;
    const found = await api.search(text, MOST_SHOWN).catch((error) => error);
    if (this.asked !== text || document.activeElement !== this.input) return;
    if (found instanceof Error) this.#show([], found.message);
    else this.#show(found, found.length ? "" : "No market has this name.");
  }

  #show(found, sentence) {
    this.shown = found;
    this.told = this.asked;
    this.active = this.asked && found.length ? 0 : -1;
    this.list.replaceChildren(...found.map(option));
    if (sentence) this.list.append(make("li", { class: "more" }, sentence));
    if (found.length === MOST_SHOWN) this.list.append(make("li", { class: "more" }, "and more; type to narrow"));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.#mark();
  }

  // Also for whoever is quicker than the answer.
  async #enter() {
    clearTimeout(this.timer);
    if (this.list.hidden || this.told !== this.input.value.trim()) await this.#ask();
    this.#choose(this.shown[this.active]);
  }

  #hide() {
    this.asked = undefined;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (this.list.hidden) return this.#ask();
      this.active = (this.active + step + this.shown.length) % Math.max(1, this.shown.length);
      return this.#mark();
    }
    if (event.key === "Enter") this.#enter();
    if (event.key !== "Escape") return;
    if (this.list.hidden) this.input.blur();
    this.#hide();
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

function option(market, index) {
  const about = [market.exchange, market.is_trading ? "" : "not traded any more", market.former ? `was ${market.former}` : ""].filter(Boolean);
  const attributes = { role: "option", id: `found-${index}`, "data-index": index, "aria-selected": "false" };
  return make("li", attributes, make("span", {}, `${market.base_id}/${market.quote_id}`), make("small", {}, about.join(", ")));
}
