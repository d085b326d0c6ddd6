// The column beside the map: what the chosen tensor or step is, or, with nothing chosen, what was spilled and why.

function fact(name, ...value) {
  return [el("dt", { textContent: name }), el("dd", {}, value)];
}

function tensorLink(t) {
  return el("button", { class: "link mono", textContent: T.name[t], onclick: () => chooseTensor(t) });
}

function stepLink(plan, op) {
  const step = plan ? plan.stepOf[op] : -1;
  if (step < 0) return el("span", { class: "mono", textContent: O.name[op] });
  return el(
    "button",
    { class: "link", title: `${kindOf(op)}, step ${step}`, onclick: () => chooseStep(plan, step) },
    el("span", { class: "mono", textContent: O.name[op] }),
    el("span", { class: "muted", textContent: ` step ${step}` }),
  );
}

function listOf(items, make, none = "none", most = 40) {
  if (!items.length) return el("span", { class: "muted", textContent: none });
  const rows = items.slice(0, most).map(item => el("li", {}, make(item)));
  if (items.length > most)
    rows.push(el("li", { class: "muted", textContent: `and ${count(items.length - most)} more` }));
  return el("ul", {}, rows);
}

// ---- tooltip ----

function tipFor(pane, found) {
  const { plan } = pane;
  if (found.tensor !== null) {
    const t = found.tensor;
    const role = ROLES[plan.role[t]];
    const lines = [
      el("b", { class: "mono", textContent: T.name[t] }),
      el(
        "div",
        {},
        el("i", { class: "swatch", style: `--c: var(--${role.key})` }),
        ` ${role.name} · ${bytes(T.nbytes[t])} · ${dtypeOf(t)} ${shapeOf(t)}`,
      ),
    ];
    if (found.part !== undefined && found.part !== null) {
      const i = found.part;
      lines.push(
        el("div", {
          textContent:
            `steps ${count(plan.rs[i])} – ${count(plan.re[i] - 1)} (${count(plan.re[i] - plan.rs[i])}), ` +
            `at ${bytes(plan.ro[i])} (0x${plan.ro[i].toString(16)})`,
        }),
      );
    }
    if (found.move !== undefined && found.move !== null)
      lines.push(el("div", { textContent: moveText(plan, found.move) }));
    if (producerOf[t] >= 0)
      lines.push(el("div", { textContent: `made by ${O.name[producerOf[t]]} (${kindOf(producerOf[t])})` }));
    lines.push(el("div", { textContent: `read by ${plural(usersOf(t).length, "op")}` }));
    const spills = plan.spillsOf.get(t) ?? [];
    for (const s of spills.slice(0, 2))
      lines.push(
        el("div", {
          class: "tip-spill",
          textContent: `away in steps [${count(s[1])}, ${count(s[2])}): ${plan.why(s)}`,
        }),
      );
    return lines;
  }
  if (found.step === null || found.lane === null || found.lane === "overview") return null;
  const op = plan.schedule[found.step];
  const lines = [
    el("b", { class: "mono", textContent: O.name[op] }),
    el("div", { textContent: `step ${count(found.step)} · ${kindOf(op)}` }),
    el("div", {
      textContent:
        `${bytes(plan.live[found.step])} live` +
        (plan.limit === null ? "" : `, ${bytes(plan.limit - plan.live[found.step])} free`),
    }),
  ];
  if (plan.timeline) lines.push(...stepTimes(plan, found.step).map(text => el("div", { textContent: text })));
  if (found.lane === "moves")
    lines.push(
      ...movesAt(plan, found.step)
        .slice(0, 6)
        .map(i => el("div", { textContent: moveText(plan, i) })),
    );
  return lines;
}

function moveText(plan, i) {
  const [store, t, issue, due, spilled] = plan.moves[i];
  const kind = `${spilled ? "spill" : "compulsory"} ${store ? "store" : "load"}`;
  const when = issue === due ? `before step ${count(issue)}` : `from step ${count(issue)} on, due before ${count(due)}`;
  const took = plan.timeline ? `, ${time(plan.timeline.moves[i][1] - plan.timeline.moves[i][0])}` : "";
  return `${kind} of ${T.name[t]}, ${bytes(T.nbytes[t])}, ${when}${took}`;
}

function stepTimes(plan, step) {
  const [start, end] = plan.timeline.ops[step];
  const wait = start - plan.byTime[step];
  return [`runs ${time(end - start)} from ${time(start)}`, ...(wait > 0 ? [`waited ${time(wait)} for copies`] : [])];
}

function movesAt(plan, step) {
  const touches = ([store, , issue, due]) => issue - store === step || due - store === step;
  return plan.moves.map((m, i) => i).filter(i => touches(plan.moves[i]));
}

// ---- panels ----

