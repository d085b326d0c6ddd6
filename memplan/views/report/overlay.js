// The overlay: drawn anew while the pointer moves, over maps that stay.

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
  if (pane.mapsLane())
    clip(c, pane, pane.mapsLane(), () => {
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
  const parts = (plan.placed.get(root) ?? []).filter(i => pane.isShown(i));
  c.lineWidth = width;
  c.strokeStyle = colour;
  for (const i of parts) {
    const [x, y, w, h] = pane.box(i);
    c.strokeRect(x, y, Math.max(1, w - 1), Math.max(1, h - 1));
  }
  c.setLineDash([4, 3]);
  for (const way of plan.ways) if (plan.rt[way[1]] === root) drawWay(pane, c, way);
  c.setLineDash([]);
  c.fillStyle = colour;
  const ops = [producerOf[root], ...usersOf(root)].filter(op => op >= 0 && !plan.joinedOps.has(op));
  for (const step of ops.flatMap(op => plan.stepsOf.get(op) ?? [])) {
    const i = parts.find(k => plan.rs[k] <= step && step < plan.re[k]);
    if (i === undefined) continue;
    const [, y, , h] = pane.box(i);
    const x = (pane.X(plan.edge[step]) + pane.X(plan.edge[step + 1])) / 2;
    c.beginPath();
    c.arc(x, y + h - Math.min(6, h / 2), Math.min(3, Math.max(1, h / 3)), 0, 7);
    c.fill();
  }
}
