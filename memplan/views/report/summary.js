// The first view's answers: which model, target, solver, status, value, bound and gap, peak against capacity,
// what was spilled.

const OBJECTIVES = { traffic: "spilled bytes", peak: "peak bytes", latency: "latency", compute: "computed again" };
const STATUS = {
  optimal: ["good", "proved optimal"],
  feasible: ["info", "feasible"],
  infeasible: ["bad", "infeasible"],
  unknown: ["warn", "no plan found"],
};

function figure(name, value, note, extra, wide = "") {
  return el(
    "div",
    { class: `figure ${wide}` },
    el("h2", { textContent: name }),
    el("div", { class: "figure-value" }, value),
    note ? el("div", { class: "muted", textContent: note }) : null,
    extra,
  );
}

function statusBadge(plan) {
  const [tone, text] = STATUS[plan.status];
  return el("span", { class: `badge ${tone}`, textContent: text });
}

function policies(plan) {
  const o = plan.options;
  const dims = Object.entries(o.dims ?? {}).map(([name, size]) => `${name}=${size}`);
  return [
    `weights ${o.weights}`,
    `io ${o.io}`,
    `in-place ${o.inplace ? "on" : "off"}`,
    `order ${o.order}`,
    ...(o.join ? ["joins on"] : []),
    ...(o.recompute && o.recompute !== 1 ? [`recompute ${o.recompute}`] : []),
    ...dims,
  ].join(", ");
}

function capacityText({ maps }) {
  const size = ({ capacity }) => (capacity === null ? "no limit" : bytes(capacity));
  return maps.length === 1 ? size(maps[0]) : maps.map(map => `${map.name} ${size(map)}`).join(", ");
}

// The capacity, or the names of the memories where several have addresses: their capacities stand with their peaks.
function memoryText(plan) {
  return plan.maps.length === 1 ? capacityText(plan) : plan.memories.map(memory => memory.name).join(", ");
}

// Alignments of the memories that have addresses; one where all have the same.
function alignmentText({ maps }) {
  const all = [...new Set(maps.map(map => map.alignment))];
  return `alignment ${all.map(count).join(", ")}`;
}

// The peak of each memory that has addresses, with its share of the capacity.
function peaks(plan) {
  const shares = plan.maps.map(({ name, peak, capacity, livePeak }) => ({
    name,
    peak,
    livePeak,
    share: capacity ? peak / capacity : null,
  }));
  if (shares.length === 1) {
    const [{ peak, livePeak, share }] = shares;
    const live = `${bytes(livePeak)} live`;
    return figure(
      "Peak",
      bytes(peak),
      share === null ? live : `${percent(share)} of the capacity, ${live}`,
      share === null ? null : meter(share),
    );
  }
  return el(
    "div",
    { class: "figure" },
    el("h2", { textContent: "Peaks" }),
    shares.map(({ name, peak, share }) =>
      el(
        "div",
        { class: "peak" },
        el("b", { textContent: name }),
        el("span", { textContent: bytes(peak) }),
        el("span", { class: "muted", textContent: share === null ? "no limit" : percent(share) }),
      ),
    ),
  );
}

function meter(share, colour = "") {
  return el("div", { class: "meter" }, el("i", { style: `width:${100 * Math.min(1, share)}%${colour}` }));
}

function gapNote(plan) {
  if (plan.status === "optimal") return "value equals the bound";
  if (plan.gap === null) return "";
  return `bound ${plan.unit(plan.bound)}, gap ${percent(plan.gap)}`;
}

// What executing ops again costs.
function extraCost({ metrics, target }) {
  const cost = metrics.extra_cost;
  return cost === null ? "" : target.timed ? `${time(1e9 * cost)} more` : `${big(cost)} flops more`;
}

function valueName({ options, metrics: { accessed, spill_load, spill_store } }) {
  const wider = options.objective === "traffic" && accessed !== null && accessed !== spill_load + spill_store;
  return wider ? "bytes accessed" : OBJECTIVES[options.objective];
}

// What the value of a plan of the step model is made of: bytes moved, and bytes read and written where that costs.
function valueNote(plan) {
  const { accessed, spill_load, spill_store } = plan.metrics;
  if (plan.options.objective !== "traffic" || plan.value === null) return "";
  const moved = spill_load + spill_store;
  return accessed === null || accessed === moved ? exact(plan.value) : `${exact(plan.value)}; ${exact(moved)} moved`;
}

