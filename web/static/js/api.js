// The REST routes, and errors that can be shown as they are.

const UNREACHABLE = "The server cannot be reached.";

async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  const answer = await fetch(`${path}?${query}`).catch(() => { throw new Error(UNREACHABLE); });
  if (answer.status === 401) location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? `The server answered ${answer.status}.`);
  return body;
}

const named = ({ exchange, base_id, quote_id }) => ({ exchange, base_id, quote_id });

// The newest 500 bars up to `end` (ms, included; none: up to the server's now), times in seconds.
export const bars = (market, interval, end) =>
  get("/api/ohlcvs", { ...named(market), interval, results_mls: false, ...(end !== undefined && { end }) });

export const markets = () => get("/api/symbol-exchange", { details: true });
// Minutes by state and day of many markets; of one, each span between two moments (ms, both included).
export const coverageDays = ({ exchange, ...asked }) => get("/api/coverage/days", { ...asked, ...(exchange && { exchange }) });
export const coverageSpans = (market, start, end) => get("/api/coverage", { ...named(market), start, end, states: "all" });
export const status = () => get("/api/status");
export const dailyReturns = (limit) => get("/api/analytics/geodr", { limit });
export const weeklyReturns = (limit) => get("/api/analytics/wr", { limit });
export const quotedVolumes = () => get("/api/analytics/top20qvlm");
