// One line over everything: whether all is well, or what is not.

import { make } from "../dom.js";

const names = { database: "The database", redis: "Redis" };

export function showVerdict(box, { ready, reasons }) {
  const sentences = Object.entries(reasons).map(([who, why]) => `${names[who] ?? who}: ${why}`);
  const says = ready ? "All is well: every streamed exchange is live, and both servers answer." : sentences.join(" ");
  if (box.lastElementChild.textContent === says && box.dataset.state !== "unknown") return;
  box.dataset.state = ready ? "well" : "ill";
  box.replaceChildren(make("span", { class: "dot", "aria-hidden": "true" }), make("span", {}, says));
}
