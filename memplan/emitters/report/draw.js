// Drawing a plan: each function draws one lane of a pane on its canvas. Only what is in sight, and only
// as finely as pixels allow: labels and outlines where there is room, one bar per pixel column where there is not.

const FONT = "11px " + Theme.get("sans"), SMALL = "10px " + Theme.get("sans");
const KIND_TOKENS = ["#4477aa", "#ccbb44", "#228833", "#aa3377", "#66ccee", "#ee6677", "#997700", "#77aadd"];
const CIVIDIS = ["#00224e", "#213c6e", "#4a546c", "#6f6f73", "#958f78", "#bdae6f", "#e5d150", "#fee838"];

// The colour of a storage under the chosen scheme, and what the legend says about it.
const Colours = {
  kinds: (() => {
    const uses = new Map();
    O.kind.forEach((kind, op) => { if (!O.view[op]) uses.set(kind, (uses.get(kind) ?? 0) + 1); });
    return [...uses].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, KIND_TOKENS.length).map(([kind]) => kind);
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
    const base = Theme.get(key), name = base + which;
    return this.shades[name] ??= mixed(base, Theme.dark ? "#000000" : "#ffffff", [0, 0.13, 0.24][which]);
  },
  ramp(x) { return CIVIDIS[Math.min(CIVIDIS.length - 1, Math.floor(x * CIVIDIS.length))]; },
  legend() {
    if (State.colour === "kind") return [...this.kinds.map((kind, i) => [KIND_TOKENS[i], G.opKinds[kind]]), ["var(--constant)", "other, or no producer"]];
    const [low, high] = State.colour === "size" ? ["small", exact(this.largest)] : ["short-lived", "the whole run"];
    return CIVIDIS.map((colour, i) => [colour, i === 0 ? low : i === CIVIDIS.length - 1 ? high : ""]);
  },
};

function mixed(a, b, share) {
  const parts = colour => [1, 3, 5].map(k => parseInt(colour.slice(k, k + 2), 16));
  const [x, y] = [parts(a), parts(b)];
  return "#" + x.map((v, k) => Math.round(v + (y[k] - v) * share).toString(16).padStart(2, "0")).join("");
}

function inkOn(colour) {
  const n = parseInt(colour.slice(1), 16);
  const light = 0.299 * (n >> 16) + 0.587 * ((n >> 8) & 255) + 0.114 * (n & 255);
  return light > 125 ? "#0c1622" : "#ffffff";
}

// Text cut in the middle so that it fits `width` pixels; "" where no use is left.
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  const keep = Math.floor(width / 6.2) - 1;
  if (keep < 6) return "";
  const head = Math.ceil(keep * 0.4);
  return text.slice(0, head) + "…" + text.slice(text.length - (keep - head));
}

function drawMap(pane, c) {
  const { plan, view } = pane, lane = pane.lanes.map;
  clip(c, pane, lane, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, lane.top, pane.width, lane.height);
    drawGridLines(pane, c, lane);
    const seen = [], buckets = new Map(), spilled = new Map(), dim = [];
    const perPixel = pane.width / (view.x1 - view.x0), tallest = new Float64Array((Math.ceil(pane.width) + 1) * (Math.ceil(lane.height) + 1));
    for (let i = 0; i < plan.rt.length; i++) {
      const x0 = plan.edge[plan.rs[i]], x1 = plan.edge[plan.re[i]];
      if (x1 <= view.x0 || x0 >= view.x1 || plan.ro[i] >= view.y1 || plan.ro[i] + plan.rz[i] <= view.y0) continue;
      if (State.active && !State.match[plan.rt[i]]) { dim.push(i); continue; }
      const leaves = plan.role[plan.rt[i]] === ROLE.spilled;
      if (!leaves && (x1 - x0) * perPixel < 1) {
        // Thinner than a pixel: of those that end at the same pixel the tallest is enough.
        const at = Math.max(0, ((x0 - view.x0) * perPixel) | 0) * (Math.ceil(lane.height) + 1) + Math.max(0, Math.min(lane.height, pane.Y(plan.ro[i]) - lane.top) | 0);
        if (tallest[at] >= plan.rz[i]) continue;
        tallest[at] = plan.rz[i];
      }
      const colour = Colours.of(plan, i), into = leaves ? spilled : buckets;
      if (!into.has(colour)) into.set(colour, []);
      into.get(colour).push(i);
      seen.push(i);
    }
    const fine = seen.length < 3000;
    c.globalAlpha = 0.16;
    c.fillStyle = Theme.get("faint");
    for (const i of dim) fillBox(c, pane.box(i), fine);
    c.globalAlpha = 1;
    for (const [colour, list] of [...buckets, ...spilled]) {
      c.fillStyle = colour;
      for (const i of list) fillBox(c, pane.box(i), fine);
    }
    drawMarks(pane, c, seen);
    drawLabels(pane, c, seen);
    drawCapacity(pane, c, lane);
  });
}

