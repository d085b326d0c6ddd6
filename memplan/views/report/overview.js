// The column beside the map while nothing is chosen: legend, where the time goes, spills, what more capacity buys.

function overviewPanel() {
  if (DRAWN.every(plan => plan.sketch)) return graphPanel();
  return [legendPanel(), DRAWN.map(plan => [timePanel(plan), spillPanel(plan), reliefPanel(plan)])]
    .flat(3)
    .filter(Boolean);
}

function legendPanel() {
  const parts = [
    el(
      "div",
      { class: "panel-head" },
      el("h2", { textContent: "Legend" }),
      State.colour === "role" && el("span", { class: "muted", textContent: "click to hide" }),
    ),
  ];
  if (State.colour === "role") {
    parts.push(
      el(
        "div",
        { class: "legend" },
        ROLES.map((role, i) => {
          const n = new Set(DRAWN.flatMap(plan => [...plan.placed.keys()].filter(t => plan.role[t] === i))).size;
          return el(
            "button",
            {
              class: "button legend-item",
              title: role.about,
              "aria-pressed": String(!State.hidden.has(i)),
              disabled: n === 0,
              onclick: () => {
                const hidden = new Set(State.hidden);
                if (!hidden.delete(i)) hidden.add(i);
                State.set({ hidden });
              },
            },
            el("i", { class: "swatch", style: `--c: var(--${role.key})` }),
            role.name,
            el("span", { class: "muted", textContent: count(n) }),
          );
        }),
      ),
    );
  } else
    parts.push(
      el(
        "div",
        { class: "legend" },
        Colours.legend().map(([colour, text]) =>
          el("span", {}, el("i", { class: "swatch", style: `--c: ${colour}` }), " " + text),
        ),
      ),
    );
  parts.push(el("div", { class: "legend marks" }, legendMarks()));
  if (DRAWN.some(plan => plan.timeline))
    parts.push(
      el(
        "div",
        { class: "legend marks" },
        el("span", {}, el("i", { class: "swatch", style: "--c: var(--curve)" }), ` op from ${firstName()}`),
        el("span", {}, el("i", { class: "swatch", style: "--c: var(--compute)" }), " op with operands elsewhere"),
        el("span", {}, el("i", { class: "swatch", style: "--c: var(--stall)" }), " waiting for copies"),
      ),
    );
  return parts;
}

// What the marks in the maps mean; those of joined parts and of steps executed again only where there are such.
function legendMarks() {
  const two = DRAWN.every(plan => plan.memories.length <= 2 && plan.maps.length === 1);
  const slow = DRAWN[0].memories.at(-1).name;
  const item = (mark, text) => el("span", {}, mark, " " + text);
  const marks = [
    item(el("i", { class: "wedge", style: "--c: var(--load)" }), two ? `loaded from ${slow}` : "from a slower memory"),
    item(el("i", { class: "wedge", style: "--c: var(--store)" }), two ? `stored to ${slow}` : "to a slower memory"),
    item(
      el("i", { class: "dash" }),
      two ? `through ${slow}; live bytes without spills` : "between memories; live bytes without spills",
    ),
  ];
  if (DRAWN.some(plan => plan.wholes.length))
    marks.push(item(el("i", { class: "swatch framed" }), "joined part, inside its output"));
  if (DRAWN.some(plan => plan.overs.length))
    marks.push(item(el("i", { class: "swatch halves" }), "written in place, over its operand"));
  if (DRAWN.some(plan => plan.again.length))
    marks.push(item(el("i", { class: "swatch bar-on-top" }), "written by an op executed again"));
  return marks;
}

function firstName() {
  const names = new Set(DRAWN.map(plan => plan.first.name));
  return names.size === 1 ? [...names][0] : "the first memory";
}

