// Puts the page together: panes, panels and tables around one state; keys, search, theme, print.

const PANES = [];
for (const plan of DRAWN) PANES.push(new Pane(plan, PANES));
const paneOf = plan => PANES.find(pane => pane.plan === plan);
const active = () => paneOf(State.plan) ?? PANES[0];
State.linked = true;

function chooseTensor(t, plan = State.plan) {
  State.set({ tensor: T.root[t], step: null, plan: plan ?? State.plan });
  for (const pane of PANES) pane.show(T.root[t]);
}

function chooseStep(plan, step) {
  State.set({ tensor: null, step, plan });
  const pane = paneOf(plan);
  const { x0, x1 } = pane.view;
  const a = plan.edge[step];
  const b = plan.edge[step + 1];
  if (b <= x0 || a >= x1) pane.glide({ x0: (a + b - (x1 - x0)) / 2, x1: (a + b + (x1 - x0)) / 2 });
}

// The next storage in order of first residency (or, of the spills, in order of cost), from the chosen one on.
function next(by, backwards = false) {
  const plan = State.plan;
  if (!plan) return false;
  const all =
    by === "spill"
      ? [...new Set(plan.spills.map(s => s[0]))]
      : [...plan.placed.keys()].sort(
          (a, b) => plan.rs[plan.placed.get(a)[0]] - plan.rs[plan.placed.get(b)[0]] || a - b,
        );
  const list = all.filter(t => State.match[t]);
  if (!list.length) return false;
  const at = list.indexOf(State.tensor);
  chooseTensor(
    list[at < 0 ? (backwards ? list.length - 1 : 0) : (at + (backwards ? -1 : 1) + list.length) % list.length],
  );
}

function setAxis(timed) {
  for (const pane of PANES) {
    if (pane.plan.byTime) {
      pane.plan.useTime(timed);
      pane.fit();
      pane.shape = null;
      pane.paint();
    }
  }
  $("#axis").value = timed ? "time" : "step";
}

function escape() {
  if ($("#help").open) return $("#help").close();
  const search = $("#search");
  if (document.activeElement === search) {
    search.value = "";
    State.set({ query: "" });
    return search.blur();
  }
  State.set({ tensor: null, step: null });
}

const SHORTCUTS = [
  [["ArrowLeft", "a"], "pan left", () => active()?.pan(-0.2)],
  [["ArrowRight", "d"], "pan right", () => active()?.pan(0.2)],
  [["ArrowUp"], "pan to higher addresses", () => active()?.pan(0, 0.2)],
  [["ArrowDown"], "pan to lower addresses", () => active()?.pan(0, -0.2)],
  [["+", "=", "w"], "zoom in on steps", () => active()?.zoom(0.6)],
  [["-", "s"], "zoom out of steps", () => active()?.zoom(1 / 0.6)],
  [["W", "}"], "zoom in on addresses", () => active()?.zoomAddresses(0.6)],
  [["S", "{"], "zoom out of addresses", () => active()?.zoomAddresses(1 / 0.6)],
  [["0", "f"], "see everything", () => active()?.home()],
  [
    ["Enter", "z"],
    "zoom to the chosen tensor",
    event => {
      if (event.target.closest?.("button") || State.tensor === null) return false;
      active()?.show(State.tensor, true);
    },
  ],
  [["n", "]"], "next tensor", () => next("tensor")],
  [["p", "["], "previous tensor", () => next("tensor", true)],
  [["N", "."], "next spill, by cost", () => next("spill")],
  [["P", ","], "previous spill, by cost", () => next("spill", true)],
  [["t"], "steps or time across (timed targets)", () => setAxis(!active()?.plan.timed)],
  [
    ["c"],
    "next colouring",
    () => {
      const box = $("#colour");
      box.selectedIndex = (box.selectedIndex + 1) % box.options.length;
      State.set({ colour: box.value });
    },
  ],
  [
    ["/"],
    "search",
    () => {
      $("#search").focus();
      $("#search").select();
    },
  ],
  [
    ["1", "2", "3", "4", "5", "6"],
    "tables",
    event => {
      const key = Object.keys(TABS)[event.key - 1];
      if (key) openTab(key);
    },
  ],
  [["l"], "light or dark", () => Theme.toggle()],
  [["Escape"], "close, clear", escape],
  [
    ["?", "h"],
    "this help",
    () => {
      if ($("#help").open) $("#help").close();
      else $("#help").showModal();
    },
  ],
];

const MOUSE = [
  ["wheel", "zoom steps; with Ctrl both axes, with Alt addresses, with Shift pan"],
  ["drag", "pan; with Shift zoom to a box"],
  ["click", "choose a tensor, or a step outside the maps; on a memory's name see its live bytes"],
  ["double click", "zoom to the tensor, or see everything"],
];

