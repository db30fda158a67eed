// The WebSocket: one market and interval at a time, connected again whenever it is lost.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export class Feed {
  // onBar(bar) for each bar of the topic; onState(state, waitMs) with connecting, live or waiting;
  // onAgain() when the connection is back and bars may have been missed.
  constructor({ onBar, onState, onAgain, onRefusal }) {
    this.handlers = { onBar, onState, onAgain, onRefusal };
    this.topic = undefined;
    this.failures = 0;
    this.#connect();
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
  }

  watch(market, interval) {
    if (this.topic) this.#say({ ...this.topic, event_type: "unsubscribe" });
    const { exchange, base_id, quote_id } = market;
    this.topic = { data_type: "ohlcv", exchange, base_id, quote_id, interval, mls: false, tags: true };
    this.#say({ ...this.topic, event_type: "subscribe" });
  }

  #connect() {
    this.handlers.onState("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/api/ohlcvs`);
    this.socket.addEventListener("open", () => this.#opened());
    this.socket.addEventListener("message", ({ data }) => this.#heard(JSON.parse(data)));
    this.socket.addEventListener("close", () => this.#lost());
  }

  #opened() {
    const again = this.failures > 0;
    this.failures = 0;
    this.handlers.onState("live");
    if (this.topic) this.#say({ ...this.topic, event_type: "subscribe" });
    this.first = this.topic;
    if (again) this.handlers.onAgain();
  }

  #lost() {
    this.failures += 1;
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.handlers.onState("waiting", wait);
    this.timer = setTimeout(() => this.#connect(), wait);
  }

  // Do not wait out the pause when the network or the person is back.
  #hurry() {
    if (this.socket.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.timer);
    this.#connect();
  }

  #heard(message) {
    if (message.event === "error") this.handlers.onRefusal(message.detail);
    if (message.event === "subscribed" && this.first) this.#learn(message);
    if (message.time === undefined || !this.topic) return;
    const ours = ["exchange", "base_id", "quote_id", "interval"].every((name) => message[name] === this.topic[name]);
    if (ours) this.handlers.onBar(message);
  }

  // While the connection was lost the market may have been renamed: its bars bear the names of now.
  #learn({ base_id, quote_id }) {
    Object.assign(this.first, { base_id, quote_id });
    this.first = undefined;
  }

  #say(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
