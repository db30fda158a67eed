// Making elements. Text goes in as text only, so that no name from an exchange is ever read as HTML.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// A colour of the theme. Asked for every candle, so they are remembered until the theme changes.
const colors = new Map();
document.addEventListener("themechange", () => colors.clear());

export function color(name) {
  if (!colors.has(name)) colors.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colors.get(name);
}

// "Nothing here" or "it failed": a sentence, and a button when something can be done, by default trying again.
export function emptyState(sentence, act, label = "Try again") {
  const box = make("div", { class: "empty" }, make("p", {}, sentence));
  if (act) {
    const button = make("button", { type: "button" }, label);
    button.addEventListener("click", act);
    box.append(button);
  }
  return box;
}