// Where the time goes on a timed target.
function timePanel(plan) {
  if (!plan.timeline) return null;
  const { ops, moves, latency } = plan.timeline;
  const busy = spans => spans.reduce((sum, [a, b]) => sum + b - a, 0);
  const copies = kind => busy(moves.filter((_, i) => plan.moves[i].store === kind));
  const waits = ops.reduce((sum, [start], t) => sum + start - plan.byTime[t], 0);
  const rows = [
    ["ops run", busy(ops), "compute"],
    ["waiting for copies", waits, "stall"],
    ["copying in", copies(false), "load"],
    ["copying out", copies(true), "store"],
  ];
  return [
    el("h2", { class: "gap", textContent: DRAWN.length > 1 ? `Time of plan ${plan.label}` : "Time" }),
    el(
      "table",
      { class: "plain" },
      rows.map(([name, ns, token]) =>
        el(
          "tr",
          {},
          el("td", {}, el("i", { class: "swatch", style: `--c: var(--${token})` }), " " + name),
          el("td", { class: "num", textContent: time(ns) }),
          el("td", { class: "num", textContent: latency ? percent(ns / latency) : "–" }),
        ),
      ),
    ),
  ];
}

function spillPanel(plan) {
  const title = DRAWN.length > 1 ? `Spills of plan ${plan.label}` : "Spills";
  const head = el(
    "div",
    { class: "panel-head gap" },
    el("h2", { textContent: plan.maps.length > 1 ? `${title}, from ${plan.first.name}` : title }),
    el("span", {
      class: "muted",
      textContent: plan.spills.length
        ? `${count(plan.spills.length)}, ${bytes(plan.spills.reduce((sum, s) => sum + s[3], 0))} moved`
        : "",
    }),
  );
  if (!plan.spills.length) {
    const nothing = plan.placed.size
      ? `No spills: ${plan.maps.length > 1 ? `in ${plan.first.name} ` : ""}every storage stays from its first touch to its last.`
      : `Nothing is placed: every operand is served from ${plan.memories.at(-1).name}.`;
    return [head, el("p", { class: "empty", textContent: nothing })];
  }
  const most = Math.max(...plan.spills.map(s => s[3]), 1);
  return [
    head,
    el(
      "ul",
      { class: "spills" },
      plan.spills.slice(0, 12).map(s =>
        el(
          "li",
          {},
          el(
            "button",
            { class: "spill", onclick: () => chooseTensor(s[0], plan) },
            el(
              "span",
              { class: "spill-name" },
              el("span", { class: "mono", textContent: T.name[s[0]] }),
              el("b", { textContent: bytes(s[3]) }),
            ),
            el("span", { class: "meter" }, el("i", { style: `width:${(100 * s[3]) / most}%; --c: var(--spilled)` })),
            el("span", {
              class: "muted",
              textContent: `away in steps [${count(s[1])}, ${count(s[2])}). ${plan.why(s)}`,
            }),
          ),
        ),
      ),
    ),
    plan.spills.length > 12
      ? el("button", {
          class: "link",
          textContent: `All ${count(plan.spills.length)} spills`,
          onclick: () => openTab("spills"),
        })
      : null,
  ];
}

function reliefPanel(plan) {
  if (!plan.relief.length || plan.limit === null) return null;
  const rows =
    plan.relief.length <= 6
      ? plan.relief
      : [0, 1, 2, 3, 4, 5].map(k => plan.relief[Math.round((k * (plan.relief.length - 1)) / 5)]);
  return [
    el("h2", { class: "gap", textContent: "What more capacity would buy" }),
    el(
      "table",
      { class: "plain" },
      el(
        "tr",
        {},
        ["capacity", "more", "spills", "saved"].map(text => el("th", { class: "num", textContent: text })),
      ),
      rows.map(([capacity, spills, saved]) =>
        el(
          "tr",
          {},
          el("td", { class: "num", textContent: bytes(capacity), title: exact(capacity) }),
          el("td", { class: "num", textContent: capacity > plan.limit ? "+" + bytes(capacity - plan.limit) : "none" }),
          el("td", { class: "num", textContent: "−" + count(spills) }),
          el("td", { class: "num", textContent: bytes(saved), title: exact(saved) }),
        ),
      ),
    ),
    el("p", { class: "muted", textContent: "This order and these residencies kept; better plans may exist." }),
  ];
}

function graphPanel() {
  const text = PLANS.length
    ? "There is no plan to draw."
    : "This is the graph alone: its live bytes in program order, were nothing placed or moved. " +
      "`memplan plan` makes a plan; show both to see where the tensors lie.";
  return [el("h2", { textContent: "No plan" }), el("p", { class: "empty", textContent: text })];
}
