// What mouse, pen and wheel do to a pane.

function laneAt(pane, y) {
  return (
    Object.keys(pane.lanes).find(key => y >= pane.lanes[key].top && y < pane.lanes[key].top + pane.lanes[key].height) ??
    null
  );
}

function underPointer(pane, px, py) {
  const { plan } = pane;
  const lane = laneAt(pane, py);
  const step = px >= pane.left ? plan.stepAt(pane.atX(px)) : null;
  const m = pane.mapOf(lane);
  const x = pane.atX(px);
  if (m !== null) {
    const y = pane.atY(py, m);
    const slack = (1.5 / pane.width) * (pane.view.x1 - pane.view.x0);
    let best = null;
    let gap = Infinity;
    for (const i of plan.maps[m].boxes) {
      if (plan.ro[i] > y || plan.ro[i] + plan.rz[i] <= y) continue;
      const a = plan.edge[plan.rs[i]];
      const b = plan.edge[plan.re[i]];
      const away = x < a ? a - x : x >= b ? x - b : 0;
      const inner = best !== null && away === gap && plan.rz[i] < plan.rz[best]; // a part before its whole
      if ((away < gap || inner) && away <= slack) {
        best = i;
        gap = away;
      }
    }
    return { lane, step, part: best, tensor: best === null ? null : plan.rt[best] };
  }
  if (lane?.startsWith("queue")) {
    const queue = plan.queues[Number(lane.slice(5))];
    const move = plan.moves.findIndex((candidate, i) => {
      if (candidate.queue !== queue) return false;
      const [a, b] = plan.moveSpan(i);
      return a <= x && x < b;
    });
    return { lane, step, move: move < 0 ? null : move, tensor: move < 0 ? null : plan.moves[move].tensor };
  }
  return { lane, step, tensor: null };
}

function listenToMouse(pane) {
  const over = pane.over;
  let drag = null;
  over.addEventListener("pointerdown", event => {
    if (event.button > 1) return;
    const lane = laneAt(pane, event.offsetY);
    drag = { x: event.offsetX, y: event.offsetY, view: pane.view, moved: false, lane, box: event.shiftKey };
    over.setPointerCapture(event.pointerId);
    pane.gliding = null;
    if (lane === "overview") centreOn(pane, event.offsetX);
  });
  over.addEventListener("pointermove", event => {
    if (drag) dragTo(pane, drag, event);
    else pointAt(pane, event.offsetX, event.offsetY);
  });
  over.addEventListener("pointerup", event => {
    if (drag && !drag.moved && drag.lane !== "overview") choosePointed(pane, event.offsetX, event.offsetY);
    if (drag?.box && pane.zoomBox) zoomToBox(pane, pane.zoomBox, drag.lane);
    drag = null;
    pane.zoomBox = null;
    pane.paint(true);
  });
  over.addEventListener("pointercancel", () => {
    drag = null;
    pane.zoomBox = null;
  });
  over.addEventListener("pointerleave", () => {
    pane.hover = null;
    pane.tip.hidden = true;
    pane.paint(true);
  });
  over.addEventListener("dblclick", event => {
    const found = underPointer(pane, event.offsetX, event.offsetY);
    if (found.tensor !== null) pane.show(found.tensor, true);
    else pane.home();
  });
  over.addEventListener(
    "wheel",
    event => {
      event.preventDefault();
      pane.gliding = null;
      const turn = event.deltaMode === 1 ? 33 : 1;
      const away = event.deltaY * turn;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
        return pane.pan(((event.deltaX || event.deltaY) * turn) / pane.width);
      const factor = Math.exp(Math.max(-200, Math.min(200, away)) * 0.0022);
      const m = pane.mapOf(laneAt(pane, event.offsetY));
      if ((event.ctrlKey || event.altKey) && m !== null) pane.zoomAddresses(factor, m, pane.atY(event.offsetY, m));
      if (!event.altKey) pane.zoom(factor, pane.atX(event.offsetX));
    },
    { passive: false },
  );
}

function dragTo(pane, drag, event) {
  const dx = event.offsetX - drag.x;
  const dy = event.offsetY - drag.y;
  if (!drag.moved && Math.hypot(dx, dy) < 4) return;
  drag.moved = true;
  pane.tip.hidden = true;
  pane.hover = null;
  if (drag.lane === "overview") return centreOn(pane, event.offsetX);
  if (drag.box) {
    pane.zoomBox = [
      Math.min(drag.x, event.offsetX),
      Math.min(drag.y, event.offsetY),
      Math.max(drag.x, event.offsetX),
      Math.max(drag.y, event.offsetY),
    ];
    return pane.paint(true);
  }
  const wide = drag.view.x1 - drag.view.x0;
  const m = pane.mapOf(drag.lane);
  pane.look({
    x0: drag.view.x0 - (dx / pane.width) * wide,
    x1: drag.view.x1 - (dx / pane.width) * wide,
    y: drag.view.y.map(([low, high], k) => {
      const by = k === m ? (dy / pane.lanes[drag.lane].height) * (high - low) : 0;
      return [low + by, high + by];
    }),
  });
}

function centreOn(pane, px) {
  const wide = pane.view.x1 - pane.view.x0;
  const middle = ((px - pane.left) / pane.width) * pane.plan.end;
  pane.look({ x0: middle - wide / 2, x1: middle + wide / 2 });
}

// The box was begun in `lane`: the addresses of no other map change.
function zoomToBox(pane, [x0, y0, x1, y1], lane) {
  const m = pane.mapOf(lane);
  const y = pane.view.y.map((range, k) => (k === m && y1 - y0 > 6 ? [pane.atY(y1, m), pane.atY(y0, m)] : range));
  pane.glide({ x0: pane.atX(x0), x1: pane.atX(x1), y });
}

function pointAt(pane, px, py) {
  if (px < pane.left || px > pane.left + pane.width) {
    pane.hover = null;
    pane.tip.hidden = true;
    return pane.paint(true);
  }
  const found = underPointer(pane, px, py);
  pane.hover = { ...found, x: px };
  const content = tipFor(pane, found);
  pane.tip.hidden = !content;
  if (content) {
    pane.tip.replaceChildren(...content);
    const right = px + 18 + pane.tip.offsetWidth > pane.stage.clientWidth;
    pane.tip.style.left = (right ? Math.max(4, px - 14 - pane.tip.offsetWidth) : px + 16) + "px";
    pane.tip.style.top = Math.max(4, Math.min(py + 14, pane.stage.clientHeight - pane.tip.offsetHeight - 4)) + "px";
  }
  const clickable = found.tensor !== null || found.lane?.startsWith("head");
  pane.over.style.cursor = found.lane === "overview" ? "ew-resize" : clickable ? "pointer" : "crosshair";
  pane.paint(true);
}

function choosePointed(pane, px, py) {
  if (px < pane.left) return;
  const found = underPointer(pane, px, py);
  if (found.lane?.startsWith("head")) {
    pane.showLive(Number(found.lane.slice(4)));
    pane.paint();
  } else if (found.tensor !== null) State.set({ tensor: found.tensor, step: null, plan: pane.plan });
  else if (pane.mapOf(found.lane) !== null) State.set({ tensor: null, step: null, plan: pane.plan });
  else State.set({ tensor: null, step: found.step, plan: pane.plan });
}
