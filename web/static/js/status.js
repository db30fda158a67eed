// The status page: how the exchanges stand, fetches and a form that begins one, and what happened lately.

import * as api from "./api.js";
import { byId } from "./dom.js";
import { showEvents } from "./status/events.js";
import { exchangesTable } from "./status/exchanges.js";
import { FetchForm } from "./status/fetch-form.js";
import { Jobs } from "./status/jobs.js";
import { part } from "./status/part.js";
import { showVerdict } from "./status/verdict.js";

const WHILE_FETCHING_MS = 2000;
const OTHERWISE_MS = 8000;
const MOST_EVENTS = 100;

const jobs = new Jobs(byId("jobs"), () => look());
const parts = [
  part("verdict", () => api.ready().catch(({ message }) => ({ ready: false, reasons: { Server: message } })), showVerdict),
  part("exchanges", api.exchanges, (box, rows) => box.replaceChildren(exchangesTable(rows))),
  part("jobs", api.jobs, (_, rows) => jobs.show(rows)),
  part("events", () => api.events(byId("events-of").value, MOST_EVENTS), showEvents),
];
let timer;

// All parts, each on its own: one that does not answer says so in its place.
async function look() {
  clearTimeout(timer);
  await Promise.all([api.status().catch(() => {}), ...parts.map((one) => one())]);
  clearTimeout(timer);
  timer = setTimeout(look, jobs.areBusy ? WHILE_FETCHING_MS : OTHERWISE_MS);
}

new FetchForm(byId("fetch"), () => look());
byId("events-of").addEventListener("change", look);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
look();
