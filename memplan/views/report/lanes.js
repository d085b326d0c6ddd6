// The lanes above and below the map, each drawn by one function; where steps are finer than pixels,
// one bar per pixel column.

function drawGridLines(pane, c, lane) {
  c.strokeStyle = Theme.get("line");
  c.lineWidth = 1;
  c.beginPath();
  for (const x of pane.ticksX()) {
    const at = Math.round(pane.X(x)) + 0.5;
    c.moveTo(at, lane.top);
    c.lineTo(at, lane.top + lane.height);
  }
  c.stroke();
}

function line(c, x0, y0, x1, y1, colour, width = 1, dash = []) {
  c.strokeStyle = colour;
  c.lineWidth = width;
  c.setLineDash(dash);
  c.beginPath();
  c.moveTo(x0, y0);
  c.lineTo(x1, y1);
  c.stroke();
  c.setLineDash([]);
}

function clip(c, pane, lane, draw) {
  c.save();
  c.beginPath();
  c.rect(pane.left, lane.top, pane.width, lane.height);
  c.clip();
  draw();
  c.restore();
}

// Largest value per pixel column of the part of an axis in sight: exact where steps are wide, never hiding a peak.
function columnsOf(pane, values) {
  const { plan, view } = pane;
  const columns = new Float64Array(Math.ceil(pane.width) + 1);
  for (let t = plan.stepAt(view.x0); t < plan.n && plan.edge[t] < view.x1; t++) {
    const a = Math.max(0, Math.floor(pane.X(plan.edge[t]) - pane.left));
    const b = Math.min(columns.length, Math.max(a + 1, Math.ceil(pane.X(plan.edge[t + 1]) - pane.left)));
    for (let x = a; x < b; x++) if (values[t] > columns[x]) columns[x] = values[t];
  }
  return columns;
}

function drawLive(pane, c) {
  const { plan } = pane;
  const lane = pane.lanes.live;
  const base = lane.top + lane.height;
  const Y = value => base - (value / pane.liveTop) * (lane.height - 6);
  clip(c, pane, lane, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, lane.top, pane.width, lane.height);
    drawGridLines(pane, c, lane);
    area(c, pane, columnsOf(pane, pane.map.live), Y, base, Theme.get("curve-fill"), Theme.get("curve"));
    if (plan.spills.length && !pane.shown) drawGhost(pane, c, Y);
    c.font = SMALL;
    c.textBaseline = "alphabetic";
    const limits = pane.limits().map(row => [...row, Math.round(Y(row[1])) + 0.5]);
    for (const [, , colour, dash, y] of limits)
      line(c, pane.left, y, pane.left + pane.width, y, colour, dash.length ? 1 : 1.5, dash);
    let x = pane.left + 6;
    for (const [name, value, colour, , y] of limits) {
      const text = `${name}  ${bytes(value)}`;
      const wide = c.measureText(text).width;
      const at = Math.max(y - 4, lane.top + 10);
      c.globalAlpha = 0.9;
      c.fillStyle = Theme.get("sunken");
      c.fillRect(x - 3, at - 9, wide + 6, 12);
      c.globalAlpha = 1;
      c.fillStyle = colour;
      c.fillText(text, x, at);
      x += wide + 14;
    }
  });
}

// What the live bytes would be had nothing left, where that is more.
function drawGhost(pane, c, Y) {
  const live = columnsOf(pane, pane.map.live);
  const ghost = columnsOf(pane, pane.plan.liveWithoutSpills);
  c.beginPath();
  for (let x = 0; x < live.length; x++) {
    if (ghost[x] <= live[x]) continue;
    const y = Y(ghost[x]);
    if (x && ghost[x - 1] > live[x - 1]) c.lineTo(pane.left + x, y);
    else (c.moveTo(pane.left + x, Y(live[x])), c.lineTo(pane.left + x, y));
    c.lineTo(pane.left + x + 1, y);
    if (!(ghost[x + 1] > live[x + 1])) c.lineTo(pane.left + x + 1, Y(live[x]));
  }
  c.setLineDash([3, 2]);
  c.strokeStyle = Theme.get("ghost");
  c.lineWidth = 1.5;
  c.stroke();
  c.setLineDash([]);
}

