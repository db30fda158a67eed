// The indicators there are: their settings, and the lines that each draws. In an address they stand as sma:20,bb:20:2.

import { bollinger, ema, macd, rsi, sma, vwap } from "./mathematics.js";
import { parseTimeframe } from "./timeframe.js";

export const MOST = 8;
const period = (value, says = "Period") => ({ says, value, least: 1, most: 500, step: 1 });
const closes = (bars) => bars.map((bar) => bar.close);

// `pane`: "price" over the candles, else one of its own. Of `lines`, the first names the study in the legend.
export const KINDS = {
  sma: {
    says: "Simple average", short: "SMA", pane: "price", settings: [period(20)],
    lines: (bars, [length]) => [{ values: sma(closes(bars), length) }],
  },
  ema: {
    says: "Exponential average", short: "EMA", pane: "price", settings: [period(20)],
    lines: (bars, [length]) => [{ values: ema(closes(bars), length) }],
  },
  bb: {
    says: "Bollinger bands", short: "BB", pane: "price", settings: [period(20), { says: "Deviations", value: 2, least: 0.1, most: 10, step: 0.1 }],
    lines: (bars, [length, deviations]) => {
      const { middle, upper, lower } = bollinger(closes(bars), length, deviations);
      return [{ values: middle, dashed: true }, { name: "upper", values: upper }, { name: "lower", values: lower }];
    },
  },
  vwap: {
    says: "Volume-weighted average price", short: "VWAP", pane: "price",
    settings: [{ says: "Since the start of", value: "1D", among: { "1D": "the day", "7D": "the week", "1M": "the month", "1Y": "the year" } }],
    lines: (bars, [session]) => {
      const frame = parseTimeframe(session);
      return [{ values: vwap(bars, (time) => frame.floor(time)) }];
    },
    needs: (time, [session]) => parseTimeframe(session).floor(time),
  },
  rsi: {
    says: "Relative strength index", short: "RSI", pane: "own", settings: [period(14)], levels: [70, 30], digits: 2,
    lines: (bars, [length]) => [{ values: rsi(closes(bars), length) }],
  },
  macd: {
    says: "MACD", short: "MACD", pane: "own", settings: [period(12, "Fast"), period(26, "Slow"), period(9, "Signal")], levels: [0],
    lines: (bars, [fast, slow, signalPeriod]) => {
      const { line, signal, histogram } = macd(closes(bars), fast, slow, signalPeriod);
      return [{ values: line }, { name: "signal", values: signal, quiet: true }, { name: "histogram", values: histogram, columns: true }];
    },
  },
};

export const titleOf = ({ kind, settings }) => `${KINDS[kind].short} ${settings.join(" ")}`;
export const usual = (kind) => ({ kind, settings: KINDS[kind].settings.map(({ value }) => value) });

// What cannot be is passed over.
export function readStudies(text) {
  return text.split(",").map((word) => {
    const [kind, ...given] = word.split(":");
    if (!Object.hasOwn(KINDS, kind)) return undefined;
    return { kind, settings: KINDS[kind].settings.map((setting, index) => allowed(setting, given[index])) };
  }).filter(Boolean).slice(0, MOST);
}

export const writeStudies = (studies) => studies.map(({ kind, settings }) => [kind, ...settings].join(":")).join();

// The value that a person gave, or the usual one where it cannot be.
export function allowed({ among, value, least, most, step }, given) {
  if (among) return Object.hasOwn(among, given) ? given : value;
  const number = Math.round(Number(given) / step) * step;
  return given !== undefined && given !== "" && number >= least && number <= most ? Number(number.toFixed(2)) : value;
}
