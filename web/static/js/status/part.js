// A part of the page that is asked for again and again: drawn, or a sentence in its place until it is there.

import { byId, emptyState } from "../dom.js";

export function part(id, load, draw) {
  const box = byId(id);
  return async () => {
    try {
      draw(box, await load());
      box.classList.remove("old");
      box.removeAttribute("title");
    } catch (error) {
      // What was drawn stays, and is shown to be old.
      if (!box.childElementCount || box.querySelector(".empty")) box.replaceChildren(emptyState(error.message));
      box.classList.add("old");
      box.title = error.message;
    }
  };
}