// A box with a gap to its neighbours where it is large enough to spare one.
function fillBox(c, [x, y, w, h], fine) {
  const gapX = w > 4 ? 1 : 0, gapY = h > 4 ? 1 : 0;
  if (fine && w > 10 && h > 10) {
    c.beginPath();
    c.roundRect(x, y, w - gapX, h - gapY, 2.5);
    c.fill();
  } else c.fillRect(x, y, Math.max(w - gapX, 0.7), Math.max(h - gapY, 0.7));
}

// Hatching over the stay of what is spilled, wedges where it is stored (▸, at its end) and loaded again (at its begin).
function drawMarks(pane, c, seen) {
  const { plan } = pane;
  const load = Theme.get("load"), store = Theme.get("store");
  for (const i of seen) {
    if (!plan.rloaded[i] && !plan.rstored[i]) continue;
    const [x, y, w, h] = pane.box(i);
    const size = Math.min(7, Math.max(3, h / 2));
    if (plan.rloaded[i]) wedge(c, x, y + h / 2, size, load);
    if (plan.rstored[i]) wedge(c, x + w - size, y + h / 2, size, store);
  }
}

function wedge(c, x, y, size, colour) {
  c.fillStyle = colour;
  c.strokeStyle = Theme.get("surface");
  c.lineWidth = 1.5;
  c.beginPath();
  c.moveTo(x, y - size); c.lineTo(x + size, y); c.lineTo(x, y + size); c.closePath();
  c.stroke(); c.fill();
}

function drawLabels(pane, c, seen) {
  c.textBaseline = "middle";
  let room = 400;
  for (const i of seen) {
    let [x, y, w, h] = pane.box(i);
    if (w < 30 || h < 12 || room-- <= 0) continue;
    const right = Math.min(x + w, pane.left + pane.width), bottom = Math.min(y + h, pane.lanes.map.top + pane.lanes.map.height);
    x = Math.max(x, pane.left); y = Math.max(y, pane.lanes.map.top);
    w = right - x; h = bottom - y;
    if (w < 30 || h < 12) continue;
    c.fillStyle = inkOn(Colours.of(pane.plan, i));
    c.font = FONT;
    const pad = pane.plan.rloaded[i] ? 14 : 6, two = h > 30, name = fitted(c, T.name[pane.plan.rt[i]], w - pad - 6);
    if (!name) continue;
    c.fillText(name, x + pad, y + h / 2 - (two ? 7 : 0));
    if (two) {
      c.globalAlpha = 0.75;
      c.font = SMALL;
      c.fillText(fitted(c, bytes(T.nbytes[pane.plan.rt[i]]), w - pad - 6), x + pad, y + h / 2 + 7);
      c.globalAlpha = 1;
    }
  }
}

function drawCapacity(pane, c, lane) {
  const { plan } = pane;
  if (plan.limit === null) return;
  const y = Math.round(pane.Y(plan.limit)) + 0.5;
  if (y < lane.top - 1 || y > lane.top + lane.height) return;
  line(c, pane.left, y, pane.left + pane.width, y, Theme.get("limit"), 1.5);
}

function drawGridLines(pane, c, lane) {
  c.strokeStyle = Theme.get("line");
  c.lineWidth = 1;
  c.beginPath();
  for (const x of pane.ticksX()) { const at = Math.round(pane.X(x)) + 0.5; c.moveTo(at, lane.top); c.lineTo(at, lane.top + lane.height); }
  c.stroke();
}

function line(c, x0, y0, x1, y1, colour, width = 1, dash = []) {
  c.strokeStyle = colour; c.lineWidth = width;
  c.setLineDash(dash);
  c.beginPath(); c.moveTo(x0, y0); c.lineTo(x1, y1); c.stroke();
  c.setLineDash([]);
}

