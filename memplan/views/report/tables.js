// The tables below the map: tensors, moves, spills, steps, and what two plans do differently.

const several = DRAWN.length > 1;
const PLACED = DRAWN.filter(plan => !plan.sketch);
const anyTimes = DRAWN.some(plan => plan.timeline);

const column = (name, width, text, more = {}) => ({ name, width, text, ...more });

// A column of numbers: null is shown as a dash and sorted first; the tooltip has every digit.
function sized(name, width, of, write = bytes) {
  return column(
    name,
    width,
    row => {
      const x = of(row);
      return x === null ? "–" : write(x);
    },
    {
      num: true,
      sort: row => of(row) ?? -Infinity,
      hint: row => {
        const x = of(row);
        return x === null ? "" : count(x);
      },
    },
  );
}

const whose = several ? [column("plan", 60, row => row.plan.label)] : [];
const choose = row => chooseTensor(row.tensor ?? row, row.plan);
const isChosen = row => row.tensor === State.tensor;

function withSwatch(plan, t) {
  return el(
    "span",
    {},
    el("i", { class: "swatch", style: `--c: var(--${ROLES[plan.role[T.root[t]]].key})` }),
    " " + T.name[t],
  );
}

function tensorTab() {
  const of = text => (several ? plan => `${text} in ${plan.label}` : () => text);
  const kept = of("kept");
  const step = of("step");
  const address = of("address");
  const memory = of("memory");
  const first = (plan, t) => plan.placed.get(T.root[t])?.[0] ?? null;
  const places = PLACED.flatMap(plan => [
    column(kept(plan), 100, t => plan.state(t)),
    sized(
      step(plan),
      90,
      t => {
        const r = first(plan, t);
        return r === null ? null : plan.rs[r];
      },
      count,
    ),
    ...(plan.maps.length > 1
      ? [
          column(memory(plan), 90, t => {
            const r = first(plan, t);
            return r === null ? "" : plan.memories[plan.rm[r]].name;
          }),
        ]
      : []),
    sized(
      address(plan),
      110,
      t => {
        const r = first(plan, t);
        return r === null ? null : plan.ro[r];
      },
      x => "0x" + x.toString(16),
    ),
  ]);
  const table = new Table(
    [
      column("name", 300, t => T.name[t], { cell: t => (PLACED.length ? withSwatch(PLACED[0], t) : T.name[t]) }),
      sized("size", 100, t => T.nbytes[t]),
      column("kind", 90, t => KINDS[T.kind[t]]),
      ...places,
      column("type", 80, dtypeOf),
      column("shape", 150, shapeOf),
      column("produced by", 240, t => (producerOf[t] < 0 ? "" : O.name[producerOf[t]])),
      sized("reads", 70, t => readersOf[t].length, count),
    ],
    {
      onpick: choose,
      picked: t => T.root[t] === State.tensor,
      sortBy: 1,
      down: true,
      empty: "No tensor matches the search.",
    },
  );
  return tab("Tensors", table, () => T.name.map((_, t) => t).filter(t => State.match[t]));
}

function moveTab() {
  const all = PLACED.flatMap(plan =>
    plan.moves.map((move, i) => ({ plan, tensor: move.tensor, move, span: plan.timeline?.moves[i] })),
  );
  const kind = row => (row.move.store ? "store" : "load");
  const routes = PLACED.some(plan => plan.memories.length > 2 || plan.target.queues > 1)
    ? [
        column("from", 80, row => row.plan.memories[row.move.from].name),
        column("to", 80, row => row.plan.memories[row.move.to].name),
        sized("queue", 70, row => row.move.queue, count),
      ]
    : [];
  const times = anyTimes
    ? [
        sized("begins", 100, row => row.span?.[0] ?? null, time),
        sized("takes", 100, row => (row.span ? row.span[1] - row.span[0] : null), time),
      ]
    : [];
  const table = new Table(
    [
      ...whose,
      column("kind", 90, kind, {
        cell: row => el("span", {}, el("i", { class: "wedge", style: `--c: var(--${kind(row)})` }), " " + kind(row)),
      }),
      column("traffic", 100, row => (row.move.spill ? "spill" : "compulsory")),
      column("tensor", 300, row => T.name[row.tensor]),
      sized("size", 100, row => T.nbytes[row.tensor]),
      ...routes,
      sized("issue", 80, row => row.move.issue, count),
      sized("due", 80, row => row.move.due, count),
      ...times,
      column("op it is due for", 260, row => O.name[row.plan.schedule[row.move.due]] ?? ""),
    ],
    {
      onpick: choose,
      picked: isChosen,
      empty: State.active ? "No move matches the search." : "No moves: nothing is loaded or stored.",
    },
  );
  return tab("Moves", table, () => all.filter(row => State.match[row.tensor]));
}

