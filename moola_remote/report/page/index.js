"use strict";
// Sorts the table of runs by the column whose head is pressed; what has no value stays at the end.

const table = document.querySelector("table.index");
const heads = [...table.tHead.rows[0].cells];

function compare(one, other) {
  if (one === "" || other === "") return 0;
  const difference = Number(one) - Number(other);
  return Number.isNaN(difference) ? one.localeCompare(other) : difference;
}

function sort(head) {
  const first = head.dataset.first;
  const second = first === "descending" ? "ascending" : "descending";
  const order = head.getAttribute("aria-sort") === first ? second : first;
  for (const one of heads) one.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const value = (row) => row.cells[head.cellIndex].dataset.order;
  const rows = [...table.tBodies[0].rows];
  rows.sort((one, other) => {
    const missing = (value(one) === "") - (value(other) === "");
    return missing || sign * compare(value(one), value(other));
  });
  table.tBodies[0].append(...rows);
  document.getElementById("said").textContent = `sorted by ${head.textContent}, ${order}`;
}

for (const head of heads) head.querySelector("button").addEventListener("click", () => sort(head));

document.documentElement.dataset.ready = "true";
