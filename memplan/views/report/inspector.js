// The column beside the map: what the chosen tensor or step is, or, with nothing chosen, what was spilled and why.

function fact(name, ...value) {
  return [el("dt", { textContent: name }), el("dd", {}, value)];
}

function tensorLink(t) {
  return el("button", { class: "link mono", textContent: T.name[t], onclick: () => chooseTensor(t) });
}

function stepLink(plan, op) {
  const steps = plan?.stepsOf.get(op);
  if (!steps) return el("span", { class: "mono", textContent: O.name[op] });
  const more = steps.length > 1 ? `, executed ${steps.length} times` : "";
  return el(
    "button",
    { class: "link", title: `${kindOf(op)}, step ${steps[0]}${more}`, onclick: () => chooseStep(plan, steps[0]) },
    el("span", { class: "mono", textContent: O.name[op] }),
    el("span", { class: "muted", textContent: steps.length > 1 ? ` steps ${steps.join(", ")}` : ` step ${steps[0]}` }),
  );
}

function listOf(items, make, none = "none", most = 40) {
  if (!items.length) return el("span", { class: "muted", textContent: none });
  const rows = items.slice(0, most).map(item => el("li", {}, make(item)));
  if (items.length > most)
    rows.push(el("li", { class: "muted", textContent: `and ${count(items.length - most)} more` }));
  return el("ul", {}, rows);
}

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
        op < 0
          ? el("span", { class: "muted", textContent: "nothing: it is there from the start" })
          : stepLink(State.plan, op),
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
  const inplace = plan.inplace.filter(([, over, under]) => over === root || under === root);
  const named = plan.maps.length > 1;
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
            named ? el("th", { textContent: "memory" }) : null,
            ["steps", "address", "size"].map((text, k) => el("th", { class: k ? "num" : "", textContent: text })),
          ),
          places.map(i =>
            el(
              "tr",
              { title: boxNotes(plan, i).join("; ") },
              named ? el("td", { textContent: plan.memories[plan.rm[i]].name }) : null,
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
    places
      .filter(i => plan.isPart(i))
      .map(i => el("p", {}, "Joined: it lies inside ", tensorLink(plan.wholeOf(i)), ".")),
    places
      .filter(i => plan.rexec[i] > 1)
      .map(i => el("p", { textContent: `Step ${count(plan.rs[i])} writes it again: execution ${plan.rexec[i]}.` })),
    inplace.map(([step, over, under]) =>
      el("p", {}, `In step ${count(step)} `, tensorLink(over), " is written over ", tensorLink(under), "."),
    ),
  ]
    .flat()
    .filter(Boolean);
}

function stepPanel(plan, step) {
  const op = plan.schedule[step];
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
      stepNotes(plan, step).length
        ? fact(
            "how",
            listOf(stepNotes(plan, step), text => text),
          )
        : [],
      fact(
        "live",
        listOf(liveTexts(plan, step), text => text.replace(" live", "")),
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
    !plan.sketch && plan.maps.map(map => memoryPanel(plan, step, map)),
  ];
}

// What lies in a memory during a step, largest first.
function memoryPanel(plan, step, { name, boxes }) {
  const here = boxes.filter(i => plan.rs[i] <= step && step < plan.re[i] && !plan.isPart(i));
  here.sort((a, b) => plan.rz[b] - plan.rz[a]);
  return [
    el("h2", { class: "gap", textContent: `${plural(here.length, "storage")} in ${name}` }),
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
