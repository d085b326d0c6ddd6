// Sheets of tables and plots: sorts tables by their heads, filters cases and curves by words.

Theme.start();
$("#theme").onclick = () => Theme.toggle();

function rank(cell) { return "rank" in cell.dataset ? Number(cell.dataset.rank) : cell.textContent; }

function sortBy(head) {
  const table = head.closest("table"), k = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row, at) => [rank(row.cells[k]), at, row]);
  rows.sort(([a, i], [b, j]) => (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1) || i - j);
  table.tBodies[0].append(...rows.map(([, , row]) => row));
}

const field = $("#filter");

function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const item of document.querySelectorAll("[data-find]")) {
    item.hidden = !words.every(word => item.dataset.find.includes(word));
    if (!item.hidden && item.tagName === "TR") shown += 1;
  }
  for (const group of document.querySelectorAll("details.family")) group.hidden = !$("tr[data-find]:not([hidden])", group);
  $("#shown").textContent = plural(shown, "case");
}

for (const button of document.querySelectorAll(".sheet th button")) button.onclick = () => sortBy(button.parentElement);
if (field) {
  field.oninput = () => find(field.value);
  find("");
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (field && event.target === field) {
    if (event.key !== "Escape") return;
    field.value = "";
    find("");
    field.blur();
  } else if (event.key === "/" && field) {
    event.preventDefault();
    field.focus();
  } else if (event.key === "l") Theme.toggle();
});
