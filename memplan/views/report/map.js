// The memory map: boxes of residencies, marks where they come from host and go there, names; and the overlay.
// Only what is in sight, and only as finely as pixels allow.

// Text cut in the middle so that it fits `width` pixels; "" where no use is left.
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  const keep = Math.floor(width / 6.2) - 1;
  if (keep < 6) return "";
  const head = Math.ceil(keep * 0.4);
  return text.slice(0, head) + "…" + text.slice(text.length - (keep - head));
}

function drawMap(pane, c) {
  const { plan, view } = pane;
  const lane = pane.lanes.map;
  clip(c, pane, lane, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, lane.top, pane.width, lane.height);
    drawGridLines(pane, c, lane);
    const seen = [];
    const buckets = new Map();
    const spilled = new Map();
    const dim = [];
    const perPixel = pane.width / (view.x1 - view.x0);
    const tallest = new Float64Array((Math.ceil(pane.width) + 1) * (Math.ceil(lane.height) + 1));
    for (let i = 0; i < plan.rt.length; i++) {
      const x0 = plan.edge[plan.rs[i]];
      const x1 = plan.edge[plan.re[i]];
      if (x1 <= view.x0 || x0 >= view.x1 || plan.ro[i] >= view.y1 || plan.ro[i] + plan.rz[i] <= view.y0) continue;
      if (State.active && !State.match[plan.rt[i]]) {
        dim.push(i);
        continue;
      }
      const leaves = plan.role[plan.rt[i]] === ROLE.spilled;
      if (!leaves && (x1 - x0) * perPixel < 1) {
        // Thinner than a pixel: of those that end at the same pixel the tallest is enough.
        const at =
          Math.max(0, ((x0 - view.x0) * perPixel) | 0) * (Math.ceil(lane.height) + 1) +
          Math.max(0, Math.min(lane.height, pane.Y(plan.ro[i]) - lane.top) | 0);
        if (tallest[at] >= plan.rz[i]) continue;
        tallest[at] = plan.rz[i];
      }
      const colour = Colours.of(plan, i);
      const into = leaves ? spilled : buckets;
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
    drawJourneys(pane, c);
    drawMarks(pane, c, seen);
    drawLabels(pane, c, seen);
    drawCapacity(pane, c, lane);
  });
}

// A box with a gap to its neighbours where it is large enough to spare one.
function fillBox(c, [x, y, w, h], fine) {
  const gapX = w > 4 ? 1 : 0;
  const gapY = h > 4 ? 1 : 0;
  if (fine && w > 10 && h > 10) {
    c.beginPath();
    c.roundRect(x, y, w - gapX, h - gapY, 2.5);
    c.fill();
  } else c.fillRect(x, y, Math.max(w - gapX, 0.7), Math.max(h - gapY, 0.7));
}

// Wedges where what is spilled is loaded again, at its box's begin, and stored, at its end.
function drawMarks(pane, c, seen) {
  const { plan } = pane;
  const load = Theme.get("load");
  const store = Theme.get("store");
  for (const i of seen) {
    if (!plan.rloaded[i] && !plan.rstored[i]) continue;
    const [x, y, w, h] = pane.box(i);
    const size = Math.min(7, Math.max(3, h / 2));
    if (plan.rloaded[i]) wedge(c, x, y + h / 2, size, load);
    if (plan.rstored[i]) wedge(c, x + w - size, y + h / 2, size, store);
  }
}

// The way of what is spilled through host memory, where that are few.
function drawJourneys(pane, c) {
  const { plan } = pane;
  if (plan.spills.length > 40) return;
  c.strokeStyle = Theme.get("ghost");
  c.lineWidth = 1;
  c.globalAlpha = 0.7;
  c.setLineDash([3, 3]);
  for (const [t, , stop, , , , , , streamed] of plan.spills) {
    const parts = plan.placed.get(t);
    const k = parts.findIndex(i => plan.rs[i] === stop);
    if (streamed || k < 1 || (State.active && !State.match[t])) continue;
    c.beginPath();
    journey(c, pane.box(parts[k - 1]), pane.box(parts[k]));
    c.stroke();
  }
  c.setLineDash([]);
  c.globalAlpha = 1;
}

function journey(c, [ax, ay, aw, ah], [bx, by, , bh]) {
  const bend = Math.max(20, (bx - ax - aw) / 3);
  c.moveTo(ax + aw, ay + ah / 2);
  c.bezierCurveTo(ax + aw + bend, ay + ah / 2, bx - bend, by + bh / 2, bx, by + bh / 2);
}

