// Tables that are sorted by whichever column a person chooses; chosen again, the other way round.

import { chartOf } from "./api.js";
import { make } from "./dom.js";
import { direction, percent } from "./format.js";

// One market a row, each a link to its chart.
export function returnsTable(rows, column, caption) {
  return sortable(caption, rows.map((row, index) => ({ ...row, place: index + 1 })), [
    { title: "#", says: "Rank", value: ({ place }) => place, cell: ({ place }) => make("td", {}, String(place)) },
    { title: "Market", value: name, cell: (row) => make("td", {}, make("a", { href: chartOf(row) }, name(row))) },
    { title: "Exchange", value: ({ exchange }) => exchange, cell: ({ exchange }) => make("td", {}, exchange) },
    { title: "Return", value: (row) => row[column], cell: (row) => make("td", { class: direction(row[column]) }, percent(row[column])) },
  ]);
}

const name = ({ base_id, quote_id }) => `${base_id}/${quote_id}`;

// Each of `columns` says what is compared and how it is shown; numbers begin with the highest, but for a rank.
function sortable(caption, rows, columns) {
  const body = make("tbody");
  const heads = columns.map(({ title, says }) => make("th", { scope: "col" }, make("button", { type: "button", "aria-label": says }, title)));
  const sort = (index, descending) => {
    const { value } = columns[index];
    const sorted = [...rows].sort((a, b) => compare(value(a), value(b)) * (descending ? -1 : 1));
    body.replaceChildren(...sorted.map((row) => make("tr", {}, ...columns.map(({ cell }) => cell(row)))));
    heads.forEach((head, place) => {
      if (place === index) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  };
  heads.forEach((head, index) => head.firstChild.addEventListener("click", () => {
    const before = head.getAttribute("aria-sort");
    const isNumber = index > 0 && typeof columns[index].value(rows[0]) === "number";
    sort(index, before ? before === "ascending" : isNumber);
  }));
  sort(0, false);
  return make("table", {}, make("caption", { class: "visually-hidden" }, caption), make("thead", {}, make("tr", {}, ...heads)), body);
}

const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
