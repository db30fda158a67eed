// The WebSocket: any number of markets and timeframes, connected again whenever it is lost.

import { ROOT } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export class Feed {
  // onState(state, until) with connecting, live, or waiting until a moment (ms); onAgain() when the connection is back and
  // bars may have been missed; onRefusal(sentence).
  constructor({ onState, onAgain, onRefusal }) {
    this.handlers = { onState, onAgain, onRefusal };
    this.topics = new Map();
    this.called = new Map(); // by the names that bars bear, the key of their topic
    this.unanswered = [];
    this.failures = 0;
    this.#connect();
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
  }

  // onBar(bar, isMinute) for each bar of it; of a timeframe that is not streamed, for the minutes that make it. Answers what
  // ends that.
  follow(market, timeframe, onBar) {
    const { exchange, base_id, quote_id } = market;
    const interval = timeframe.isStored ? timeframe.name : "1m";
    const topic = { data_type: "ohlcv", exchange, base_id, quote_id, interval, mls: false, tags: true };
    const key = keyOf(topic);
    const listeners = this.topics.get(key)?.listeners ?? new Set();
    const listener = (bar) => onBar(bar, !timeframe.isStored);
    this.topics.set(key, { topic, listeners: listeners.add(listener) });
    this.#say({ ...topic, event_type: "subscribe" });
    return () => {
      listeners.delete(listener);
      if (listeners.size) return;
      this.topics.delete(key);
      this.#say({ ...topic, event_type: "unsubscribe" });
    };
  }

  // Do not wait out the pause when the network or the person is back.
  hurry() {
    if (this.socket.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.timer);
    this.#connect();
  }

  // The server does not answer elsewhere: a connection that looks open may be dead.
  doubt() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.close();
  }

  #connect() {
    this.handlers.onState("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${ROOT}api/ohlcvs`);
    this.socket = socket;
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", ({ data }) => this.#heard(JSON.parse(data)));
    socket.addEventListener("close", () => this.#lost());
  }

  #opened() {
    const again = this.failures > 0;
    this.failures = 0;
    this.unanswered = [];
    this.handlers.onState("live");
    for (const { topic } of this.topics.values()) this.#say({ ...topic, event_type: "subscribe" });
    if (again) this.handlers.onAgain();
  }

  #lost() {
    this.failures += 1;
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.handlers.onState("waiting", Date.now() + wait);
    this.timer = setTimeout(() => this.#connect(), wait);
  }

  #heard(message) {
    if (message.event === "error") this.handlers.onRefusal(message.detail);
    if (message.event) this.#learn(message, this.unanswered.shift());
    if (message.time === undefined) return;
    const key = keyOf(message);
    for (const listener of this.topics.get(this.called.get(key) ?? key)?.listeners ?? []) listener(message);
  }

  // While the connection was lost a market may have been renamed: its bars bear the names of now.
  #learn(answer, asked) {
    if (answer.event === "subscribed" && asked) this.called.set(keyOf(answer), keyOf(asked));
  }

  #say(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.unanswered.push(message);
    this.socket.send(JSON.stringify(message));
  }
}

const keyOf = ({ exchange, base_id, quote_id, interval }) => JSON.stringify([exchange, base_id, quote_id, interval]);