function wedge(c, x, y, size, colour) {
  c.fillStyle = colour;
  c.strokeStyle = Theme.get("surface");
  c.lineWidth = 1.5;
  c.beginPath();
  c.moveTo(x, y - size);
  c.lineTo(x + size, y);
  c.lineTo(x, y + size);
  c.closePath();
  c.stroke();
  c.fill();
}

function drawLabels(pane, c, seen) {
  c.textBaseline = "middle";
  let room = 400;
  for (const i of seen) {
    let [x, y, w, h] = pane.box(i);
    if (w < 30 || h < 12 || room-- <= 0) continue;
    const right = Math.min(x + w, pane.left + pane.width);
    const bottom = Math.min(y + h, pane.lanes.map.top + pane.lanes.map.height);
    x = Math.max(x, pane.left);
    y = Math.max(y, pane.lanes.map.top);
    w = right - x;
    h = bottom - y;
    if (w < 30 || h < 12) continue;
    c.fillStyle = inkOn(Colours.of(pane.plan, i));
    c.font = FONT;
    const pad = pane.plan.rloaded[i] ? 14 : 6;
    const two = h > 30;
    const name = fitted(c, T.name[pane.plan.rt[i]], w - pad - 6);
    if (!name) continue;
    c.fillText(name, x + pad, y + h / 2 - (two ? 7 : 0));
    if (two) {
      c.globalAlpha = 0.75;
      c.font = SMALL;
      const size = bytes(T.nbytes[pane.plan.rt[i]]);
      if (c.measureText(size).width <= w - pad - 2) c.fillText(size, x + pad, y + h / 2 + 7);
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

// What hovers above: the tensor pointed at, the one chosen, its uses and its way through host memory.
function drawOverlay(pane, c) {
  const { plan } = pane;
  if (State.step !== null && State.plan === plan && State.step < plan.n) {
    const a = pane.X(plan.edge[State.step]);
    const b = pane.X(plan.edge[State.step + 1]);
    c.fillStyle = Theme.get("accent");
    c.globalAlpha = 0.16;
    c.fillRect(a, pane.lanes.ruler.top, Math.max(1.5, b - a), pane.height - pane.lanes.ruler.top);
    c.globalAlpha = 1;
  }
  if (pane.lanes.map)
    clip(c, pane, pane.lanes.map, () => {
      const hovered = pane.hover?.tensor;
      if (hovered !== undefined && hovered !== null && hovered !== State.tensor)
        outline(pane, c, hovered, Theme.get("text"), 1.25);
      if (State.tensor !== null) outline(pane, c, State.tensor, Theme.get("accent"), 2.5);
    });
  if (pane.hover)
    line(
      c,
      Math.round(pane.hover.x) + 0.5,
      pane.lanes.ruler.top,
      Math.round(pane.hover.x) + 0.5,
      pane.height,
      Theme.get("faint"),
      1,
      [2, 3],
    );
  if (pane.zoomBox) {
    const [x0, y0, x1, y1] = pane.zoomBox;
    c.fillStyle = Theme.get("accent");
    c.globalAlpha = 0.15;
    c.fillRect(x0, y0, x1 - x0, y1 - y0);
    c.globalAlpha = 1;
    c.strokeStyle = Theme.get("accent");
    c.lineWidth = 1;
    c.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
}

function outline(pane, c, root, colour, width) {
  const { plan } = pane;
  const parts = plan.placed.get(root) ?? [];
  c.lineWidth = width;
  c.strokeStyle = colour;
  let before = null;
  for (const i of parts) {
    const box = pane.box(i);
    const [x, y, w, h] = box;
    c.strokeRect(x, y, Math.max(1, w - 1), Math.max(1, h - 1));
    if (before) {
      c.setLineDash([4, 3]);
      c.beginPath();
      journey(c, before, box);
      c.stroke();
      c.setLineDash([]);
    }
    before = box;
  }
  c.fillStyle = colour;
  for (const step of [producerOf[root], ...usersOf(root)].filter(op => op >= 0).map(op => plan.stepOf[op])) {
    const i = parts.find(k => plan.rs[k] <= step && step < plan.re[k]);
    if (i === undefined) continue;
    const [, y, , h] = pane.box(i);
    const x = (pane.X(plan.edge[step]) + pane.X(plan.edge[step + 1])) / 2;
    c.beginPath();
    c.arc(x, y + h - Math.min(6, h / 2), Math.min(3, Math.max(1, h / 3)), 0, 7);
    c.fill();
  }
}