function clip(c, pane, lane, draw) {
  c.save();
  c.beginPath(); c.rect(pane.left, lane.top, pane.width, lane.height); c.clip();
  draw();
  c.restore();
}

// Largest value per pixel column of the part of an axis in sight: exact where steps are wide, never hiding a peak.
function columnsOf(pane, values) {
  const { plan, view } = pane, columns = new Float64Array(Math.ceil(pane.width) + 1);
  for (let t = plan.stepAt(view.x0); t < plan.n && plan.edge[t] < view.x1; t++) {
    const a = Math.max(0, Math.floor(pane.X(plan.edge[t]) - pane.left)), b = Math.min(columns.length, Math.max(a + 1, Math.ceil(pane.X(plan.edge[t + 1]) - pane.left)));
    for (let x = a; x < b; x++) if (values[t] > columns[x]) columns[x] = values[t];
  }
  return columns;
}

function drawLive(pane, c) {
  const { plan } = pane, lane = pane.lanes.live, base = lane.top + lane.height;
  const Y = value => base - (value / pane.liveTop) * (lane.height - 6);
  clip(c, pane, lane, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, lane.top, pane.width, lane.height);
    drawGridLines(pane, c, lane);
    area(c, pane, columnsOf(pane, plan.live), Y, base, Theme.get("curve-fill"), Theme.get("curve"));
    if (plan.spills.length) drawGhost(pane, c, Y);
    c.font = SMALL; c.textBaseline = "alphabetic";
    const limits = pane.limits().map(row => [...row, Math.round(Y(row[1])) + 0.5]);
    for (const [, , colour, dash, y] of limits) line(c, pane.left, y, pane.left + pane.width, y, colour, dash.length ? 1 : 1.5, dash);
    let x = pane.left + 6;
    for (const [name, value, colour, , y] of limits) {
      const text = `${name}  ${bytes(value)}`, wide = c.measureText(text).width, at = Math.max(y - 4, lane.top + 10);
      c.globalAlpha = 0.9; c.fillStyle = Theme.get("sunken"); c.fillRect(x - 3, at - 9, wide + 6, 12);
      c.globalAlpha = 1; c.fillStyle = colour;
      c.fillText(text, x, at);
      x += wide + 14;
    }
  });
}

// What the live bytes would be had nothing left, where that is more.
function drawGhost(pane, c, Y) {
  const live = columnsOf(pane, pane.plan.live), ghost = columnsOf(pane, pane.plan.ghost);
  c.beginPath();
  for (let x = 0; x < live.length; x++) {
    if (ghost[x] <= live[x]) continue;
    const y = Y(ghost[x]);
    if (x && ghost[x - 1] > live[x - 1]) c.lineTo(pane.left + x, y); else c.moveTo(pane.left + x, Y(live[x])), c.lineTo(pane.left + x, y);
    c.lineTo(pane.left + x + 1, y);
    if (!(ghost[x + 1] > live[x + 1])) c.lineTo(pane.left + x + 1, Y(live[x]));
  }
  c.setLineDash([3, 2]); c.strokeStyle = Theme.get("ghost"); c.lineWidth = 1.5; c.stroke(); c.setLineDash([]);
}

function area(c, pane, columns, Y, base, fill, stroke) {
  c.beginPath();
  c.moveTo(pane.left, base);
  for (let x = 0; x < columns.length; x++) { const y = Y(columns[x]); c.lineTo(pane.left + x, y); c.lineTo(pane.left + x + 1, y); }
  c.lineTo(pane.left + columns.length, base); c.fillStyle = fill; c.fill();
  c.strokeStyle = stroke; c.lineWidth = 1.25; c.stroke();
}

// Bytes moved by step: loads upwards, stores downwards, compulsory ones paler.
function drawMoves(pane, c) {
  const { plan } = pane, lane = pane.lanes.moves, middle = lane.top + lane.height / 2, half = lane.height / 2 - 2;
  clip(c, pane, lane, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, lane.top, pane.width, lane.height);
    for (const [store, spilled] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
      const columns = columnsOf(pane, pane.traffic[2 * store + spilled]);
      c.fillStyle = Theme.get(store ? "store" : "load");
      c.globalAlpha = spilled ? 1 : 0.35;
      for (let x = 0; x < columns.length; x++) {
        if (!columns[x]) continue;
        const high = Math.max(2, half * Math.sqrt(columns[x] / pane.mostMoved));
        c.fillRect(pane.left + x, store ? middle : middle - high, 1, high);
      }
    }
    c.globalAlpha = 1;
    line(c, pane.left, middle + 0.5, pane.left + pane.width, middle + 0.5, Theme.get("line-strong"));
  });
}

