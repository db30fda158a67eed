// The range buttons: how far back, and in bars of what width.

export const RANGES = [
  { name: "1h", interval: "1m", bars: 60, says: "last hour" },
  { name: "6h", interval: "5m", bars: 72, says: "last 6 hours" },
  { name: "1D", interval: "15m", bars: 96, says: "last day" },
  { name: "3D", interval: "30m", bars: 144, says: "last 3 days" },
  { name: "7D", interval: "1h", bars: 168, says: "last 7 days" },
  { name: "1M", interval: "6h", bars: 120, says: "last month" },
  { name: "3M", interval: "12h", bars: 180, says: "last 3 months" },
  { name: "1Y", interval: "1D", bars: 365, says: "last year" },
  { name: "3Y", interval: "7D", bars: 157, says: "last 3 years" },
];

const UNITS = { m: 60, h: 3600, D: 86400 };

// Seconds of one bar.
export const width = (interval) => parseInt(interval, 10) * UNITS[interval.at(-1)];

export const rangeNamed = (name) => RANGES.find((range) => range.name === name) ?? RANGES[0];