function timedNote(plan) {
  const m = plan.metrics;
  const slow = plan.memories.at(-1).name;
  const host = m.latency_all_host_s === null ? "" : `all in ${slow} ${time(1e9 * m.latency_all_host_s)}, `;
  return `${host}unlimited ${time(1e9 * m.latency_unlimited_s)}`;
}

function summaryOf(plan) {
  const m = plan.metrics;
  const proof = plan.budgetProved === false ? ", from a peak not proved least" : "";
  const spilled = m.spill_store + m.spill_load;
  const names = plan.leaves.size;
  return [
    figure("Target", plan.target.name, `${memoryText(plan)}, ${alignmentText(plan)}${proof}`),
    figure(
      "Status",
      statusBadge(plan),
      [plan.reason || (plan.status === "optimal" ? "no plan is better" : ""), ...(plan.notes ?? [])]
        .filter(Boolean)
        .join("; "),
      null,
      "wide",
    ),
    figure(
      valueName(plan),
      plan.value === null ? "–" : plan.unit(plan.value),
      plan.timeline ? timedNote(plan) : valueNote(plan),
    ),
    figure(
      "Bound",
      plan.unit(plan.bound),
      plan.gap === null ? "" : `gap ${percent(plan.gap)}`,
      plan.value
        ? el(
            "div",
            { class: "meter", title: gapNote(plan) },
            el("i", { style: `width:${100 * Math.min(1, plan.bound / plan.value)}%; --c: var(--good)` }),
          )
        : null,
    ),
    plan.n ? peaks(plan) : null,
    plan.again.length ? figure("Executed again", plural(plan.again.length, "step"), extraCost(plan)) : null,
    !plan.n
      ? null
      : figure(
          "Spilled",
          names ? plural(names, "tensor") : "nothing",
          names || spilled
            ? `${bytes(m.spill_store)} stored, ${bytes(m.spill_load)} loaded again`
            : `${bytes(m.compulsory_load + m.compulsory_store)} compulsory`,
        ),
    figure(
      "Solver",
      el("span", { class: "solver", title: plan.solver, textContent: plan.solver }),
      `${short(plan.seconds)} s, seed ${plan.seed}, ${plural(plan.workers, "worker")}`,
    ),
  ];
}

function drawSummary() {
  const words = [`${count(O.name.length)} ops, ${count(T.name.length)} tensors`];
  $("#graph-name").textContent = G.name;
  const same = PLANS.length && new Set(PLANS.map(policies)).size === 1;
  $("#graph-note").textContent = same ? `${words[0]}; ${policies(PLANS[0])}` : words[0];
  $("#graph-note").title = $("#graph-note").textContent;
  const box = $("#summary");
  if (PLANS.length > 1) {
    box.classList.add("compared");
    box.replaceChildren(comparisonTable());
  } else if (PLANS.length) box.replaceChildren(...summaryOf(PLANS[0]).filter(Boolean));
  else box.replaceChildren(...graphFigures().map(([name, value, note]) => figure(name, value, note)));
}

function graphFigures() {
  const tensors = kind => plural(T.kind.filter(k => k === kind).length, "tensor");
  const size = kind => T.kind.reduce((sum, k, t) => sum + (k === kind && T.root[t] === t ? T.nbytes[t] : 0), 0);
  const known = O.flops.filter(x => x !== null);
  const named = PLANS.length ? PLANS[0].reference : DATA.reference;
  return [
    [
      "Ops",
      count(O.name.length),
      `${plural(G.opKinds.length, "kind")}, ${plural(
        O.view.reduce((a, x) => a + x, 0),
        "view",
      )}`,
    ],
    ["Activations", bytes(size(2)), tensors(2)],
    ["Constants", bytes(size(1)), tensors(1)],
    ["Inputs", bytes(size(0)), tensors(0)],
    ["Outputs", bytes(G.outputs.reduce((sum, t) => sum + T.nbytes[t], 0)), plural(G.outputs.length, "tensor")],
    [
      "Flops",
      known.length ? big(known.reduce((a, x) => a + x, 0)) : "unknown",
      `known for ${count(known.length)} of ${count(O.name.length)} ops`,
    ],
    ...(named ? capacityFigures(named) : []),
  ];
}

// The capacities that have names; only a graph planned for one memory has them.
function capacityFigures({ mr, mp, mh, proved }) {
  return [
    ["M_R", bytes(mr), "the most one op touches"],
    ["M_P", mp === null ? "unknown" : bytes(mp), proved ? "the least live peak, proved" : "the best known live peak"],
    ["M_H", mh === null ? "unknown" : bytes(mh), "halfway between"],
  ];
}
