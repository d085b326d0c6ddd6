// Colours of boxes: by role, kind of the producing op, size, or lifetime; and ink to write on them.

const FONT = "11px " + Theme.get("sans");
const SMALL = "10px " + Theme.get("sans");
const KIND_TOKENS = ["#4477aa", "#ccbb44", "#228833", "#aa3377", "#66ccee", "#ee6677", "#997700", "#77aadd"];
const CIVIDIS = ["#00224e", "#213c6e", "#4a546c", "#6f6f73", "#958f78", "#bdae6f", "#e5d150", "#fee838"];

// The colour of a storage under the chosen scheme, and what the legend says about it.
const Colours = {
  kinds: (() => {
    const uses = new Map();
    O.kind.forEach((kind, op) => {
      if (!O.view[op]) uses.set(kind, (uses.get(kind) ?? 0) + 1);
    });
    return [...uses]
      .sort((a, b) => b[1] - a[1] || a[0] - b[0])
      .slice(0, KIND_TOKENS.length)
      .map(([kind]) => kind);
  })(),
  largest: T.nbytes.reduce((a, b) => Math.max(a, b), 1),
  of(plan, i) {
    const t = plan.rt[i];
    if (State.colour === "role") return this.shade(ROLES[plan.role[t]].key, t % 3);
    if (State.colour === "size") return this.ramp(Math.sqrt(T.nbytes[t] / this.largest));
    if (State.colour === "lifetime") return this.ramp(Math.sqrt((plan.re[i] - plan.rs[i]) / plan.n));
    const at = producerOf[t] < 0 ? -1 : this.kinds.indexOf(O.kind[producerOf[t]]);
    return at < 0 ? Theme.get("constant") : KIND_TOKENS[at];
  },
  // Three shades a role, so that neighbours stay apart.
  shade(key, which) {
    this.shades ??= {};
    const base = Theme.get(key);
    const name = base + which;
    return (this.shades[name] ??= mixed(base, Theme.dark ? "#000000" : "#ffffff", [0, 0.13, 0.24][which]));
  },
  ramp(x) {
    return CIVIDIS[Math.min(CIVIDIS.length - 1, Math.floor(x * CIVIDIS.length))];
  },
  legend() {
    if (State.colour === "kind")
      return [
        ...this.kinds.map((kind, i) => [KIND_TOKENS[i], G.opKinds[kind]]),
        ["var(--constant)", "other, or no producer"],
      ];
    const [low, high] = State.colour === "size" ? ["small", exact(this.largest)] : ["short-lived", "the whole run"];
    return CIVIDIS.map((colour, i) => [colour, i === 0 ? low : i === CIVIDIS.length - 1 ? high : ""]);
  },
};

function mixed(a, b, share) {
  const parts = colour => [1, 3, 5].map(k => parseInt(colour.slice(k, k + 2), 16));
  const [x, y] = [parts(a), parts(b)];
  return (
    "#" +
    x
      .map((v, k) =>
        Math.round(v + (y[k] - v) * share)
          .toString(16)
          .padStart(2, "0"),
      )
      .join("")
  );
}

function inkOn(colour) {
  const n = parseInt(colour.slice(1), 16);
  const light = 0.299 * (n >> 16) + 0.587 * ((n >> 8) & 255) + 0.114 * (n & 255);
  return light > 125 ? "#0c1622" : "#ffffff";
}
