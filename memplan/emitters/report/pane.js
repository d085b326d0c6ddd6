// A pane: one plan on one canvas with an overlay, its lanes, its view, and what mouse and wheel do to it.

class Pane {
  constructor(plan, panes) {
    Object.assign(this, { plan, panes, left: 78, hover: null, zoomBox: null });
    this.base = el("canvas", { "aria-hidden": "true" });
    this.over = el("canvas", { class: "over", tabIndex: 0, role: "application",
      "aria-label": `Memory map of plan ${plan.label}: steps across, addresses upwards. Press ? for the keys.` });
    this.tip = el("div", { class: "tip", hidden: true });
    this.stage = el("div", { class: "stage" }, this.base, this.over, this.tip);
    this.node = el("section", { class: "pane" }, this.stage);
    this.prepare();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.stage);
  }

  // Figures that do not change with the view.
  prepare() {
    const { plan } = this;
    this.traffic = [0, 1, 2, 3].map(() => new Float64Array(plan.n));
    for (const [store, t, , due, spilled] of plan.moves) this.traffic[2 * store + spilled][Math.min(due, plan.n - 1)] += T.nbytes[t];
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
    const marks = [plan.livePeak, plan.limit, ...this.budgetRows().map(row => row[1])].filter(v => v && v < 20 * Math.max(1, plan.livePeak));
    this.liveTop = 1.08 * Math.max(1, ...marks, plan.ghost.reduce((a, b) => Math.max(a, b), 0));
    this.fit();
  }

  budgetRows() {
    const { mr, mh, mp, proved } = this.plan.budgets;
    return [["M_R", mr], ["M_H", mh], [proved ? "M_P" : "M_P ≤", mp]].filter(row => row[1] !== null);
  }

  // Lines over the live bytes: name, bytes, colour, dash. Equal ones share a line.
  limits() {
    const rows = [];
    if (this.plan.limit !== null && this.plan.limit <= this.liveTop) rows.push(["capacity", this.plan.limit, Theme.get("limit"), []]);
    for (const [name, value] of this.budgetRows()) {
      const same = rows.find(row => row[1] === value);
      if (same) same[0] += " = " + name; else if (value <= this.liveTop) rows.push([name, value, Theme.get("muted"), [6, 4]]);
    }
    return rows;
  }

  laneNames() {
    return [["compute", "compute"], ["loads", "DMA load"], ["stores", "DMA store"], ["moves", "moved"], ["ruler", this.plan.timed ? "time" : "step"]];
  }

  // ---- layout ----

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.scale = this.forced ?? (window.devicePixelRatio || 1);
    for (const canvas of [this.base, this.over]) {
      canvas.width = width * this.scale; canvas.height = height * this.scale;
      canvas.style.width = width + "px"; canvas.style.height = height + "px";
    }
    this.width = width - this.left - 10; this.height = height;
    const timed = Boolean(this.plan.timeline), small = height < 420;
    const rest = this.plan.sketch ? "live" : "map";  // the lane that takes what the others leave
    const heights = [["overview", 26], ["ruler", 20], ...(timed ? [["compute", 20], ["loads", 15], ["stores", 15]] : []),
      ["map", 1], ["moves", this.plan.moves.length && !timed ? (small ? 28 : 40) : 0], ["live", small ? 64 : 96]]
      .filter(([key, high]) => high && !(key === "map" && this.plan.sketch));
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

  X(x) { return this.left + (x - this.view.x0) / (this.view.x1 - this.view.x0) * this.width; }
  Y(y) { const map = this.lanes.map; return map.top + map.height - (y - this.view.y0) / (this.view.y1 - this.view.y0) * map.height; }
  atX(px) { return this.view.x0 + (px - this.left) / this.width * (this.view.x1 - this.view.x0); }
  atY(py) { const map = this.lanes.map; return this.view.y0 + (map.top + map.height - py) / map.height * (this.view.y1 - this.view.y0); }

  box(i) {
    const { plan } = this, x = this.X(plan.edge[plan.rs[i]]), y = this.Y(plan.ro[i] + plan.rz[i]);
    return [x, y, this.X(plan.edge[plan.re[i]]) - x, this.Y(plan.ro[i]) - y];
  }

  ticksX() {
    const span = this.view.x1 - this.view.x0, step = this.plan.timed ? tickStep(span, this.width / 90) : Math.max(1, tickStep(span, this.width / 80));
    const ticks = [];
    for (let x = Math.ceil(this.view.x0 / step) * step; x <= this.view.x1; x += step) ticks.push(x);
    return ticks;
  }

  ticksY() {
    const span = this.view.y1 - this.view.y0, step = tickStep(span, this.lanes.map.height / 44, true), ticks = [];
    for (let y = Math.ceil(this.view.y0 / step) * step; y <= this.view.y1; y += step) ticks.push(y);
    return ticks;
  }

  // ---- painting ----

  paint(overlayOnly = false) {
    this.dirty = this.dirty || !overlayOnly;
    this.waiting ??= requestAnimationFrame(() => { this.waiting = null; this.paintNow(); });
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

  fit() { this.view = { x0: 0, x1: this.plan.end, y0: 0, y1: this.plan.top * 1.02 }; }

  look(next, linked = true) {
    const { plan } = this, least = plan.timed ? plan.end / Math.max(1, plan.n) / 8 : Math.min(2, plan.n);
    let { x0, x1, y0, y1 } = { ...this.view, ...next };
    const wide = Math.min(plan.end, Math.max(least, x1 - x0));
    if (wide !== x1 - x0) { const middle = (x0 + x1) / 2; x0 = middle - wide / 2; }
    x0 = Math.min(Math.max(0, x0), plan.end - wide); x1 = x0 + wide;
    const most = plan.top * 1.02, high = Math.min(most, Math.max(Math.min(most, 16), y1 - y0));
    if (high !== y1 - y0) { const middle = (y0 + y1) / 2; y0 = middle - high / 2; }
    y0 = Math.min(Math.max(0, y0), most - high); y1 = y0 + high;
    this.view = { x0, x1, y0, y1 };
    this.paint();
    if (linked && State.linked) for (const other of this.panes) if (other !== this) other.look({ x0, x1, y0, y1 }, false);
  }

  glide(next) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.look(next);
    const from = this.view, to = { ...from, ...next }, begin = performance.now();
    const tick = now => {
      const p = Math.min(1, (now - begin) / 140), e = 1 - (1 - p) ** 3, at = {};
      for (const key of ["x0", "x1", "y0", "y1"]) at[key] = from[key] + (to[key] - from[key]) * e;
      this.look(at);
      if (p < 1 && this.gliding === tick) requestAnimationFrame(tick);
    };
    this.gliding = tick;
    requestAnimationFrame(tick);
  }

  zoom(factor, x = (this.view.x0 + this.view.x1) / 2, y = null, alongX = true) {
    const { x0, x1, y0, y1 } = this.view, next = {};
    if (alongX) Object.assign(next, { x0: x - (x - x0) * factor, x1: x + (x1 - x) * factor });
    if (y !== null) Object.assign(next, { y0: y - (y - y0) * factor, y1: y + (y1 - y) * factor });
    this.look(next);
  }

  pan(dx, dy = 0) {
    const wide = this.view.x1 - this.view.x0, high = this.view.y1 - this.view.y0;
    this.look({ x0: this.view.x0 + dx * wide, x1: this.view.x1 + dx * wide, y0: this.view.y0 + dy * high, y1: this.view.y1 + dy * high });
  }

  home() { this.glide({ x0: 0, x1: this.plan.end, y0: 0, y1: this.plan.top * 1.02 }); }

  // Bring a storage into sight; `close` zooms in on it.
  show(root, close = false) {
    const { plan } = this, parts = plan.placed.get(root);
    if (!parts) return;
    const x0 = plan.edge[plan.rs[parts[0]]], x1 = plan.edge[plan.re[parts.at(-1)]];
    const y0 = Math.min(...parts.map(i => plan.ro[i])), y1 = Math.max(...parts.map(i => plan.ro[i] + plan.rz[i]));
    if (close) return this.glide({ x0: x0 - 0.4 * (x1 - x0), x1: x1 + 0.4 * (x1 - x0), y0: y0 - 0.6 * (y1 - y0), y1: y1 + 0.6 * (y1 - y0) });
    const next = {}, wide = this.view.x1 - this.view.x0, high = this.view.y1 - this.view.y0;
    if (x1 <= this.view.x0 || x0 >= this.view.x1) Object.assign(next, { x0: (x0 + x1 - wide) / 2, x1: (x0 + x1 + wide) / 2 });
    if (y1 <= this.view.y0 || y0 >= this.view.y1) Object.assign(next, { y0: (y0 + y1 - high) / 2, y1: (y0 + y1 + high) / 2 });
    if (Object.keys(next).length) this.glide(next);
  }

  // ---- what is under the pointer ----

  laneAt(y) { return Object.keys(this.lanes).find(key => y >= this.lanes[key].top && y < this.lanes[key].top + this.lanes[key].height) ?? null; }

  hit(px, py) {
    const { plan } = this, lane = this.laneAt(py);
    const step = px >= this.left ? plan.stepAt(this.atX(px)) : null;
    if (lane === "map") {
      const x = this.atX(px), y = this.atY(py), slack = 1.5 / this.width * (this.view.x1 - this.view.x0);
      let best = null, gap = Infinity;
      for (let i = 0; i < plan.rt.length; i++) {
        if (plan.ro[i] > y || plan.ro[i] + plan.rz[i] <= y) continue;
        const a = plan.edge[plan.rs[i]], b = plan.edge[plan.re[i]], away = x < a ? a - x : x >= b ? x - b : 0;
        if (away < gap && away <= slack) { best = i; gap = away; }
      }
      return { lane, step, part: best, tensor: best === null ? null : plan.rt[best] };
    }
    if (lane === "loads" || lane === "stores") {
      const x = this.atX(px), wanted = lane === "stores" ? 1 : 0;
      const move = plan.moves.findIndex(([store], i) => { if (store !== wanted) return false; const [a, b] = plan.moveSpan(i); return a <= x && x < b; });
      return { lane, step, move: move < 0 ? null : move, tensor: move < 0 ? null : plan.moves[move][1] };
    }
    return { lane, step, tensor: null };
  }

  listen() {
    const over = this.over;
    let drag = null;
    over.addEventListener("pointerdown", event => {
      if (event.button > 1) return;
      const lane = this.laneAt(event.offsetY);
      drag = { x: event.offsetX, y: event.offsetY, view: this.view, moved: false, lane, box: event.shiftKey };
      over.setPointerCapture(event.pointerId);
      this.gliding = null;
      if (lane === "overview") this.centre(event.offsetX);
    });
    over.addEventListener("pointermove", event => {
      if (drag) this.drag(drag, event); else this.point(event.offsetX, event.offsetY);
    });
    over.addEventListener("pointerup", event => {
      if (drag && !drag.moved && drag.lane !== "overview") this.pick(event.offsetX, event.offsetY);
      if (drag?.box && this.zoomBox) this.zoomTo(this.zoomBox);
      drag = null; this.zoomBox = null;
      this.paint(true);
    });
    over.addEventListener("pointercancel", () => { drag = null; this.zoomBox = null; });
    over.addEventListener("pointerleave", () => { this.hover = null; this.tip.hidden = true; this.paint(true); });
    over.addEventListener("dblclick", event => {
      const found = this.hit(event.offsetX, event.offsetY);
      if (found.tensor !== null) this.show(found.tensor, true); else this.home();
    });
    over.addEventListener("wheel", event => {
      event.preventDefault();
      this.gliding = null;
      const turn = event.deltaMode === 1 ? 33 : 1, away = event.deltaY * turn;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return this.pan((event.deltaX || event.deltaY) * turn / this.width);
      const factor = Math.exp(Math.max(-200, Math.min(200, away)) * 0.0022), y = this.laneAt(event.offsetY) === "map" ? this.atY(event.offsetY) : null;
      this.zoom(factor, this.atX(event.offsetX), event.ctrlKey || event.altKey ? y : null, !event.altKey);
    }, { passive: false });
  }

  drag(drag, event) {
    const dx = event.offsetX - drag.x, dy = event.offsetY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    drag.moved = true;
    this.tip.hidden = true; this.hover = null;
    if (drag.lane === "overview") return this.centre(event.offsetX);
    if (drag.box) {
      this.zoomBox = [Math.min(drag.x, event.offsetX), Math.min(drag.y, event.offsetY), Math.max(drag.x, event.offsetX), Math.max(drag.y, event.offsetY)];
      return this.paint(true);
    }
    const wide = drag.view.x1 - drag.view.x0, high = drag.view.y1 - drag.view.y0, map = this.lanes.map;
    const next = { x0: drag.view.x0 - dx / this.width * wide, x1: drag.view.x1 - dx / this.width * wide };
    if (drag.lane === "map") Object.assign(next, { y0: drag.view.y0 + dy / map.height * high, y1: drag.view.y1 + dy / map.height * high });
    this.look(next);
  }

  centre(px) {
    const wide = this.view.x1 - this.view.x0, middle = (px - this.left) / this.width * this.plan.end;
    this.look({ x0: middle - wide / 2, x1: middle + wide / 2 });
  }

  zoomTo([x0, y0, x1, y1]) {
    const map = this.lanes.map, next = { x0: this.atX(x0), x1: this.atX(x1) };
    if (map && y0 < map.top + map.height && y1 > map.top && y1 - y0 > 6) Object.assign(next, { y0: this.atY(y1), y1: this.atY(y0) });
    this.glide(next);
  }

  point(px, py) {
    if (px < this.left || px > this.left + this.width) { this.hover = null; this.tip.hidden = true; return this.paint(true); }
    const found = this.hit(px, py);
    this.hover = { ...found, x: px };
    const content = tipFor(this, found);
    this.tip.hidden = !content;
    if (content) {
      this.tip.replaceChildren(...content);
      const right = px + 18 + this.tip.offsetWidth > this.stage.clientWidth;
      this.tip.style.left = (right ? Math.max(4, px - 14 - this.tip.offsetWidth) : px + 16) + "px";
      this.tip.style.top = Math.max(4, Math.min(py + 14, this.stage.clientHeight - this.tip.offsetHeight - 4)) + "px";
    }
    this.over.style.cursor = found.lane === "overview" ? "ew-resize" : found.tensor !== null ? "pointer" : "crosshair";
    this.paint(true);
  }

  pick(px, py) {
    if (px < this.left) return;
    const found = this.hit(px, py);
    if (found.tensor !== null) State.set({ tensor: found.tensor, step: null, plan: this.plan });
    else if (found.lane === "map") State.set({ tensor: null, step: null, plan: this.plan });
    else State.set({ tensor: null, step: found.step, plan: this.plan });
  }
}
