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

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// "Nothing here" or "it failed": a sentence, and a button when trying again may help.
export function emptyState(sentence, retry) {
  const box = make("div", { class: "empty" }, make("p", {}, sentence));
  if (retry) {
    const button = make("button", { type: "button" }, "Try again");
    button.addEventListener("click", retry);
    box.append(button);
  }
  return box;
}
