"use strict";
const field = document.getElementById("field");
const chart = field.querySelector("svg");
const messages = new Map();
for (const m of chart.querySelectorAll(".m")) {
  for (const event of new Set([m.dataset.sent, m.dataset.end])) {
    if (!messages.has(event)) messages.set(event, []);
    messages.get(event).push(m);
  }
}
const cool = () => {
  chart.classList.remove("dim");
  for (const m of chart.querySelectorAll(".hot")) m.classList.remove("hot");
};
const heat = (list) => {
  cool();
  if (list.length === 0) return;
  chart.classList.add("dim");
  for (const m of list) m.classList.add("hot");
};
field.addEventListener("mouseover", (event) => {
  const m = event.target.closest(".m");
  const row = event.target.closest(".r");
  if (m) heat([...chart.querySelectorAll(`[data-m="${m.dataset.m}"]`)]);
  else if (row) heat(messages.get(row.id.slice(1)) || []);
  else cool();
});
field.addEventListener("mouseleave", cool);
for (const box of document.querySelectorAll("input[data-kind]")) {
  box.addEventListener("change", () => field.classList.toggle("no-" + box.dataset.kind, !box.checked));
}
