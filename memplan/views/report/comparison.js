// Two plans in the first view: a row each, and how the second differs.

// Rows of the comparison: name, value of a plan, how to write it, whether less is better.
function comparisonRows() {
  const sum = plan => plan.metrics.spill_store + plan.metrics.spill_load;
  const rows = [];
  const objectives = new Set(PLANS.map(plan => plan.options.objective));
  const [objective] = objectives;
  if (objectives.size === 1)
    rows.push(
      [OBJECTIVES[objective], plan => plan.value, PLANS[0].unit],
      ["bound", plan => plan.bound, PLANS[0].unit, 0],
      ["gap", plan => plan.gap, x => percent(x)],
    );
  if (objectives.size > 1 || objective !== "traffic") rows.push(["spilled bytes", sum, bytes]);
  rows.push(["spills", plan => plan.spills.length, count]);
  const several = PLANS.find(plan => plan.maps.length > 1);
  if (several)
    rows.push(...several.maps.map(({ name }, m) => [`peak in ${name}`, plan => plan.maps[m]?.peak ?? null, bytes]), [
      "executed again",
      plan => plan.again.length,
      count,
    ]);
  else
    rows.push(
      ["peak", plan => plan.metrics.peak, bytes],
      ["live peak", plan => plan.metrics.live_peak, bytes],
      ["capacity", plan => plan.limit, bytes, 0],
    );
  if (PLANS.some(plan => plan.timeline) && objective !== "latency")
    rows.push(["latency", plan => (plan.timeline ? plan.metrics.latency_s : null), x => time(1e9 * x)]);
  rows.push(["solver time", plan => plan.seconds, x => short(x) + " s"]);
  return rows;
}

function comparisonTable() {
  const [a, b] = PLANS;
  const rows = comparisonRows();
  const plans = PLANS.map(plan =>
    el(
      "tr",
      {},
      el("th", {}, el("span", { class: "badge info", textContent: plan.label })),
      el("td", {}, statusBadge(plan)),
      el("td", { class: "solver", title: plan.solver, textContent: plan.solver }),
      el("td", { textContent: `${plan.target.name} ${capacityText(plan)}`, title: policies(plan) }),
      rows.map(([, of, write]) => {
        const x = of(plan);
        return el("td", { class: "num", textContent: x === null ? "–" : write(x) });
      }),
    ),
  );
  const change = el(
    "tr",
    {},
    el("th", { colSpan: 4, textContent: "B against A" }),
    rows.map(([name, of, write, sense = -1]) => {
      const x = of(a);
      const y = of(b);
      if (x === null || y === null) return el("td");
      const by = y - x;
      const tone = !by || !sense ? "" : by * sense > 0 ? "better" : "worse";
      const sign = by > 0 ? "+" : "−";
      const text = !by
        ? "equal"
        : name === "gap"
          ? by < 0
            ? "smaller"
            : "larger"
          : x
            ? `${sign}${percent(Math.abs(by / x))}`
            : sign + write(Math.abs(by));
      return el("td", { class: `num ${tone}`, textContent: text, title: by ? sign + write(Math.abs(by)) : "" });
    }),
  );
  return el(
    "table",
    { class: "plain comparison" },
    el(
      "tr",
      {},
      ["", "status", "solver", "target"].map(text => el("th", { textContent: text })),
      rows.map(([name]) => el("th", { class: "num", textContent: name })),
    ),
    plans,
    change,
  );
}
