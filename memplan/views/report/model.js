// The graph and the plans as the page's parts ask for them: indices over the columns of DATA.

const G = DATA.graph;
const T = G.tensors;
const O = G.ops;
const KINDS = ["input", "constant", "activation", "workspace"];

// What a storage is in a plan, in the order of the legend.
const ROLES = [
  { key: "activation", name: "Activation", about: "stays from its first touch to its last" },
  { key: "spilled", name: "Spilled", about: "leaves before its last use: loaded again later, or served from host" },
  { key: "input", name: "Input", about: "comes from host" },
  { key: "output", name: "Output", about: "goes to host" },
  { key: "constant", name: "Constant", about: "weights and other constants" },
  { key: "workspace", name: "Workspace", about: "what an op needs while it runs" },
];
const ROLE = Object.fromEntries(ROLES.map((role, i) => [role.key, i]));

const producerOf = new Int32Array(T.name.length).fill(-1);
const readersOf = T.name.map(() => []);
const viewsOf = T.name.map(() => []);
const isOutput = new Uint8Array(T.name.length);
G.outputs.forEach(t => {
  isOutput[T.root[t]] = 1;
});
O.outputs.forEach((list, op) =>
  list.forEach(t => {
    producerOf[t] = op;
  }),
);
O.inputs.forEach((list, op) => [...new Set(list)].forEach(t => readersOf[t].push(op)));
T.root.forEach((root, t) => {
  if (root !== t) viewsOf[root].push(t);
});

function kindOf(op) {
  return G.opKinds[O.kind[op]];
}
function dtypeOf(t) {
  return G.dtypes[T.dtype[t]] ?? "–";
}
function shapeOf(t) {
  return T.shape[t] ? (T.shape[t].length ? T.shape[t].join(" × ") : "scalar") : "–";
}

// Ops that read a storage through any of its names, views aside.
function usersOf(root) {
  const ops = new Set([root, ...viewsOf[root]].flatMap(t => readersOf[t]).filter(op => !O.view[op]));
  return [...ops];
}

class Plan {
  constructor(facts) {
    Object.assign(this, facts);
    this.n = facts.schedule.length;
    this.stepOf = new Int32Array(O.name.length).fill(-1);
    facts.schedule.forEach((op, t) => {
      this.stepOf[op] = t;
    });
    this.placed = new Map(); // storage -> numbers of its residencies, by start
    facts.residencies.forEach((r, i) => {
      if (!this.placed.has(r[0])) this.placed.set(r[0], []);
      this.placed.get(r[0]).push(i);
    });
    for (const list of this.placed.values()) list.sort((a, b) => facts.residencies[a][1] - facts.residencies[b][1]);
    this.spillsOf = group(facts.spills, s => s[0]);
    // What leaves before its last use: loaded again, or stored and served from host from then on.
    this.leaves = new Set([
      ...facts.spills.filter(s => !s[8]).map(s => s[0]),
      ...facts.moves.filter(m => m[0] && m[4]).map(m => m[1]),
    ]);
    this.movesOf = group(
      facts.moves.map((m, i) => i),
      i => facts.moves[i][1],
    );
    this.role = T.name.map((_, t) => this.roleOf(t));
    this.columns();
    this.axes();
    this.limit = facts.target.capacity;
    this.top = this.limit ?? Math.max(facts.metrics.peak, 1);
    this.livePeak = facts.live.reduce((a, b) => Math.max(a, b), 0);
  }

  roleOf(t) {
    if (this.leaves.has(t)) return ROLE.spilled;
    if (isOutput[t]) return ROLE.output;
    return ROLE[KINDS[T.kind[t]]];
  }

  // Residencies as flat arrays for drawing and hit tests.
  columns() {
    const rows = this.residencies;
    this.rt = Int32Array.from(rows, r => r[0]);
    this.rs = Int32Array.from(rows, r => r[1]);
    this.re = Int32Array.from(rows, r => r[2]);
    this.ro = Float64Array.from(rows, r => r[3]);
    this.rz = Float64Array.from(rows, r => r[4]);
    this.rloaded = new Uint8Array(rows.length);
    this.rstored = new Uint8Array(rows.length);
    const loads = new Set();
    const stores = new Map();
    for (const [store, t, issue, , spill] of this.moves) {
      if (!spill) continue;
      if (store) stores.set(t, issue);
      else loads.add(t + ":" + issue);
    }
    rows.forEach(([t, start, stop], i) => {
      if (loads.has(t + ":" + start)) this.rloaded[i] = 1;
      if (stores.has(t) && stores.get(t) > start && stores.get(t) <= stop) this.rstored[i] = 1;
    });
  }