function area(c, pane, columns, Y, base, fill, stroke) {
  c.beginPath();
  c.moveTo(pane.left, base);
  for (let x = 0; x < columns.length; x++) {
    const y = Y(columns[x]);
    c.lineTo(pane.left + x, y);
    c.lineTo(pane.left + x + 1, y);
  }
  c.lineTo(pane.left + columns.length, base);
  c.fillStyle = fill;
  c.fill();
  c.strokeStyle = stroke;
  c.lineWidth = 1.25;
  c.stroke();
}

// Bytes moved by step: loads upwards, stores downwards, compulsory ones paler.
function drawMoves(pane, c) {
  const { plan } = pane;
  const lane = pane.lanes.moves;
  const middle = lane.top + lane.height / 2;
  const half = lane.height / 2 - 2;
  clip(c, pane, lane, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, lane.top, pane.width, lane.height);
    for (const [store, spilled] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ]) {
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

// The timeline: ops with the waits between them, and the copies of each queue.
function drawTimeline(pane, c) {
  const { plan, view } = pane;
  const times = plan.timeline;
  const compute = pane.lanes.compute;
  clip(c, pane, compute, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, compute.top, pane.width, compute.height);
    for (let t = plan.stepAt(view.x0); t < plan.n && plan.edge[t] < view.x1; t++) {
      const a = pane.X(plan.edge[t]);
      const b = pane.X(plan.atTime(times.ops[t][0]));
      const d = pane.X(plan.edge[t + 1]);
      if (b - a > 0.3) {
        c.fillStyle = Theme.get("stall");
        c.fillRect(a, compute.top, b - a, compute.height);
      }
      c.fillStyle =
        State.step === t && State.plan === plan
          ? Theme.get("accent")
          : Theme.get(plan.outside[t] ? "compute" : "curve");
      c.fillRect(b, compute.top + 1, Math.max(0.6, d - b - (d - b > 4 ? 1 : 0)), compute.height - 2);
      if (d - b > 34) {
        c.fillStyle = "#fff";
        c.font = FONT;
        c.textBaseline = "middle";
        c.fillText(
          fitted(c, O.name[plan.schedule[t]], d - b - 8),
          Math.max(b, pane.left) + 4,
          compute.top + compute.height / 2 + 0.5,
        );
      }
    }
  });
  plan.queues.forEach((queue, k) => drawQueue(pane, c, pane.lanes["queue" + k], queue));
}

// The copies of one queue, one after another: to faster memories and to slower ones.
function drawQueue(pane, c, lane, queue) {
  const { plan, view } = pane;
  clip(c, pane, lane, () => {
    c.fillStyle = Theme.get("sunken");
    c.fillRect(pane.left, lane.top, pane.width, lane.height);
    plan.moves.forEach((move, i) => {
      if (move.queue !== queue) return;
      const [a, b] = plan.moveSpan(i);
      if (b < view.x0 || a > view.x1) return;
      const w = Math.max(0.8, pane.X(b) - pane.X(a));
      const x = Math.min(pane.X(a), pane.left + pane.width - w); // those after the last op at the end of the steps
      c.globalAlpha = State.active && !State.match[move.tensor] ? 0.15 : move.spill ? 1 : 0.55;
      c.fillStyle = Theme.get(move.store ? "store" : "load");
      c.fillRect(x, lane.top + 1, w - (w > 4 ? 1 : 0), lane.height - 2);
      if (w > 40) {
        c.fillStyle = Theme.dark ? "#08131f" : "#fff";
        c.globalAlpha = 1;
        c.font = SMALL;
        c.textBaseline = "middle";
        c.fillText(fitted(c, T.name[move.tensor], w - 8), Math.max(x, pane.left) + 4, lane.top + lane.height / 2 + 0.5);
      }
    });
    c.globalAlpha = 1;
  });
}

