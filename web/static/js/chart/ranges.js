// The range buttons of the page: how far back each shows, and in bars of which timeframe.

import { byId } from "../dom.js";

export const RANGES = [...byId("ranges").children].map((button) => ({
  name: button.dataset.range, interval: button.dataset.interval, bars: Number(button.dataset.bars), says: button.getAttribute("aria-label"),
}));

export const rangeNamed = (name) => RANGES.find((range) => range.name === name);