// The timeline: ops with the waits between them, and the copies of each kind.
function drawTimeline(pane, c) {
  const { plan, view } = pane, times = plan.timeline;
  const compute = pane.lanes.compute;
  clip(c, pane, compute, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, compute.top, pane.width, compute.height);
    for (let t = plan.stepAt(view.x0); t < plan.n && plan.edge[t] < view.x1; t++) {
      const a = pane.X(plan.edge[t]), b = pane.X(plan.atTime(times.ops[t][0])), d = pane.X(plan.edge[t + 1]);
      if (b - a > 0.3) { c.fillStyle = Theme.get("stall"); c.fillRect(a, compute.top, b - a, compute.height); }
      c.fillStyle = State.step === t && State.plan === plan ? Theme.get("accent") : Theme.get(pane.fromHost[t] ? "compute" : "curve");
      c.fillRect(b, compute.top + 1, Math.max(0.6, d - b - (d - b > 4 ? 1 : 0)), compute.height - 2);
      if (d - b > 34) { c.fillStyle = "#fff"; c.font = FONT; c.textBaseline = "middle"; c.fillText(fitted(c, O.name[plan.schedule[t]], d - b - 8), Math.max(b, pane.left) + 4, compute.top + compute.height / 2 + 0.5); }
    }
  });
  for (const [key, wanted] of [["loads", 0], ["stores", 1]]) {
    const lane = pane.lanes[key];
    clip(c, pane, lane, () => {
      c.fillStyle = Theme.get("sunken");
      c.fillRect(pane.left, lane.top, pane.width, lane.height);
      plan.moves.forEach(([store, t, , , spilled], i) => {
        if (store !== wanted) return;
        const [a, b] = plan.moveSpan(i);
        if (b < view.x0 || a > view.x1) return;
        const x = pane.X(a), w = Math.max(0.8, pane.X(b) - x);
        c.globalAlpha = State.active && !State.match[t] ? 0.15 : spilled ? 1 : 0.55;
        c.fillStyle = Theme.get(store ? "store" : "load");
        c.fillRect(x, lane.top + 1, w - (w > 4 ? 1 : 0), lane.height - 2);
        if (w > 40) { c.fillStyle = Theme.dark ? "#08131f" : "#fff"; c.globalAlpha = 1; c.font = SMALL; c.textBaseline = "middle"; c.fillText(fitted(c, T.name[t], w - 8), Math.max(x, pane.left) + 4, lane.top + lane.height / 2 + 0.5); }
      });
      c.globalAlpha = 1;
    });
  }
}

// The whole run in small, with the part in sight.
function drawOverview(pane, c) {
  const { plan, view } = pane, lane = pane.lanes.overview;
  c.fillStyle = Theme.get("sunken");
  c.fillRect(pane.left, lane.top, pane.width, lane.height);
  const shape = pane.silhouette(), base = lane.top + lane.height;
  c.fillStyle = Theme.get("curve"); c.globalAlpha = 0.55;
  for (let x = 0; x < shape.length; x++) { const high = (lane.height - 3) * shape[x] / pane.liveTop; c.fillRect(pane.left + x, base - high, 1, high); }
  c.globalAlpha = 1;
  const a = pane.left + pane.width * view.x0 / plan.end, b = pane.left + pane.width * view.x1 / plan.end;
  c.fillStyle = Theme.get("page"); c.globalAlpha = 0.65;
  c.fillRect(pane.left, lane.top, a - pane.left, lane.height); c.fillRect(b, lane.top, pane.left + pane.width - b, lane.height);
  c.globalAlpha = 1;
  c.strokeStyle = Theme.get("accent"); c.lineWidth = 1.5;
  c.strokeRect(a + 0.75, lane.top + 0.75, Math.max(2, b - a - 1.5), lane.height - 1.5);
}

