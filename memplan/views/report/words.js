// What is said of boxes, steps and moves, and the tooltip that says it.

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
            `${placeOf(plan, i)} (0x${plan.ro[i].toString(16)})`,
        }),
        ...boxNotes(plan, i).map(text => el("div", { textContent: text })),
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
    ...stepNotes(plan, found.step).map(text => el("div", { textContent: text })),
    ...liveTexts(plan, found.step).map(text => el("div", { textContent: text })),
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

// Where a box lies: its memory is named where there are several.
function placeOf(plan, i) {
  const memory = plan.maps.length > 1 ? `in ${plan.memories[plan.rm[i]].name} ` : "";
  return `${memory}at ${bytes(plan.ro[i])}`;
}

// What is special about a box: whose part it is, and how often its op had been executed.
function boxNotes(plan, i) {
  const notes = [];
  if (plan.isPart(i)) notes.push(`a part of ${T.name[plan.wholeOf(i)]}, written in its place`);
  if (plan.rexec[i] > 1) notes.push(`written by execution ${plan.rexec[i]} of ${O.name[producerOf[plan.rt[i]]]}`);
  if (plan.rmove[i] >= 0 && plan.maps.length > 1) notes.push(moveText(plan, plan.rmove[i]));
  return notes;
}

// What is special about a step: an op executed again, one that copies nothing, what is written in place.
function stepNotes(plan, step) {
  const [k, n] = plan.executionOf(step);
  return [
    ...(n > 1 ? [`execution ${k} of ${n}`] : []),
    ...(plan.joinedOps.has(plan.schedule[step]) ? ["joined: its operands lie in its output, it copies nothing"] : []),
    ...(plan.inplaceAt.get(step) ?? []).map(([, over, under]) => `in place: ${T.name[over]} over ${T.name[under]}`),
  ];
}

// Live and free bytes of each memory that has addresses.
function liveTexts(plan, step) {
  return plan.maps.map(({ name, live, capacity }) => {
    const free = capacity === null ? "" : `, ${bytes(capacity - live[step])} free`;
    return `${bytes(live[step])} live${plan.maps.length > 1 ? ` in ${name}` : ""}${free}`;
  });
}

// From which memory to which, where there are more than two, and in which queue, where there are several.
function routeText(plan, { from, to, queue }) {
  if (plan.memories.length <= 2) return "";
  const names = `${plan.memories[from].name} → ${plan.memories[to].name}`;
  return plan.target.queues > 1 ? `${names}, queue ${queue}` : names;
}

function moveText(plan, i) {
  const { tensor: t, issue, due, spill, store } = plan.moves[i];
  const route = routeText(plan, plan.moves[i]);
  const kind = `${spill ? "spill" : "compulsory"} ${store ? "store" : "load"}${route ? ` (${route})` : ""}`;
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
  const touches = ({ store, issue, at }) => issue - store === step || at === step;
  return plan.moves.map((_, i) => i).filter(i => touches(plan.moves[i]));
}