function tensorPanel(t) {
  const root = T.root[t];
  const op = producerOf[t];
  const parts = [
    el("div", { class: "panel-head" }, el("h2", { textContent: "Tensor" }), closeButton()),
    el("h3", { class: "mono name", textContent: T.name[t] }),
    el(
      "dl",
      {},
      fact(
        "size",
        el("b", { textContent: bytes(T.nbytes[t]) }),
        el("span", { class: "muted", textContent: ` ${exact(T.nbytes[t])}` }),
      ),
      fact("kind", KINDS[T.kind[t]]),
      fact("type", `${dtypeOf(t)}  ${shapeOf(t)}`),
      root !== t ? fact("view of", tensorLink(root)) : [],
      viewsOf[root].length ? fact("views", listOf(viewsOf[root], tensorLink)) : [],
      fact(
        "produced by",
        op < 0 ? el("span", { class: "muted", textContent: "nothing: it comes from host" }) : stepLink(State.plan, op),
      ),
      fact(
        "read by",
        listOf(usersOf(root), user => stepLink(State.plan, user), "no op"),
      ),
    ),
  ];
  for (const plan of DRAWN) if (!plan.sketch) parts.push(...placePanel(plan, root));
  return parts;
}

function placePanel(plan, root) {
  const places = plan.placed.get(root) ?? [];
  const spills = plan.spillsOf.get(root) ?? [];
  const inplace = plan.inplace.filter(pair => pair.includes(root));
  const title = DRAWN.length > 1 ? `In plan ${plan.label}: ${plan.state(root)}` : `In this plan: ${plan.state(root)}`;
  return [
    el("h2", { class: "gap", textContent: title }),
    places.length
      ? el(
          "table",
          { class: "plain" },
          el(
            "tr",
            {},
            ["steps", "address", "size"].map((text, k) => el("th", { class: k ? "num" : "", textContent: text })),
          ),
          places.map(i =>
            el(
              "tr",
              {},
              el("td", { textContent: `[${count(plan.rs[i])}, ${count(plan.re[i])})` }),
              el("td", { class: "num mono", textContent: "0x" + plan.ro[i].toString(16), title: exact(plan.ro[i]) }),
              el("td", { class: "num", textContent: bytes(plan.rz[i]), title: exact(plan.rz[i]) }),
            ),
          ),
        )
      : null,
    spills.map(s =>
      el(
        "div",
        { class: "why" },
        el("b", { textContent: `Away in steps [${count(s[1])}, ${count(s[2])}), ${bytes(s[3])} moved. ` }),
        plan.why(s),
      ),
    ),
    plan.movesOf.has(root) ? listOf(plan.movesOf.get(root), i => moveText(plan, i)) : null,
    inplace.map(([over, under]) => el("p", {}, tensorLink(over), " is written over ", tensorLink(under), ".")),
  ]
    .flat()
    .filter(Boolean);
}

function stepPanel(plan, step) {
  const op = plan.schedule[step];
  const here = [];
  for (let i = 0; i < plan.rt.length; i++) if (plan.rs[i] <= step && step < plan.re[i]) here.push(i);
  here.sort((a, b) => plan.rz[b] - plan.rz[a]);
  return [
    el(
      "div",
      { class: "panel-head" },
      el("h2", { textContent: `Step ${count(step)}` + (DRAWN.length > 1 ? `, plan ${plan.label}` : "") }),
      closeButton(),
    ),
    el("h3", { class: "mono name", textContent: O.name[op] }),
    el(
      "dl",
      {},
      fact("kind", kindOf(op) + (O.view[op] ? " (a view: it moves no byte)" : "")),
      fact("flops", O.flops[op] === null ? "unknown" : big(O.flops[op])),
      fact(
        "live",
        bytes(plan.live[step]) + (plan.limit === null ? "" : `, ${bytes(plan.limit - plan.live[step])} free`),
      ),
      plan.timeline
        ? fact(
            "time",
            listOf(stepTimes(plan, step), text => text),
          )
        : [],
      fact("reads", listOf(O.inputs[op], tensorLink)),
      fact("writes", listOf(O.outputs[op], tensorLink)),
      fact(
        "moves",
        listOf(movesAt(plan, step), i => moveText(plan, i)),
      ),
    ),
    !plan.sketch && el("h2", { class: "gap", textContent: `${plural(here.length, "storage")} in the scratchpad` }),
    !plan.sketch &&
      listOf(
        here,
        i => [
          el("i", { class: "swatch", style: `--c: var(--${ROLES[plan.role[plan.rt[i]]].key})` }),
          " ",
          tensorLink(plan.rt[i]),
          el("span", { class: "muted", textContent: " " + bytes(plan.rz[i]) }),
        ],
        "nothing",
      ),
  ];
}

function closeButton() {
  return el("button", {
    class: "button icon",
    textContent: "✕",
    title: "Close (Esc)",
    onclick: () => State.set({ tensor: null, step: null }),
  });
}

function drawInspector() {
  const panel = $("#inspector");
  const { tensor, step, plan } = State;
  const parts = tensor !== null ? tensorPanel(tensor) : step !== null && plan ? stepPanel(plan, step) : overviewPanel();
  panel.replaceChildren(...parts.flat(Infinity).filter(Boolean));
  panel.scrollTop = 0;
}
