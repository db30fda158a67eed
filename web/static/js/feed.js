// The WebSocket: any number of markets and timeframes. It is connected again whenever it is lost, and goes on where it was:
// what changed meanwhile is told first, late corrections of older bars as well.

import { ROOT } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
// A connection that has said nothing for so many heartbeats is dead, however open it looks.
const HEARTBEAT_S = 10;
const MISSED_BEATS = 2.5;
// Bars that are told first, so that none is missed that changed after history was read.
const SNAPSHOT = 100;

export class Feed {
  // onState(state, until) with connecting, live, or waiting until a moment (ms); onAgain() when the connection is back and
  // bars may have been missed, onMissed() when older ones may have been, too.
  constructor({ onState, onAgain, onMissed }) {
    this.handlers = { onState, onAgain, onMissed };
    this.topics = new Map(); // by the name that we gave each: {stream, exchange, listeners, isKnown}
    this.names = new Map(); // by stream, in the server's spelling, our name of it
    this.seqs = {}; // by exchange, up to where we were told
    this.failures = 0;
    this.#connect();
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
  }

  // onBar(bar, isNews) for each bar of it, its time in seconds; what is told only to begin with is no news. onRefusal(sentence).
  // Answers what ends that.
  follow({ exchange, base_id, quote_id }, timeframe, onBar, onRefusal = () => {}) {
    const stream = `${exchange}:${base_id}:${quote_id}@${timeframe.name}`;
    const topic = this.topics.get(stream) ?? { stream, exchange, listeners: new Set(), isKnown: false };
    const listener = { onBar, onRefusal };
    topic.listeners.add(listener);
    // Whoever comes second is told what the first was told, from the beginning.
    if (!this.topics.has(stream) || topic.isKnown) this.#subscribe({ ...topic, isKnown: false });
    this.topics.set(stream, topic);
    return () => {
      topic.listeners.delete(listener);
      if (topic.listeners.size || !this.topics.delete(stream)) return;
      this.#say({ event_type: "unsubscribe", streams: [stream] });
    };
  }

  // Do not wait out the pause when the network or the person is back.
  hurry() {
    if (this.socket) return;
    clearTimeout(this.timer);
    this.#connect();
  }

  // The server does not answer elsewhere: a connection that looks open may be dead. It is not waited for until it has closed.
  doubt() {
    this.socket?.close();
    this.#lost(this.socket);
  }

  #connect() {
    this.handlers.onState("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${ROOT}api/ohlcvs`);
    this.socket = socket;
    this.#listen();
    socket.addEventListener("open", () => socket === this.socket && this.#opened());
    socket.addEventListener("message", ({ data }) => socket === this.socket && this.#heard(JSON.parse(data)));
    socket.addEventListener("close", () => this.#lost(socket));
  }

  #opened() {
    const again = this.failures > 0;
    this.failures = 0;
    this.#listen();
    this.#say({ event_type: "configure", heartbeat_s: HEARTBEAT_S });
    for (const topic of this.topics.values()) this.#subscribe(topic);
    if (!this.topics.size) this.handlers.onState("live");
    if (again) this.handlers.onAgain();
  }

  #lost(socket) {
    if (!socket || socket !== this.socket) return;
    this.socket = undefined;
    clearTimeout(this.silence);
    this.failures += 1;
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.handlers.onState("waiting", Date.now() + wait);
    this.timer = setTimeout(() => this.#connect(), wait);
  }

  #subscribe({ stream, exchange, isKnown }) {
    const seq = isKnown ? this.seqs[exchange] : undefined;
    this.#say({ event_type: "subscribe", id: stream, streams: [stream], snapshot: SNAPSHOT, ...(seq && { resume_from: seq }) });
  }

  #heard(message) {
    this.#listen();
    const { event } = message;
    if (event === "heartbeat") Object.assign(this.seqs, message.seq);
    if (event === "missed") this.handlers.onMissed();
    if (event === "subscribed") this.#name(message);
    if (event === "error") this.#refuse(message);
    if (!event || event === "snapshot") this.#tell(message);
  }

  // A market may have been renamed: its bars bear the name of now. Who goes on is followed from here on.
  #name({ id, streams }) {
    for (const stream of streams) this.names.set(stream, id);
    if (this.topics.get(id)?.isKnown) this.handlers.onState("live");
  }

  #refuse({ id, detail }) {
    this.handlers.onState("live");
    for (const listener of this.topics.get(id)?.listeners ?? []) listener.onRefusal(detail);
  }

  // A candle; or those of a snapshot, behind which nothing is missed any more.
  #tell({ event, stream, seq, candles, ...candle }) {
    const topic = this.topics.get(this.names.get(stream));
    if (!topic) return;
    if (seq) this.seqs[topic.exchange] = seq;
    if (event) {
      topic.isKnown = true;
      this.handlers.onState("live");
    }
    for (const { time, ...rest } of candles ?? [candle]) {
      for (const { onBar } of topic.listeners) onBar({ ...rest, time: time / 1000 }, !event);
    }
  }

  #listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.doubt(), HEARTBEAT_S * MISSED_BEATS * 1000);
  }

  #say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
