// The bars that show how far the fetches under way are, and whether the exchanges' streams live.

import * as api from "./api.js";
import { byId, make } from "./dom.js";

const WHILE_FILLING_MS = 2000;
const OTHERWISE_MS = 10_000;

// onStatus(status) after each look, onFailure() after one that was not answered; onProgress() while minutes arrive, and
// once more when the last job is done.
export async function watchFills({ onStatus = () => {}, onFailure = () => {}, onProgress = () => {} } = {}) {
  let busy = false;
  for (;;) {
    const told = await api.status().catch(() => undefined);
    if (!told) onFailure();
    else {
      show(told.jobs);
      const filling = told.jobs.length > 0;
      if (filling || busy) onProgress();
      busy = filling;
      onStatus(told);
    }
    await new Promise((resolve) => setTimeout(resolve, busy ? WHILE_FILLING_MS : OTHERWISE_MS));
  }
}

function show(jobs) {
  byId("fills").replaceChildren(...jobs.map(({ exchange, minutes_total, minutes_left, errors }) => {
    const done = minutes_total - minutes_left;
    const share = minutes_total ? Math.floor((done / minutes_total) * 100) : 0;
    const failed = errors ? ` · ${errors.toLocaleString("en")} failed` : "";
    const text = `${share} % · ${done.toLocaleString("en")} of ${minutes_total.toLocaleString("en")} minutes${failed}`;
    const label = `Filling the history of ${exchange}`;
    const bar = make("progress", { max: Math.max(1, minutes_total), value: done, "aria-label": label });
    return make("div", { class: "fill" }, make("span", {}, label), make("span", {}, text), bar);
  }));
}
