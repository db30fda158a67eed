// The menu of indicators: those that are shown, with their settings, and buttons that add one.

import { byId, make } from "../dom.js";
import { KINDS, MOST, allowed, titleOf, usual } from "./studies.js";

export class StudyMenu {
  // onChoose(studies) with all that are to be shown.
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.studies = [];
    byId("study-kinds").replaceChildren(...Object.entries(KINDS).map(([kind, { says, short }]) => {
      const button = make("button", { type: "button", "data-kind": kind }, make("b", {}, short), make("span", {}, says === short ? "Moving averages' distance" : says));
      button.addEventListener("click", () => this.#set([...this.studies, usual(kind)]));
      return button;
    }));
    byId("study-menu").addEventListener("toggle", ({ newState }) => newState === "open" && place(byId("study-menu"), byId("study-open")));
  }

  tell(studies) {
    this.studies = studies;
    byId("study-count").textContent = studies.length ? String(studies.length) : "";
    for (const button of byId("study-kinds").children) button.disabled = studies.length >= MOST;
    // Whoever is typing into a setting goes on doing so.
    if (byId("study-list").contains(document.activeElement) && this.drawn === studies.length) return;
    this.drawn = studies.length;
    byId("study-list").replaceChildren(...studies.map((study, index) => this.#row(study, index)));
    if (!studies.length) byId("study-list").append(make("li", { class: "about" }, "None yet. Add one below."));
  }

  #set(studies) { this.onChoose(studies.slice(0, MOST)); }

  #row(study, index) {
    const { short, settings } = KINDS[study.kind];
    const fields = settings.map((setting, place) => this.#field(study, index, setting, place));
    const remove = make("button", { type: "button", class: "icon small", "aria-label": `Remove ${titleOf(study)}` }, "×");
    remove.addEventListener("click", () => {
      this.#set(this.studies.filter((_, other) => other !== index));
      byId("study-menu").focus();
    });
    const swatch = make("i", { class: "ink", "data-ink": `study-${(index % 6) + 1}`, "aria-hidden": "true" });
    return make("li", { "data-study": study.kind }, swatch, make("b", {}, short), ...fields, remove);
  }

  #field(study, index, setting, place) {
    const value = study.settings[place];
    const field = setting.among
      ? make("select", {}, ...Object.entries(setting.among).map(([key, says]) => make("option", { value: key }, says)))
      : make("input", { type: "number", min: setting.least, max: setting.most, step: setting.step, inputmode: "decimal" });
    field.value = value;
    field.addEventListener("change", () => {
      const settings = this.studies[index].settings.with(place, allowed(setting, field.value));
      field.value = settings[place];
      this.#set(this.studies.with(index, { kind: study.kind, settings }));
    });
    return make("label", {}, make("span", {}, setting.says), field);
  }
}

// Under the button that opened it, within the window.
function place(menu, button) {
  const { bottom, right } = button.getBoundingClientRect();
  const left = Math.max(8, Math.min(right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8));
  menu.style.left = `${left}px`;
  menu.style.top = `${Math.max(8, Math.min(bottom + 6, innerHeight - menu.offsetHeight - 8))}px`;
}
