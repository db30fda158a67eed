// The form that begins a fetch. What is typed stands in the address, so that signing in loses nothing.

import * as api from "../api.js";
import { byId, make } from "../dom.js";
import { day } from "../format.js";
import { explain } from "./refused.js";

const DAY_MS = 86_400_000;
const FIELDS = ["exchange", "symbols", "from", "to"];
const USUAL_DAYS = 7;

export class FetchForm {
  constructor(form, onBegin) {
    this.form = form;
    this.onBegin = onBegin;
    const query = new URLSearchParams(location.search);
    const today = api.now();
    const usual = { from: day.iso(today - USUAL_DAYS * DAY_MS), to: day.iso(today) };
    for (const name of FIELDS) {
      const value = query.get(name) ?? usual[name];
      if (value) form.elements[name].value = value;
    }
    form.addEventListener("change", () => this.#remember());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
  }

  async #begin() {
    const { exchange, symbols, from, to } = Object.fromEntries(FIELDS.map((name) => [name, this.form.elements[name].value]));
    // The last day as a whole, or as much of it as is over.
    const end = Math.min(Date.parse(to) + DAY_MS, Math.floor(api.now() / 60_000) * 60_000);
    this.#remember();
    this.#busy(true);
    try {
      const told = await api.beginFetch({ exchange, symbols, start: Date.parse(from), end });
      this.#say("good", [sentence(told), ...told.notes].join(" "));
      this.onBegin();
    } catch (error) {
      this.#say("bad", ...explain(error));
    }
    this.#busy(false);
  }

  #busy(is) {
    const button = this.form.querySelector("button");
    button.disabled = is;
    button.textContent = is ? "Planning…" : "Fetch";
  }

  #say(kind, ...parts) {
    const box = byId("fetch-said");
    box.hidden = false;
    box.className = `said span-all ${kind}`;
    box.replaceChildren(...parts.map((part) => (typeof part === "string" ? make("span", {}, part) : part)));
  }

  #remember() {
    const values = FIELDS.map((name) => [name, this.form.elements[name].value]).filter(([, value]) => value);
    history.replaceState(null, "", `?${new URLSearchParams(values)}`);
  }
}

function sentence({ id, markets, done }) {
  const what = `${markets.toLocaleString("en")} ${markets === 1 ? "market" : "markets"}`;
  return done ? `Already complete: ${what}, nothing is missing.` : `Fetch ${id} of ${what} is planned.`;
}