function spillTab() {
  const all = PLACED.flatMap(plan => plan.spills.map(spill => ({ plan, tensor: spill[0], spill })));
  const table = new Table(
    [
      ...whose,
      column("tensor", 240, row => T.name[row.tensor]),
      sized("moved", 100, row => row.spill[3]),
      sized("size", 100, row => T.nbytes[row.tensor]),
      sized("leaves", 80, row => row.spill[1], count),
      sized("returns", 80, row => row.spill[2], count),
      column("last touched by", 180, row => O.name[row.spill[4]]),
      column("needed again by", 180, row => O.name[row.spill[5]]),
      column("why", 800, row => row.plan.why(row.spill)),
    ],
    {
      onpick: choose,
      picked: isChosen,
      empty: all.length
        ? "No spill matches the search."
        : "No spills: every storage stays from its first touch to its last.",
    },
  );
  return tab("Spills", table, () => all.filter(row => State.match[row.tensor]));
}

function stepTab() {
  const all = DRAWN.flatMap(plan =>
    plan.schedule.map((op, step) => ({ plan, op, step, span: plan.timeline?.ops[step] })),
  );
  const notes = DRAWN.some(plan => plan.again.length || plan.joined.length || plan.inplace.length)
    ? [column("how", 200, row => stepNotes(row.plan, row.step).join("; "))]
    : [];
  const outside = PLACED.some(plan => plan.outside.some(Boolean))
    ? [sized(`not in ${firstName()}`, 120, row => row.plan.outside[row.step])]
    : [];
  const found = row => [...O.outputs[row.op], ...O.inputs[row.op]].some(t => State.match[t]);
  const times = anyTimes
    ? [
        sized("begins", 100, row => row.span?.[0] ?? null, time),
        sized("takes", 100, row => (row.span ? row.span[1] - row.span[0] : null), time),
        sized("waits", 100, row => (row.span ? Math.max(0, row.span[0] - row.plan.byTime[row.step]) : null), time),
      ]
    : [];
  const table = new Table(
    [
      ...whose,
      sized("step", 70, row => row.step, count),
      column("op", 300, row => O.name[row.op]),
      column("kind", 140, row => kindOf(row.op)),
      ...notes,
      ...liveColumns(),
      sized("flops", 100, row => O.flops[row.op], big),
      sized("moved", 100, row => paneOf(row.plan).traffic.reduce((sum, list) => sum + list[row.step], 0)),
      ...outside,
      ...times,
    ],
    {
      onpick: row => chooseStep(row.plan, row.step),
      picked: row => row.plan === State.plan && row.step === State.step,
      empty: "No step matches the search.",
    },
  );
  return tab("Steps", table, () => (State.active ? all.filter(found) : all));
}

// Live and free bytes of a step, in each memory by name where a plan has several.
function liveColumns() {
  const most = DRAWN.reduce((a, b) => (b.maps.length > a.maps.length ? b : a));
  const wide = most.maps.length > 1 ? 130 : 100;
  return most.maps.flatMap(({ name }, m) => {
    const where = most.maps.length > 1 ? ` in ${name}` : "";
    const free = ({ capacity, live }, step) => (capacity === null ? null : capacity - live[step]);
    return [
      sized("live" + where, wide, ({ plan, step }) => plan.maps[m]?.live[step] ?? null),
      sized("free" + where, wide, ({ plan, step }) => (plan.maps[m] ? free(plan.maps[m], step) : null)),
    ];
  });
}

function differenceTab() {
  const [a, b] = PLACED;
  const moved = (plan, t) =>
    (plan.movesOf.get(t) ?? []).reduce((sum, i) => sum + (plan.moves[i].spill ? T.nbytes[t] : 0), 0);
  const all = T.name
    .map((_, t) => ({ tensor: t, a: a.state(t), b: b.state(t), inA: moved(a, t), inB: moved(b, t) }))
    .filter(row => row.a !== row.b || row.inA !== row.inB);
  const table = new Table(
    [
      column("tensor", 320, row => T.name[row.tensor]),
      sized("size", 100, row => T.nbytes[row.tensor]),
      column("in A", 120, row => row.a),
      column("in B", 120, row => row.b),
      sized("moved in A", 110, row => row.inA),
      sized("moved in B", 110, row => row.inB),
      {
        ...sized(
          "B − A",
          110,
          row => row.inB - row.inA,
          x => (x > 0 ? "+" : "") + bytes(x),
        ),
        sort: row => Math.abs(row.inB - row.inA),
      },
    ],
    {
      onpick: choose,
      picked: isChosen,
      sortBy: 6,
      down: true,
      empty: all.length ? "No difference matches the search." : "Both plans keep every tensor alike.",
    },
  );
  return tab("Differences", table, () => all.filter(row => State.match[row.tensor]));
}
