// A pane: one plan on one canvas with an overlay, its lanes and its view.

class Pane {
  constructor(plan, panes) {
    Object.assign(this, { plan, panes, left: 78, hover: null, zoomBox: null });
    this.base = el("canvas", { "aria-hidden": "true" });
    this.over = el("canvas", {
      class: "over",
      tabIndex: 0,
      role: "application",
      "aria-label": `Memory map of plan ${plan.label}: steps across, addresses upwards. Press ? for the keys.`,
    });
    this.tip = el("div", { class: "tip", hidden: true });
    this.stage = el("div", { class: "stage" }, this.base, this.over, this.tip);
    this.node = el("section", { class: "pane" }, this.stage);
    this.prepare();
    listenToMouse(this);
    new ResizeObserver(() => this.resize()).observe(this.stage);
  }

  // Figures that do not change with the view.
  prepare() {
    const { plan } = this;
    this.traffic = [0, 1, 2, 3].map(() => new Float64Array(plan.n));
    for (const [store, t, , due, spilled] of plan.moves)
      this.traffic[2 * store + spilled][due - store] += T.nbytes[t];
    this.mostMoved = this.traffic.reduce((most, list) => list.reduce((a, b) => Math.max(a, b), most), 1);
    this.fromHost = new Float64Array(plan.n);
    if (plan.target.operands === "any") {
      plan.schedule.forEach((op, t) => {
        if (O.view[op]) return;
        for (const root of new Set([...O.inputs[op], ...O.outputs[op]].map(x => T.root[x]))) {
          if (T.kind[root] === 1 && plan.options.weights === "ignore") continue;
          const inside = plan.placed.get(root)?.some(i => plan.rs[i] <= t && t < plan.re[i]);
          if (!inside) this.fromHost[t] += T.nbytes[root];
        }
      });
    }
    const marks = [plan.livePeak, plan.limit, ...this.budgetRows().map(row => row[1])].filter(
      v => v && v < 20 * Math.max(1, plan.livePeak),
    );
    this.liveTop =
      1.08 *
      Math.max(
        1,
        ...marks,
        plan.liveWithoutSpills.reduce((a, b) => Math.max(a, b), 0),
      );
    this.fit();
  }

  budgetRows() {
    const { mr, mh, mp, proved } = this.plan.budgets;
    return [
      ["M_R", mr],
      ["M_H", mh],
      [proved ? "M_P" : "M_P ≤", mp],
    ].filter(row => row[1] !== null);
  }

  // Lines over the live bytes: name, bytes, colour, dash. Equal ones share a line.
  limits() {
    const rows = [];
    if (this.plan.limit !== null && this.plan.limit <= this.liveTop)
      rows.push(["capacity", this.plan.limit, Theme.get("limit"), []]);
    for (const [name, value] of this.budgetRows()) {
      const same = rows.find(row => row[1] === value);
      if (same) same[0] += " = " + name;
      else if (value <= this.liveTop) rows.push([name, value, Theme.get("muted"), [6, 4]]);
    }
    return rows;
  }

  laneNames() {
    return [
      ["compute", "compute"],
      ["loads", "DMA load"],
      ["stores", "DMA store"],
      ["moves", "moved"],
      ["ruler", this.plan.timed ? "time" : "step"],
    ];
  }

