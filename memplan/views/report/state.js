// What is chosen, searched and hidden: one state for the whole page, and who listens to it.

const State = {
  tensor: null,
  step: null,
  plan: DRAWN[0] ?? null,
  query: "",
  least: 0,
  hidden: new Set(),
  colour: "role",
  onlyMoved: false,
  listeners: [],
  set(change) {
    Object.assign(this, change);
    if (["query", "least", "hidden", "onlyMoved"].some(key => key in change)) this.filter();
    for (const listener of this.listeners) listener(change);
  },
  filter() {
    const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
    this.active = words.length > 0 || this.least > 0 || this.hidden.size > 0 || this.onlyMoved;
    this.match = Uint8Array.from(T.name, (name, t) => Number(this.matches(t, words)));
    // A storage is found by the names of its views too.
    T.root.forEach((root, t) => {
      if (this.match[t] && root !== t) this.match[root] = Math.max(this.match[root], Number(this.passes(root)));
    });
  },
  passes(t) {
    if (T.nbytes[t] < this.least) return false;
    if (DRAWN.length && !DRAWN.some(plan => !this.hidden.has(plan.role[T.root[t]]))) return false;
    return !this.onlyMoved || DRAWN.some(plan => plan.movesOf.has(t));
  },
  matches(t, words) {
    if (!this.passes(t)) return false;
    const op = producerOf[t];
    const text = (
      T.name[t] +
      " " +
      (op < 0 ? KINDS[T.kind[t]] : O.name[op] + " " + kindOf(op)) +
      " " +
      dtypeOf(t)
    ).toLowerCase();
    return words.every(word => text.includes(word));
  },
};
State.filter();