function startControls() {
  $("#search").oninput = event => State.set({ query: event.target.value });
  $("#search").onkeydown = event => {
    if (event.key === "Enter") {
      event.target.blur();
      next("tensor");
    }
  };
  $("#least").onchange = event => State.set({ least: Number(event.target.value) });
  $("#moved").onclick = event => {
    State.set({ onlyMoved: !State.onlyMoved });
    event.target.setAttribute("aria-pressed", String(State.onlyMoved));
  };
  $("#colour").onchange = event => State.set({ colour: event.target.value });
  $("#axis").onchange = event => setAxis(event.target.value === "time");
  $("#theme").onclick = () => Theme.toggle();
  $("#help-button").onclick = () => $("#help").showModal();
  $("#help-close").onclick = () => $("#help").close();
  $("#fit").onclick = () => active()?.home();
  $("#in").onclick = () => active()?.zoom(0.6);
  $("#out").onclick = () => active()?.zoom(1 / 0.6);
  $("#link").onclick = event => {
    State.linked = !State.linked;
    event.target.setAttribute("aria-pressed", String(State.linked));
  };
  $("#link").hidden = PANES.length < 2;
  $("#axis").hidden = !PANES.some(pane => pane.plan.byTime);
  $("#axis").value = PANES.some(pane => pane.plan.timed) ? "time" : "step";
  for (const id of ["colour", "fit", "in", "out", "moved"]) $("#" + id).hidden = !PANES.length;
  $("#help-keys").replaceChildren(helpRows(SHORTCUTS));
  $("#help-mouse").replaceChildren(
    el(
      "table",
      { class: "plain" },
      MOUSE.map(([name, text]) => el("tr", {}, el("td", { textContent: name }), el("td", { textContent: text }))),
    ),
  );
  $("#version").textContent = `memplan ${DATA.version}`;
  startSplitter();
}

// The bar between map and tables: drag, or arrow keys.
function startSplitter() {
  const bar = $("#splitter");
  const size = px => {
    document.body.style.setProperty("--drawer", Math.min(innerHeight - 320, Math.max(60, px)) + "px");
  };
  bar.onpointerdown = event => {
    bar.setPointerCapture(event.pointerId);
    bar.onpointermove = e => size(innerHeight - e.clientY);
    bar.onpointerup = () => {
      bar.onpointermove = null;
    };
  };
  bar.onkeydown = event => {
    const step = { ArrowUp: 24, ArrowDown: -24 }[event.key];
    if (step) {
      size($("#drawer").offsetHeight + step);
      event.preventDefault();
      event.stopPropagation();
    }
  };
}

function startPanes() {
  const box = $("#panes");
  for (const pane of PANES) {
    if (several)
      pane.node.prepend(
        el(
          "header",
          { class: "pane-head" },
          el("span", { class: "badge info", textContent: pane.plan.label }),
          el("b", { textContent: ` ${pane.plan.unit(pane.plan.value)} ` }),
          el("span", {
            class: "muted",
            textContent: `${OBJECTIVES[pane.plan.options.objective]}, ${pane.plan.solver}, ${pane.plan.target.name} ${capacityText(pane.plan)}`,
          }),
        ),
      );
    box.append(pane.node);
  }
  if (PANES.length) return;
  const titles = { infeasible: "No plan exists", unknown: "No plan was found" };
  box.append(
    el(
      "div",
      { class: "nothing" },
      el("h1", { textContent: titles[PLANS[0]?.status] ?? "No ops" }),
      el("p", { textContent: PLANS[0]?.reason || "There are no steps to draw." }),
    ),
  );
}

State.listeners.push(change => {
  if ("tensor" in change || "step" in change || "hidden" in change || "colour" in change) drawInspector();
  if (["query", "least", "hidden", "onlyMoved"].some(key => key in change)) {
    drawTabs();
    openTab(openedTab);
  } else if (openedTab && TABS[openedTab].table) {
    const { table, rows } = TABS[openedTab];
    const row = rows().find(found => table.picked(found));
    table.draw();
    if (row !== undefined) table.reveal(table.shown.find(found => table.picked(found)));
  }
  const redraw = ["query", "least", "hidden", "onlyMoved", "colour", "step"].some(key => key in change);
  for (const pane of PANES) pane.paint(!redraw);
  const chosen = State.tensor === null ? "" : `${T.name[State.tensor]}, ${bytes(T.nbytes[State.tensor])}`;
  $("#said").textContent =
    State.active && !chosen ? `${count(State.match.reduce((a, b) => a + b, 0))} tensors match` : chosen;
  $("#found").textContent = State.active
    ? `${count(State.match.reduce((a, b) => a + b, 0))} of ${count(T.name.length)}`
    : "";
});
Theme.listeners.push(() => PANES.forEach(pane => pane.paint()));

Theme.start();
makeTabs();
startPanes();
startControls();
drawSummary();
drawInspector();
openTab(DRAWN.some(plan => plan.spills.length) ? "spills" : "tensors");
drawTabs();
listenToKeys(SHORTCUTS);
new ResizeObserver(() => TABS[openedTab]?.table?.draw()).observe($("#table"));

// For whoever drives the page: what is chosen, what is in sight, how long the last frame took.
window.report = { State, PANES, T, O };
