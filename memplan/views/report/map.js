// The memory maps: boxes of residencies, marks where they come from and go to, ways, names.
// Only what is in sight, and only as finely as pixels allow.

// Text cut in the middle so that it fits `width` pixels; "" where no use is left.
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  const keep = Math.floor(width / 6.2) - 1;
  if (keep < 6) return "";
  const head = Math.ceil(keep * 0.4);
  return text.slice(0, head) + "…" + text.slice(text.length - (keep - head));
}

// The maps of all addressed memories, one below the other, then what leads from one to another.
function drawMaps(pane, c) {
  const all = pane.plan.maps.map((_, m) => m);
  for (const m of all) if (pane.lanes["map" + m]) drawMap(pane, c, m);
  drawWays(pane, c);
  for (const m of all) if (pane.lanes["head" + m]) drawMapHead(pane, c, m);
}

// Which memory it is, and how full it gets.
function drawMapHead(pane, c, m) {
  const map = pane.plan.maps[m];
  const lane = pane.lanes["head" + m];
  const residencies = map.boxes.filter(i => !pane.plan.isPart(i)).length;
  const share = map.capacity === null ? ", no limit" : ` of ${bytes(map.capacity)}`;
  const notes = residencies
    ? `peak ${bytes(map.peak)}${share} · ${residencies === 1 ? "1 residency" : count(residencies) + " residencies"}`
    : "nothing lies here";
  const y = lane.top + lane.height / 2;
  c.textBaseline = "middle";
  c.font = "600 " + FONT;
  const name = fitted(c, map.name, pane.width * 0.4) || map.name.slice(0, 6);
  const wide = c.measureText(name).width;
  c.font = SMALL;
  const note = fitted(c, notes, pane.width - wide - 10);
  c.fillStyle = Theme.get("surface"); // over the ways that cross it
  c.fillRect(pane.left - 2, lane.top, wide + c.measureText(note).width + 14, lane.height);
  c.fillStyle = Theme.get("muted");
  c.fillText(note, pane.left + wide + 8, y);
  c.font = "600 " + FONT;
  c.fillStyle = Theme.get("text");
  c.fillText(name, pane.left, y);
}

function drawMap(pane, c, m) {
  const { plan, view } = pane;
  const lane = pane.lanes["map" + m];
  const [y0, y1] = view.y[m];
  clip(c, pane, lane, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, lane.top, pane.width, lane.height);
    drawGridLines(pane, c, lane);
    const seen = [];
    const parts = [];
    const buckets = new Map();
    const spilled = new Map();
    const dim = [];
    const perPixel = pane.width / (view.x1 - view.x0);
    const tallest = new Float64Array((Math.ceil(pane.width) + 1) * (Math.ceil(lane.height) + 1));
    for (const i of plan.maps[m].boxes) {
      const x0 = plan.edge[plan.rs[i]];
      const x1 = plan.edge[plan.re[i]];
      if (x1 <= view.x0 || x0 >= view.x1 || plan.ro[i] >= y1 || plan.ro[i] + plan.rz[i] <= y0) continue;
      if (State.active && !State.match[plan.rt[i]]) {
        dim.push(i);
        continue;
      }
      const leaves = plan.role[plan.rt[i]] === ROLE.spilled;
      if (!leaves && (x1 - x0) * perPixel < 1) {
        // Thinner than a pixel: of those that end at the same pixel the tallest is enough.
        const at =
          Math.max(0, ((x0 - view.x0) * perPixel) | 0) * (Math.ceil(lane.height) + 1) +
          Math.max(0, Math.min(lane.height, pane.Y(plan.ro[i], m) - lane.top) | 0);
        if (tallest[at] >= plan.rz[i]) continue;
        tallest[at] = plan.rz[i];
      }
      seen.push(i);
      if (plan.isPart(i)) {
        parts.push(i);
        continue;
      }
      const colour = Colours.of(plan, i);
      const into = leaves ? spilled : buckets;
      if (!into.has(colour)) into.set(colour, []);
      into.get(colour).push(i);
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
    for (const i of parts) drawPart(pane, c, i);
    for (const over of plan.overs) {
      const inSight = plan.edge[over[0]] < view.x1 && plan.edge[over[0] + 1] > view.x0;
      if (inSight && plan.mapAt[plan.rm[over[1]]] === m) drawOver(pane, c, over);
    }
    drawMarks(pane, c, seen);
    drawLabels(pane, c, seen, lane);
    drawCapacity(pane, c, lane, m);
  });
}

