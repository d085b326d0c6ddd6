// The tabs above the tables, and the one that has no table: the graph's numbers.

const TABS = {};

function makeTabs() {
  TABS.tensors = tensorTab();
  if (PLACED.length) Object.assign(TABS, { moves: moveTab(), spills: spillTab() });
  if (DRAWN.length) TABS.steps = stepTab();
  if (PLACED.length > 1) TABS.differences = differenceTab();
  TABS.graph = { name: "Graph", rows: () => [], show: scroller => scroller.replaceChildren(graphNumbers()) };
}

function tab(name, table, rows) {
  return {
    name,
    table,
    rows,
    show(scroller) {
      table.attach(scroller);
      table.set(rows());
    },
  };
}

function graphNumbers() {
  const kinds = new Map();
  O.kind.forEach((kind, op) => {
    const row = kinds.get(kind) ?? [0, 0, 0];
    row[0]++;
    row[1] += O.flops[op] ?? 0;
    row[2] += O.outputs[op].reduce((sum, t) => sum + (T.root[t] === t ? T.nbytes[t] : 0), 0);
    kinds.set(kind, row);
  });
  const rows = [...kinds].sort((a, b) => b[1][0] - a[1][0]);
  const most = rows[0]?.[1][0] ?? 1;
  return el(
    "div",
    { class: "numbers" },
    el(
      "div",
      { class: "figures" },
      graphFigures().map(([name, value, note]) => figure(name, value, note)),
    ),
    el(
      "table",
      { class: "plain kinds" },
      el(
        "tr",
        {},
        ["op kind", "", "ops", "flops", "bytes written"].map((text, k) =>
          el("th", { class: k > 1 ? "num" : "", textContent: text }),
        ),
      ),
      rows.map(([kind, [n, flops, size]]) =>
        el(
          "tr",
          {},
          el("td", { textContent: G.opKinds[kind] }),
          el("td", { class: "share" }, el("div", { class: "meter" }, el("i", { style: `width:${(100 * n) / most}%` }))),
          el("td", { class: "num", textContent: count(n) }),
          el("td", { class: "num", textContent: flops ? big(flops) : "–" }),
          el("td", { class: "num", textContent: bytes(size) }),
        ),
      ),
    ),
  );
}

let openedTab = null;

function openTab(key) {
  openedTab = key;
  for (const button of $("#tabs").children) button.setAttribute("aria-selected", String(button.dataset.tab === key));
  TABS[key].show($("#table"));
  $("#table").scrollTop = 0;
}

function drawTabs() {
  $("#tabs").replaceChildren(
    ...Object.entries(TABS).map(([key, { name, rows }]) => {
      const n = rows().length;
      return el(
        "button",
        {
          class: "tab",
          role: "tab",
          "data-tab": key,
          "aria-selected": String(key === openedTab),
          onclick: () => openTab(key),
        },
        name,
        n ? el("span", { class: "muted", textContent: " " + count(n) }) : null,
      );
    }),
  );
}
