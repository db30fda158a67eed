// The connection, said honestly: live, and how old the newest word is; or why not.

import * as api from "../api.js";
import { byId } from "../dom.js";

const TICK_MS = 1000;
// Instead of a stream, where nothing is shown that could have one.
export const NO_MARKET = "none";

export class Pill {
  constructor() {
    this.socket = ["connecting"];
    this.stream = undefined; // of the exchange, as /api/status tells; null where it has none, undefined while that is not known; or NO_MARKET
    this.heardAt = undefined;
    this.refused = false;
    setInterval(() => this.tell(), TICK_MS);
    for (const change of ["online", "offline"]) addEventListener(change, () => this.tell());
  }

  tell() {
    const [state, text, title] = this.#said();
    const pill = byId("connection");
    pill.dataset.state = state;
    pill.title = title;
    // A reader is told of another state, not of each second.
    for (const [name, words] of [["state", text[0]], ["age", text[1] ?? ""]]) {
      const box = pill.querySelector(`[data-part=${name}]`);
      if (box.textContent !== words) box.textContent = words;
    }
  }

  #said() {
    const [state, until] = this.socket;
    if (!navigator.onLine && state !== "live") return ["offline", ["Offline"], "This computer has no network. What you see is as old as the newest bar."];
    if (state === "waiting") return ["waiting", ["Reconnecting", `${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s`], "The server does not answer. It is tried again and again."];
    if (this.stream === NO_MARKET && state === "live") return ["stored", ["No market"], "The server answers. Choose a market."];
    if (state === "connecting" || (this.stream === undefined && !this.heardAt)) return ["connecting", ["Connecting…"], ""];
    if (this.refused) return ["refused", ["Not live"], "The server does not stream this market."];
    if (this.stream === null) return ["stored", ["Stored history"], "This exchange is not streamed: the chart shows what is stored."];
    if (this.stream && !this.stream.fresh) return ["stale", ["Stale", age(this.stream.last_candle_ms)], "The exchange's stream brings nothing new. Its newest candle is so old."];
    return ["live", ["Live", this.heardAt ? since(Date.now() - this.heardAt) : ""], "Connected. So long ago this market had its last trade or correction."];
  }
}

const age = (ms) => (ms ? `${since(api.now() - ms)}` : "no candle yet");

function since(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} days`;
}