  // ---- layout ----

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.scale = this.forced ?? (window.devicePixelRatio || 1);
    for (const canvas of [this.base, this.over]) {
      canvas.width = width * this.scale;
      canvas.height = height * this.scale;
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
    }
    this.width = width - this.left - 10;
    this.height = height;
    const timed = Boolean(this.plan.timeline);
    const small = height < 420;
    const rest = this.plan.sketch ? "live" : "map"; // the lane that takes what the others leave
    const heights = [
      ["overview", 26],
      ["ruler", 20],
      ...(timed
        ? [
            ["compute", 20],
            ["loads", 15],
            ["stores", 15],
          ]
        : []),
      ["map", 1],
      ["moves", this.plan.moves.length && !timed ? (small ? 28 : 40) : 0],
      ["live", small ? 64 : 96],
    ].filter(([key, high]) => high && !(key === "map" && this.plan.sketch));
    const fixed = heights.reduce((sum, [key, high]) => sum + (key === rest ? 0 : high) + 6, 0);
    this.lanes = {};
    let top = 2;
    for (const [key, high] of heights) {
      const size = key === rest ? Math.max(60, height - fixed) : high;
      this.lanes[key] = { top, height: size };
      top += size + 6;
    }
    this.shape = null;
    this.paint();
  }

  silhouette() {
    if (!this.shape) {
      const view = this.view;
      this.view = { ...view, x0: 0, x1: this.plan.end };
      this.shape = columnsOf(this, this.plan.live);
      this.view = view;
    }
    return this.shape;
  }

  X(x) {
    return this.left + ((x - this.view.x0) / (this.view.x1 - this.view.x0)) * this.width;
  }
  Y(y) {
    const map = this.lanes.map;
    return map.top + map.height - ((y - this.view.y0) / (this.view.y1 - this.view.y0)) * map.height;
  }
  atX(px) {
    return this.view.x0 + ((px - this.left) / this.width) * (this.view.x1 - this.view.x0);
  }
  atY(py) {
    const map = this.lanes.map;
    return this.view.y0 + ((map.top + map.height - py) / map.height) * (this.view.y1 - this.view.y0);
  }

  box(i) {
    const { plan } = this;
    const x = this.X(plan.edge[plan.rs[i]]);
    const y = this.Y(plan.ro[i] + plan.rz[i]);
    return [x, y, this.X(plan.edge[plan.re[i]]) - x, this.Y(plan.ro[i]) - y];
  }

  ticksX() {
    const span = this.view.x1 - this.view.x0;
    const step = this.plan.timed ? tickStep(span, this.width / 90) : Math.max(1, tickStep(span, this.width / 80));
    const ticks = [];
    for (let x = Math.ceil(this.view.x0 / step) * step; x <= this.view.x1; x += step) ticks.push(x);
    return ticks;
  }

  ticksY() {
    const span = this.view.y1 - this.view.y0;
    const step = tickStep(span, this.lanes.map.height / 44, true);
    const ticks = [];
    for (let y = Math.ceil(this.view.y0 / step) * step; y <= this.view.y1; y += step) ticks.push(y);
    return ticks;
  }

  // ---- painting ----

  paint(overlayOnly = false) {
    this.dirty = this.dirty || !overlayOnly;
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.paintNow();
    });
  }

  paintNow() {
    if (!this.lanes) return;
    const begin = performance.now();
    if (this.dirty) {
      this.dirty = false;
      const c = this.start(this.base);
      drawOverview(this, c);
      drawAxes(this, c);
      if (this.plan.timeline) drawTimeline(this, c);
      if (this.lanes.map) drawMap(this, c);
      if (this.lanes.moves) drawMoves(this, c);
      drawLive(this, c);
      this.drawMs = performance.now() - begin;
    }
    drawOverlay(this, this.start(this.over));
  }

  start(canvas) {
    const c = canvas.getContext("2d");
    c.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    c.clearRect(0, 0, canvas.width, canvas.height);
    return c;
  }

  // ---- view ----

  fit() {
    this.view = { x0: 0, x1: this.plan.end, y0: 0, y1: this.plan.top * 1.02 };
  }

  look(next, linked = true) {
    const { plan } = this;
    const least = plan.timed ? plan.end / Math.max(1, plan.n) / 8 : Math.min(2, plan.n);
    let { x0, x1, y0, y1 } = { ...this.view, ...next };
    const wide = Math.min(plan.end, Math.max(least, x1 - x0));
    if (wide !== x1 - x0) {
      const middle = (x0 + x1) / 2;
      x0 = middle - wide / 2;
    }
    x0 = Math.min(Math.max(0, x0), plan.end - wide);
    x1 = x0 + wide;
    const most = plan.top * 1.02;
    const high = Math.min(most, Math.max(Math.min(most, 16), y1 - y0));
    if (high !== y1 - y0) {
      const middle = (y0 + y1) / 2;
      y0 = middle - high / 2;
    }
    y0 = Math.min(Math.max(0, y0), most - high);
    y1 = y0 + high;
    this.view = { x0, x1, y0, y1 };
    this.paint();
    if (linked && State.linked) for (const other of this.panes) if (other !== this) this.lead(other);
  }

  // Show the same steps, or times, and addresses in another pane; the same share where the axes differ.
  lead(other) {
    const { x0, x1, y0, y1 } = this.view;
    const x = other.plan.timed === this.plan.timed ? 1 : other.plan.end / this.plan.end;
    const y = other.plan.top / this.plan.top;
    other.look({ x0: x0 * x, x1: x1 * x, y0: y0 * y, y1: y1 * y }, false);
  }

  glide(next, linked = true) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.look(next, linked);
    const from = this.view;
    const to = { ...from, ...next };
    const begin = performance.now();
    const tick = now => {
      const p = Math.min(1, (now - begin) / 140);
      const e = 1 - (1 - p) ** 3;
      const at = {};
      for (const key of ["x0", "x1", "y0", "y1"]) at[key] = from[key] + (to[key] - from[key]) * e;
      this.look(at, linked);
      if (p < 1 && this.gliding === tick) requestAnimationFrame(tick);
    };
    this.gliding = tick;
    requestAnimationFrame(tick);
  }

  zoom(factor, x = (this.view.x0 + this.view.x1) / 2, y = null, alongX = true) {
    const { x0, x1, y0, y1 } = this.view;
    const next = {};
    if (alongX) Object.assign(next, { x0: x - (x - x0) * factor, x1: x + (x1 - x) * factor });
    if (y !== null) Object.assign(next, { y0: y - (y - y0) * factor, y1: y + (y1 - y) * factor });
    this.look(next);
  }

  pan(dx, dy = 0) {
    const wide = this.view.x1 - this.view.x0;
    const high = this.view.y1 - this.view.y0;
    this.look({
      x0: this.view.x0 + dx * wide,
      x1: this.view.x1 + dx * wide,
      y0: this.view.y0 + dy * high,
      y1: this.view.y1 + dy * high,
    });
  }

  home() {
    for (const pane of State.linked ? this.panes : [this])
      pane.glide({ x0: 0, x1: pane.plan.end, y0: 0, y1: pane.plan.top * 1.02 }, false);
  }

  // Bring a storage into sight; `close` zooms in on it.
  show(root, close = false) {
    const { plan } = this;
    const parts = plan.placed.get(root);
    if (!parts) return;
    const x0 = plan.edge[plan.rs[parts[0]]];
    const x1 = plan.edge[plan.re[parts.at(-1)]];
    const y0 = Math.min(...parts.map(i => plan.ro[i]));
    const y1 = Math.max(...parts.map(i => plan.ro[i] + plan.rz[i]));
    if (close)
      return this.glide({
        x0: x0 - 0.4 * (x1 - x0),
        x1: x1 + 0.4 * (x1 - x0),
        y0: y0 - 0.6 * (y1 - y0),
        y1: y1 + 0.6 * (y1 - y0),
      });
    const next = {};
    const wide = this.view.x1 - this.view.x0;
    const high = this.view.y1 - this.view.y0;
    if (x1 <= this.view.x0 || x0 >= this.view.x1)
      Object.assign(next, { x0: (x0 + x1 - wide) / 2, x1: (x0 + x1 + wide) / 2 });
    if (y1 <= this.view.y0 || y0 >= this.view.y1)
      Object.assign(next, { y0: (y0 + y1 - high) / 2, y1: (y0 + y1 + high) / 2 });
    if (Object.keys(next).length) this.glide(next);
  }
}
