// The REST routes, and errors that can be shown as they are.

// Where this Candlehouse begins: a proxy may show it under a path.
export const ROOT = new URL("../../", import.meta.url).pathname;
const UNREACHABLE = "The server cannot be reached.";
// When a computer's network changes, its browser breaks off whatever was asked for.
const ONCE_MORE_MS = 300;

// `status` is that of the answer; undefined when there was none.
export class Refusal extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

async function ask(path, options) {
  const url = ROOT + path;
  const answer = await fetch(url, options).catch((error) => later(url, options, error)).catch(() => { throw new Refusal(UNREACHABLE); });
  // Whoever writes is told first, so that nothing that was typed is lost.
  if (answer.status === 401 && !options) location.assign(signIn());
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(body.detail ?? `The server answered ${answer.status}.`, answer.status);
  return body;
}

// Only what reads is asked once more.
async function later(url, options, error) {
  if (options) throw error;
  await new Promise((resolve) => setTimeout(resolve, ONCE_MORE_MS));
  return fetch(url);
}

// This page as its address is without what a proxy puts before it.
export const signIn = () => `${ROOT}sign-in?next=${encodeURIComponent(here())}`;
const here = () => `/${location.pathname.slice(ROOT.length)}${location.search}`;

export const chartOf = (market) => `${ROOT}view/wschart?${new URLSearchParams(named(market))}`;

const get = (path, parameters = {}) => ask(`${path}?${new URLSearchParams(parameters)}`);

const named = ({ exchange, base_id, quote_id }) => ({ exchange, base_id, quote_id });

// The newest 500 bars up to `end` (ms, included; none: up to the server's now), times in seconds.
export const bars = (market, interval, end) =>
  get("api/ohlcvs", { ...named(market), interval, results_mls: false, ...(end !== undefined && { end }) });

// By whatever somebody types, the best first; for nothing typed the most traded.
export const search = (text, limit) => get("api/symbols/search", { q: text, limit });
export const market = async (wanted) => (await get("api/symbol-exchange", { ...named(wanted), details: true }))[0];
// Minutes by state and day of many markets; of one, its spans in some states between two moments (ms, both included).
export const coverageDays = ({ exchange, ...asked }) => get("api/coverage/days", { ...asked, ...(exchange && { exchange }) });
export const coverage = (market, start, end, states) => get("api/coverage", { ...named(market), start, end, states: states.join() });
export async function status() {
  const told = await get("api/status");
  skewMs = told.now - Date.now();
  return told;
}

export const exchanges = () => get("api/exchanges");
export const events = (exchange, limit) => get("api/events", { limit, ...(exchange && { exchange }) });
export const jobs = () => get("api/jobs");
export const ready = () => fetch(`${ROOT}ready`).then((answer) => answer.json()).catch(() => { throw new Refusal(UNREACHABLE); });

// `start` and `end` are ms, the end excluded.
export const beginFetch = (wish) => ask("api/jobs", {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wish),
});
export const cancelFetch = (number) => ask(`api/jobs/${number}`, { method: "DELETE" });

// The server's clock as far as its last status told, ms.
let skewMs = 0;
export const now = () => Date.now() + skewMs;

export const dailyReturns = (limit) => get("api/analytics/geodr", { limit });
export const weeklyReturns = (limit) => get("api/analytics/wr", { limit });
export const quotedVolumes = () => get("api/analytics/top20qvlm");
