// What stands in the place of the candles while there are none: a sentence, and a button where something can be done.

import { byId, emptyState } from "../dom.js";
import { showQuote } from "./legend.js";

// An empty sentence uncovers the chart.
export function cover(sentence, act, label) {
  byId("cover").hidden = !sentence;
  byId("cover").replaceChildren(...emptyState(sentence, act, label).children);
  if (!sentence) return;
  byId("legend").replaceChildren();
  showQuote(undefined);
  byId("chart").dataset.bars = "0";
}
