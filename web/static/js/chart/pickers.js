// The controls around the chart: timeframes, ranges, time zone, scale, the other exchange. Each tells what was chosen.

import { byId, make } from "../dom.js";
import { RANGES } from "./ranges.js";
import { parseTimeframe } from "./timeframe.js";
import { Zone, nameOf, zoneNames } from "./zone.js";

const BAD = "Write a number with m, h, D, W, M or Y, such as 7m, 2h or 3D.";

export class Pickers {
  // onChoose(change) with some of the choices.
  constructor(onChoose) {
    this.onChoose = onChoose;
    for (const button of byId("intervals").querySelectorAll("button")) {
      button.addEventListener("click", () => this.#timeframe(button.dataset.interval));
    }
    for (const button of byId("ranges").children) {
      button.addEventListener("click", () => this.#range(RANGES.find(({ name }) => name === button.dataset.range)));
    }
    byId("other-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#timeframe(byId("other").value);
    });
    byId("other").addEventListener("input", () => this.#complain(""));
    byId("log").addEventListener("click", () => onChoose({ log: byId("log").getAttribute("aria-pressed") !== "true" }));
    byId("zone").addEventListener("change", ({ target }) => onChoose({ zone: target.value }));
    byId("zone").addEventListener("focus", fillZones, { once: true });
    byId("versus").addEventListener("change", ({ target }) => onChoose({ versus: target.value }));
  }

  tell({ timeframe, range, zone, log, versus }) {
    press(byId("intervals"), "interval", timeframe.name);
    press(byId("ranges"), "range", range?.name);
    byId("other").value = timeframe.isStored ? "" : timeframe.name;
    byId("other").toggleAttribute("data-pressed", !timeframe.isStored);
    this.#complain("");
    byId("log").setAttribute("aria-pressed", String(log));
    if (![...byId("zone").options].some(({ value }) => value === zone)) byId("zone").append(make("option", { value: zone }, labelOf(zone)));
    byId("zone").value = zone;
    byId("zone").title = `${nameOf(zone)}, ${new Zone(zone).offsetText(Date.now() / 1000)}`;
    if (byId("versus").dataset.pair) byId("versus").value = versus;
  }

  // The exchanges beside its own that have the pair of `market`, among those that were found.
  offer(found, { exchange, base_id, quote_id }, versus) {
    const others = found.filter((one) => one.base_id === base_id && one.quote_id === quote_id && one.exchange !== exchange)
      .sort((a, b) => a.exchange.localeCompare(b.exchange));
    const says = others.length ? "Compare with…" : "No other exchange";
    byId("versus").replaceChildren(make("option", { value: "" }, says), ...others.map((one) => make("option", { value: one.exchange }, one.exchange)));
    byId("versus").disabled = !others.length;
    byId("versus").dataset.pair = `${base_id}/${quote_id}`;
    byId("versus").value = others.some((one) => one.exchange === versus) ? versus : "";
  }

  #timeframe(text) {
    const timeframe = parseTimeframe(text);
    if (!timeframe) return this.#complain(BAD);
    this.onChoose({ timeframe, range: undefined });
  }

  #range(range) {
    this.onChoose({ timeframe: parseTimeframe(range.interval), range });
  }

  #complain(sentence) {
    byId("other").toggleAttribute("aria-invalid", Boolean(sentence));
    byId("other-problem").textContent = sentence;
    byId("other-problem").hidden = !sentence;
  }
}

function press(group, field, chosen) {
  for (const button of group.querySelectorAll(`[data-${field}]`)) button.setAttribute("aria-pressed", String(button.dataset[field] === chosen));
}

const labelOf = (zone) => (zone === "local" ? `Local (${nameOf(zone)})` : zone.replaceAll("_", " "));

// All that the browser knows, when somebody looks for one: four hundred are not needed before.
function fillZones() {
  const select = byId("zone");
  const { value } = select;
  const names = zoneNames().filter((name) => name !== "UTC");
  select.replaceChildren(...["UTC", "local", ...new Set([...names, ...(["UTC", "local"].includes(value) ? [] : [value])])]
    .map((zone) => make("option", { value: zone }, labelOf(zone))));
  select.value = value;
}