// The step in which a box is written over another: both halves of what they share.
function drawOver(pane, c, [step, output, operand]) {
  const { plan } = pane;
  if (State.active && !(State.match[plan.rt[output]] && State.match[plan.rt[operand]])) return;
  const [, y, , h] = pane.box(operand);
  const x = pane.X(plan.edge[step]);
  const w = pane.X(plan.edge[step + 1]) - x;
  if (w < 3 || h < 3) return;
  c.fillStyle = Colours.of(plan, output);
  c.fillRect(x, y, w - 1, h - 1);
  c.fillStyle = Colours.of(plan, operand);
  c.strokeStyle = Theme.get("sunken");
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(x - 1, y);
  c.lineTo(x + w - 1, y + h - 1);
  c.lineTo(x - 1, y + h - 1);
  c.fill();
  c.beginPath();
  c.moveTo(x, y);
  c.lineTo(x + w - 1, y + h - 1);
  c.stroke();
}

// A part inside its joined output: framed, so that the output is seen around it.
function drawPart(pane, c, i) {
  const [x, y, w, h] = pane.box(i);
  const inset = Math.min(2, w / 8, h / 8);
  c.fillStyle = Colours.of(pane.plan, i);
  c.strokeStyle = Theme.get("joined");
  c.lineWidth = 1.25;
  c.beginPath();
  c.rect(x + inset, y + inset, Math.max(0.7, w - 2 * inset - 1), Math.max(0.7, h - 2 * inset - 1));
  c.fill();
  if (w > 6 && h > 6) c.stroke();
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

// Wedges where a box comes from another memory without need, at its begin, and where it goes to a slower one, at its
// end; a bar over boxes that an op wrote when it was executed again.
function drawMarks(pane, c, seen) {
  const { plan } = pane;
  for (const i of seen) {
    const [x, y, w, h] = pane.box(i);
    const size = Math.min(7, Math.max(3, h / 2));
    if (plan.rexec[i] > 1) {
      c.fillStyle = Theme.get("again");
      c.fillRect(x, y, Math.max(1, w - 1), Math.min(4, Math.max(2, h / 4)));
    }
    const arrival = plan.moves[plan.rmove[i]];
    if (arrival?.spill) wedge(c, x, y + h / 2, size, Theme.get(arrival.store ? "store" : "load"));
    if (plan.rleft[i] >= 0) wedge(c, x + w - size, y + h / 2, size, Theme.get("store"));
  }
}

// The ways between boxes, within a memory through one without addresses, where they are few enough to follow.
function drawWays(pane, c) {
  const { plan } = pane;
  const seen = plan.ways.filter(([, a]) => !State.active || State.match[plan.rt[a]]);
  if (!seen.length || seen.length > 40) return;
  clip(c, pane, pane.mapsLane(), () => {
    c.strokeStyle = Theme.get("ghost");
    c.lineWidth = 1;
    c.globalAlpha = 0.7;
    c.setLineDash([3, 3]);
    for (const way of seen) drawWay(pane, c, way);
    c.setLineDash([]);
    c.globalAlpha = 1;
  });
}

function drawWay(pane, c, [move, a, b]) {
  const { plan } = pane;
  if (!pane.isShown(a) || !pane.isShown(b)) return;
  const from = pane.box(a);
  if (plan.rm[a] !== plan.rm[b]) from[2] = pane.X(plan.edge[plan.moves[move].issue]) - from[0];
  c.beginPath();
  journey(c, from, pane.box(b));
  c.stroke();
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

function drawLabels(pane, c, seen, lane) {
  c.textBaseline = "middle";
  let room = 400;
  for (const i of seen) {
    let [x, y, w, h] = pane.box(i);
    // The names of parts, and of what it is written over, come first.
    const free = pane.plan.partedUntil.get(i) ?? pane.plan.sharedUntil.get(i);
    if (free !== undefined) {
      const begin = pane.X(pane.plan.edge[free]);
      w -= begin - x;
      x = begin;
    }
    const over = pane.plan.overAt.get(i); // where the name of what is written over it stands
    if (over !== undefined) w = pane.X(pane.plan.edge[over]) - x;
    if (w < 30 || h < 12 || room-- <= 0) continue;
    const right = Math.min(x + w, pane.left + pane.width);
    const bottom = Math.min(y + h, lane.top + lane.height);
    x = Math.max(x, pane.left);
    y = Math.max(y, lane.top);
    w = right - x;
    h = bottom - y;
    if (w < 30 || h < 12) continue;
    c.fillStyle = inkOn(Colours.of(pane.plan, i));
    c.font = FONT;
    const pad = pane.plan.moves[pane.plan.rmove[i]]?.spill ? 14 : 6;
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

function drawCapacity(pane, c, lane, m) {
  const { capacity } = pane.plan.maps[m];
  if (capacity === null) return;
  const y = Math.round(pane.Y(capacity, m)) + 0.5;
  if (y < lane.top - 1 || y > lane.top + lane.height) return;
  line(c, pane.left, y, pane.left + pane.width, y, Theme.get("limit"), 1.5);
}
