// The plans of the page; without any, the graph alone.

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
    boxes: [],
    wholes: [],
    ways: [],
    overs: [],
    leaves: [],
    moves: [],
    inplace: [],
    joined: [],
    spills: [],
    relief: [],
    timeline: null,
    live: [steps],
    liveWithoutSpills: steps,
    outside: [],
    metrics: { peak: 0 },
    reference: DATA.reference,
    target: { name: "", memories: [{ name: "", capacity: null, alignment: 1, peak: 0 }] },
    options: { objective: "peak", weights: "ignore" },
  });
}

const PLANS = DATA.plans.map(facts => new Plan(facts));
const DRAWN = PLANS.length || !O.name.length ? PLANS.filter(plan => plan.n) : [sketch()];