  // Where steps begin on each axis: by step, or by simulated time (a step begins when the op before has ended).
  axes() {
    this.bySteps = Float64Array.from({ length: this.n + 1 }, (_, t) => t);
    this.byTime =
      this.timeline && Float64Array.from({ length: this.n + 1 }, (_, t) => (t ? this.timeline.ops[t - 1][1] : 0));
    this.useTime(this.options.objective === "latency");
  }

  useTime(on) {
    this.timed = Boolean(on && this.byTime);
    this.edge = this.timed ? this.byTime : this.bySteps;
    this.end = this.timed ? Math.max(this.timeline.latency, this.byTime[this.n]) : this.n;
  }

  // The step at a position of the axis.
  stepAt(x) {
    if (!this.timed) return Math.min(this.n - 1, Math.max(0, Math.floor(x)));
    let low = 0;
    let high = this.n - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (this.edge[mid] <= x) low = mid;
      else high = mid - 1;
    }
    return low;
  }

  // The position of a simulated time on the axis.
  atTime(ns) {
    if (this.timed) return ns;
    let low = 0;
    let high = this.n;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (this.byTime[mid] <= ns) low = mid;
      else high = mid - 1;
    }
    if (low >= this.n) return this.n;
    const width = this.byTime[low + 1] - this.byTime[low];
    return low + (width > 0 ? (ns - this.byTime[low]) / width : 0);
  }

  // Begin and end of a move on the axis, in the lane it is drawn in: simulated, or a load in the step
  // that waits for it and a store in the step after which it may begin.
  moveSpan(i) {
    if (this.timeline) {
      const [a, b] = this.timeline.moves[i];
      return [this.atTime(a), this.atTime(b)];
    }
    const [store, , issue, due] = this.moves[i];
    return [issue - store, due - store + 1];
  }

  // How a storage is kept, in a word or two.
  state(t) {
    const root = T.root[t];
    if (root !== t) return "view";
    const spills = this.spillsOf.get(t)?.length ?? 0;
    if (spills) return spills > 1 ? `spilled ${spills}×` : "spilled";
    if (this.sketch) return "";
    if (this.placed.has(t)) return this.leaves.has(t) ? "left for host" : "resident";
    return T.kind[t] === 1 && this.options.weights === "ignore" ? "not placed" : "in host";
  }

  // Why a spill happened, for people.
  why([t, start, stop, , , , tightest, over, streamed]) {
    const op = O.name[this.schedule[tightest]];
    if (streamed) return "Streamed: the options load it for each use.";
    if (start === stop) return `Moved to another address before step ${stop} (${op}).`;
    if (over > 0)
      return (
        `Tightest at step ${tightest} (${op}): ${bytes(this.live[tightest])} are there already; ` +
        `had it stayed, the step would need ${bytes(over)} more than the capacity.`
      );
    return (
      `It would fit by bytes (${bytes(-over)} to spare at step ${tightest}, ${op}): ` +
      `addresses, or the solver's choice.`
    );
  }

  get unit() {
    return this.options.objective === "latency" ? x => time(1e9 * x) : x => bytes(x);
  }
}

function group(rows, key) {
  const found = new Map();
  for (const row of rows) {
    const k = key(row);
    if (!found.has(k)) found.set(k, []);
    found.get(k).push(row);
  }
  return found;
}

// The graph alone as something to draw: its own order, every storage from its first touch to its last, no addresses.
function sketch() {
  const change = new Float64Array(O.name.length + 1);
  T.root.forEach((root, t) => {
    if (root !== t || T.kind[t] === 1) return;
    const touches = [producerOf[t], ...usersOf(t)].filter(op => op >= 0);
    if (!touches.length) return;
    change[Math.min(...touches)] += T.nbytes[t];
    change[Math.max(...touches) + 1] -= T.nbytes[t];
  });
  let live = 0;
  const steps = O.name.map((_, t) => (live += change[t]));
  return new Plan({
    sketch: true,
    label: "graph",
    schedule: O.name.map((_, op) => op),
    residencies: [],
    moves: [],
    inplace: [],
    spills: [],
    relief: [],
    timeline: null,
    live: steps,
    liveWithoutSpills: steps,
    metrics: { peak: 0 },
    budgets: DATA.budgets,
    target: { name: "", capacity: null, alignment: 1, operands: "scratchpad" },
    options: { objective: "peak", weights: "ignore" },
  });
}

const PLANS = DATA.plans.map(facts => new Plan(facts));
const DRAWN = PLANS.length || !O.name.length ? PLANS.filter(plan => plan.n) : [sketch()];