// The whole run in small, with the part in sight.
function drawOverview(pane, c) {
  const { plan, view } = pane;
  const lane = pane.lanes.overview;
  c.fillStyle = Theme.get("sunken");
  c.fillRect(pane.left, lane.top, pane.width, lane.height);
  const shape = pane.silhouette();
  const base = lane.top + lane.height;
  c.fillStyle = Theme.get("curve");
  c.globalAlpha = 0.55;
  for (let x = 0; x < shape.length; x++) {
    const high = ((lane.height - 3) * shape[x]) / pane.liveTop;
    c.fillRect(pane.left + x, base - high, 1, high);
  }
  c.globalAlpha = 1;
  const a = pane.left + (pane.width * view.x0) / plan.end;
  const b = pane.left + (pane.width * view.x1) / plan.end;
  c.fillStyle = Theme.get("page");
  c.globalAlpha = 0.65;
  c.fillRect(pane.left, lane.top, a - pane.left, lane.height);
  c.fillRect(b, lane.top, pane.left + pane.width - b, lane.height);
  c.globalAlpha = 1;
  c.strokeStyle = Theme.get("accent");
  c.lineWidth = 1.5;
  c.strokeRect(a + 0.75, lane.top + 0.75, Math.max(2, b - a - 1.5), lane.height - 1.5);
}

// Steps that execute an op again, as a bar below their numbers.
function drawAgain(pane, c) {
  const { plan, view } = pane;
  const { top, height } = pane.lanes.ruler;
  c.fillStyle = Theme.get("again");
  for (const t of plan.again) {
    if (plan.edge[t + 1] <= view.x0 || plan.edge[t] >= view.x1) continue;
    const x = pane.X(plan.edge[t]);
    c.fillRect(x, top + height - 3, Math.max(2, pane.X(plan.edge[t + 1]) - x), 3);
  }
}

function drawAxes(pane, c) {
  const { plan } = pane;
  clip(c, pane, pane.lanes.ruler, () => drawAgain(pane, c));
  const ruler = pane.lanes.ruler;
  c.font = SMALL;
  c.fillStyle = Theme.get("muted");
  c.textBaseline = "middle";
  c.textAlign = "center";
  let last = -Infinity;
  for (const x of pane.ticksX()) {
    const text = plan.timed ? (x ? time(x) : "0") : count(x);
    const at = pane.X(x);
    const wide = c.measureText(text).width / 2;
    if (at - wide < last) continue;
    c.fillText(
      text,
      Math.min(Math.max(at, pane.left + wide), pane.left + pane.width - wide),
      ruler.top + ruler.height / 2,
    );
    last = at + wide + 12;
  }
  c.textAlign = "right";
  plan.maps.forEach((_, m) => {
    const map = pane.lanes["map" + m];
    for (const y of map ? pane.ticksY(m) : []) {
      const at = pane.Y(y, m);
      if (at < map.top - 1 || at > map.top + map.height + 1) continue;
      c.fillText(bytes(y), pane.left - 8, Math.min(Math.max(at, map.top + 6), map.top + map.height - 5));
      line(c, pane.left - 4, Math.round(at) + 0.5, pane.left, Math.round(at) + 0.5, Theme.get("line-strong"));
    }
  });
  const live = pane.lanes.live;
  c.fillText(bytes(pane.liveTop, 3), pane.left - 8, live.top + 8);
  c.fillText("0", pane.left - 8, live.top + live.height - 5);
  c.textAlign = "left";
  c.fillStyle = Theme.get("muted");
  for (const [key, text] of pane.laneNames())
    if (pane.lanes[key])
      c.fillText(fitted(c, text, pane.left - 10), 6, pane.lanes[key].top + pane.lanes[key].height / 2);
}