function drawAxes(pane, c) {
  const { plan } = pane, map = pane.lanes.map, ruler = pane.lanes.ruler;
  c.font = SMALL; c.fillStyle = Theme.get("muted"); c.textBaseline = "middle"; c.textAlign = "center";
  let last = -Infinity;
  for (const x of pane.ticksX()) {
    const text = plan.timed ? (x ? time(x) : "0") : count(x), at = pane.X(x), wide = c.measureText(text).width / 2;
    if (at - wide < last) continue;
    c.fillText(text, Math.min(Math.max(at, pane.left + wide), pane.left + pane.width - wide), ruler.top + ruler.height / 2);
    last = at + wide + 12;
  }
  c.textAlign = "right";
  for (const y of map ? pane.ticksY() : []) {
    const at = pane.Y(y);
    if (at < map.top - 1 || at > map.top + map.height + 1) continue;
    c.fillText(bytes(y), pane.left - 8, Math.min(Math.max(at, map.top + 6), map.top + map.height - 5));
    line(c, pane.left - 4, Math.round(at) + 0.5, pane.left, Math.round(at) + 0.5, Theme.get("line-strong"));
  }
  const live = pane.lanes.live;
  c.fillText(bytes(pane.liveTop, 3), pane.left - 8, live.top + 8);
  c.fillText("0", pane.left - 8, live.top + live.height - 5);
  c.textAlign = "left"; c.fillStyle = Theme.get("muted");
  for (const [key, text] of pane.laneNames()) if (pane.lanes[key]) c.fillText(text, 6, pane.lanes[key].top + pane.lanes[key].height / 2);
}

// What hovers above: the tensor pointed at, the one chosen, its uses and its way through host memory.
function drawOverlay(pane, c) {
  const { plan } = pane;
  if (State.step !== null && State.plan === plan && State.step < plan.n) {
    const a = pane.X(plan.edge[State.step]), b = pane.X(plan.edge[State.step + 1]);
    c.fillStyle = Theme.get("accent"); c.globalAlpha = 0.16;
    c.fillRect(a, pane.lanes.ruler.top, Math.max(1.5, b - a), pane.height - pane.lanes.ruler.top);
    c.globalAlpha = 1;
  }
  if (pane.lanes.map) clip(c, pane, pane.lanes.map, () => {
    const hovered = pane.hover?.tensor;
    if (hovered !== undefined && hovered !== null && hovered !== State.tensor) outline(pane, c, hovered, Theme.get("text"), 1.25);
    if (State.tensor !== null) outline(pane, c, State.tensor, Theme.get("accent"), 2.5);
  });
  if (pane.hover) line(c, Math.round(pane.hover.x) + 0.5, pane.lanes.ruler.top, Math.round(pane.hover.x) + 0.5, pane.height, Theme.get("faint"), 1, [2, 3]);
  if (pane.zoomBox) {
    const [x0, y0, x1, y1] = pane.zoomBox;
    c.fillStyle = Theme.get("accent"); c.globalAlpha = 0.15; c.fillRect(x0, y0, x1 - x0, y1 - y0); c.globalAlpha = 1;
    c.strokeStyle = Theme.get("accent"); c.lineWidth = 1; c.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
}

function outline(pane, c, root, colour, width) {
  const { plan } = pane, parts = plan.placed.get(root) ?? [];
  c.lineWidth = width; c.strokeStyle = colour;
  let before = null;
  for (const i of parts) {
    const [x, y, w, h] = pane.box(i);
    c.strokeRect(x, y, Math.max(1, w - 1), Math.max(1, h - 1));
    if (before) {
      const [bx, by, bw, bh] = before;
      c.setLineDash([4, 3]); c.beginPath(); c.moveTo(bx + bw, by + bh / 2);
      const bend = Math.max(20, (x - bx - bw) / 3);
      c.bezierCurveTo(bx + bw + bend, by + bh / 2, x - bend, y + h / 2, x, y + h / 2); c.stroke(); c.setLineDash([]);
    }
    before = [x, y, w, h];
  }
  c.fillStyle = colour;
  for (const step of [producerOf[root], ...usersOf(root)].filter(op => op >= 0).map(op => plan.stepOf[op])) {
    const i = parts.find(k => plan.rs[k] <= step && step < plan.re[k]);
    if (i === undefined) continue;
    const [, y, , h] = pane.box(i), x = (pane.X(plan.edge[step]) + pane.X(plan.edge[step + 1])) / 2;
    c.beginPath(); c.arc(x, y + h - Math.min(6, h / 2), Math.min(3, Math.max(1, h / 3)), 0, 7); c.fill();
  }
}
