// The graph and the plans as the page's parts ask for them: indices over the columns of DATA.

const G = DATA.graph;
const T = G.tensors;
const O = G.ops;
const KINDS = ["input", "constant", "activation", "workspace"];

// What a storage is in a plan, in the order of the legend.
const ROLES = [
  { key: "activation", name: "Activation", about: "stays from its first touch to its last" },
  {
    key: "spilled",
    name: "Spilled",
    about: "leaves before its last use: loaded again later, or served from a slower memory",
  },
  { key: "input", name: "Input", about: "comes from its home, or lies there" },
  { key: "output", name: "Output", about: "must be at home at the end" },
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
    this.stepsOf = group(
      facts.schedule.map((_, t) => t),
      t => facts.schedule[t],
    );
    this.again = facts.schedule.map((_, t) => t).filter(t => this.stepsOf.get(facts.schedule[t])[0] < t);
    this.memories = facts.target.memories;
    this.first = this.memories[0];
    // Moves, with the step in which each is drawn where they take no time: a load in the step that waits for it, a
    // store in the step after which it may begin.
    this.moves = facts.moves.map(([tensor, from, to, issue, due, queue, spill]) => {
      const store = to > from;
      const at = Math.max(0, Math.min(this.n - 1, due - store));
      return { tensor, from, to, issue, due, queue, spill, store, at };
    });
    this.queues = [...new Set(this.moves.map(m => m.queue))].sort((a, b) => a - b);
    this.leaves = new Set(facts.leaves);
    this.spillsOf = group(facts.spills, s => s[0]);
    this.movesOf = group(
      facts.moves.map((_, i) => i),
      i => facts.moves[i][0],
    );
    this.joinedOps = new Set(facts.joined);
    this.overAt = new Map(facts.overs.map(([step, , operand]) => [operand, step])); // when a box is written over
    this.sharedUntil = new Map(facts.overs.map(([step, output]) => [output, step + 1]));
    this.inplaceAt = group(facts.inplace, pair => pair[0]);
    this.role = T.name.map((_, t) => this.roleOf(t));
    this.columns();
    this.maps = this.shelves();
    this.mapAt = this.memories.map((_, m) => this.maps.findIndex(map => map.memory === m)); // by memory, its map
    this.limit = this.first.capacity;
    this.axes();
  }

  roleOf(t) {
    if (this.leaves.has(t)) return ROLE.spilled;
    if (isOutput[t]) return ROLE.output;
    return ROLE[KINDS[T.kind[t]]];
  }

  // Boxes as flat arrays for drawing and hit tests: residencies, then joined parts inside their outputs.
  columns() {
    const rows = this.boxes;
    this.rt = Int32Array.from(rows, r => r[0]);
    this.rm = Int32Array.from(rows, r => r[1]);
    this.rs = Int32Array.from(rows, r => r[2]);
    this.re = Int32Array.from(rows, r => r[3]);
    this.ro = Float64Array.from(rows, r => r[4]);
    this.rz = Float64Array.from(rows, r => r[5]);
    this.rexec = Int32Array.from(rows, r => r[6]);
    this.rmove = Int32Array.from(rows, r => r[7]);
    this.parts = rows.length - this.wholes.length; // the number of the first part
    this.rleft = new Int32Array(rows.length).fill(-1); // the last spill that takes it to a slower memory
    this.placed = group(
      rows.map((_, i) => i),
      i => rows[i][0],
    ); // storage -> numbers of its boxes, by start
    for (const list of this.placed.values()) list.sort((a, b) => this.rs[a] - this.rs[b]);
    this.partedUntil = new Map(); // the step until which parts lie in a joined output, by the number of its box
    this.wholes.forEach((whole, k) => {
      const stop = this.re[this.parts + k];
      const i = this.placed.get(whole).find(j => this.rs[j] < stop && stop <= this.re[j]);
      this.partedUntil.set(i, Math.max(stop, this.partedUntil.get(i) ?? 0));
    });
    this.moves.forEach((m, k) => {
      if (!m.spill || !m.store) return;
      const i = this.placed
        .get(m.tensor)
        ?.find(j => this.rm[j] === m.from && this.rs[j] < m.issue && m.issue <= this.re[j]);
      if (i !== undefined) this.rleft[i] = k;
    });
  }

  isPart(i) {
    return i >= this.parts;
  }

  wholeOf(i) {
    return this.wholes[i - this.parts];
  }

  // The memories that have addresses, fastest first: what is drawn of each, and its bytes.
  shelves() {
    const inMemory = group(
      this.boxes.map((_, i) => i),
      i => this.rm[i],
    );
    return this.memories
      .map((memory, m) => ({ ...memory, memory: m }))
      .filter(memory => memory.peak !== null)
      .map((memory, k) => ({
        ...memory,
        boxes: inMemory.get(memory.memory) ?? [],
        live: this.live[k],
        top: memory.capacity ?? Math.max(memory.peak, 1),
        livePeak: this.live[k].reduce((a, b) => Math.max(a, b), 0),
      }));
  }

  // Which execution of its op a step is, and of how many.
  executionOf(step) {
    const steps = this.stepsOf.get(this.schedule[step]);
    return [steps.indexOf(step) + 1, steps.length];
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

  // Begin and end of a move on the axis: simulated, or the step in which it is drawn.
  moveSpan(i) {
    if (this.timeline) {
      const [a, b] = this.timeline.moves[i];
      return [this.atTime(a), this.atTime(b)];
    }
    return [this.moves[i].at, this.moves[i].at + 1];
  }

  // How a storage is kept, in a word or two.
  state(t) {
    const root = T.root[t];
    if (root !== t) return "view";
    const spills = this.spillsOf.get(t)?.length ?? 0;
    if (spills) return spills > 1 ? `spilled ${spills}×` : "spilled";
    if (this.sketch) return "";
    const parts = this.placed.get(t);
    if (parts) {
      if (this.isPart(parts[0])) return `joined in ${T.name[this.wholeOf(parts[0])]}`;
      const names = [...new Set(parts.map(i => this.memories[this.rm[i]].name))];
      if (this.maps.length > 1) return `in ${names.join(", ")}`;
      return this.leaves.has(t) ? `left for ${this.memories.at(-1).name}` : "resident";
    }
    const constant = T.kind[t] === 1;
    if (constant && this.options.weights === "ignore") return "not placed";
    if (this.options.io === "external" && !constant && (T.kind[t] === 0 || isOutput[t])) return "the caller's";
    return `in ${this.memories.at(constant ? this.target.constants : -1).name}`;
  }

  // Why a spill happened, for people.
  why([t, start, stop, , , , tightest, over, streamed]) {
    const op = O.name[this.schedule[tightest]];
    if (streamed) return "Streamed: the options load it for each use.";
    if (start === stop) return `Moved to another address before step ${stop} (${op}).`;
    if (over > 0)
      return (
        `Tightest at step ${tightest} (${op}): ${bytes(this.live[0][tightest])} are there already; ` +
        `had it stayed, the step would need ${bytes(over)} more than the capacity.`
      );
    return (
      `It would fit by bytes (${bytes(-over)} to spare at step ${tightest}, ${op}): ` +
      `addresses, or the solver's choice.`
    );
  }

  get unit() {
    const { objective } = this.options;
    if (objective === "latency" || (objective === "compute" && this.target.timed)) return x => time(1e9 * x);
    return objective === "compute" ? x => big(x) + " flop" : bytes;
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
