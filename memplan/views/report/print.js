// Print: light, the whole run, tables written out up to a page or two.
const PRINTED = 40;
let before = null;
addEventListener("beforeprint", () => {
  before = { dark: Theme.dark, views: PANES.map(pane => pane.view) };
  Theme.set(false);
  document.body.classList.add("printing");
  const box = $("#print");
  const tables = ["spills", "differences", "moves", "tensors", "steps"].map(key => TABS[key]).filter(Boolean);
  box.replaceChildren(
    ...(PLACED.length ? legendPanel() : []),
    ...tables.flatMap(({ name, table, rows }) => printed(name, table, table.sorted(rows()))),
    el("h2", { textContent: "Graph" }),
    graphNumbers(),
  );
  for (const pane of PANES) {
    pane.forced = 2;
    pane.fit();
    pane.resize();
    pane.paintNow();
  }
});
addEventListener("afterprint", () => {
  document.body.classList.remove("printing");
  Theme.set(before.dark);
  $("#print").replaceChildren();
  PANES.forEach((pane, i) => {
    pane.forced = undefined;
    pane.view = before.views[i];
    pane.resize();
  });
});

function printed(name, table, rows) {
  if (!rows.length) return [];
  return [
    el("h2", { textContent: `${name} (${count(rows.length)})` }),
    el(
      "table",
      { class: "plain" },
      el(
        "tr",
        {},
        table.columns.map(c => el("th", { class: c.num ? "num" : "", textContent: c.name })),
      ),
      rows.slice(0, PRINTED).map(row =>
        el(
          "tr",
          {},
          table.columns.map(c => el("td", { class: c.num ? "num" : "", textContent: String(c.text(row)) })),
        ),
      ),
    ),
    rows.length > PRINTED
      ? el("p", { class: "muted", textContent: `and ${count(rows.length - PRINTED)} more in the page itself` })
      : null,
  ].filter(Boolean);
}
