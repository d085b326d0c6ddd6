// Sorts tables by their heads, filters cases and curves by words, switches between light and dark.
"use strict";
(() => {
  const cells = (row, k) => row.cells[k];
  const rank = (cell) => ("rank" in cell.dataset ? Number(cell.dataset.rank) : cell.textContent);

  function sort(head) {
    const table = head.closest("table"), k = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row, at) => [rank(cells(row, k)), at, row]);
    rows.sort(([a, i], [b, j]) => ((a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1)) || i - j);
    table.tBodies[0].append(...rows.map(([, , row]) => row));
  }

  function filter(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of document.querySelectorAll("[data-find]")) {
      item.hidden = !words.every((word) => item.dataset.find.includes(word));
      if (!item.hidden && item.tagName === "TR") shown += 1;
    }
    for (const group of document.querySelectorAll("details.family"))
      group.hidden = !group.querySelector("tr[data-find]:not([hidden])");
    if (field) document.getElementById("shown").textContent = `${shown} cases`;
  }

  function theme(name) {
    document.documentElement.dataset.theme = name;
    document.getElementById("theme").setAttribute("aria-pressed", String(name === "dark"));
    try { localStorage.setItem("memplan-theme", name); } catch { /* a file page may have no storage */ }
  }
  const other = () => (document.documentElement.dataset.theme === "dark" ? "light" : "dark");

  let kept = null;
  try { kept = localStorage.getItem("memplan-theme"); } catch { /* as above */ }
  theme(kept || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));

  const field = document.getElementById("filter");
  document.getElementById("theme").addEventListener("click", () => theme(other()));
  for (const button of document.querySelectorAll(".sheet th button"))
    button.addEventListener("click", () => sort(button.parentElement));
  if (field) field.addEventListener("input", () => filter(field.value));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (field && event.target === field) {
      if (event.key === "Escape") { field.value = ""; filter(""); field.blur(); }
      return;
    }
    if (event.key === "/" && field) { event.preventDefault(); field.focus(); field.scrollIntoView({ block: "center" }); }
    if (event.key === "t") theme(other());
  });
  filter("");
})();
