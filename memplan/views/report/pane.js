// A pane: one plan on one canvas with an overlay, its lanes and its view.

class Pane extends Sight {
  constructor(plan, panes) {
    super(plan, panes);
    Object.assign(this, { hover: null, zoomBox: null });
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
    for (const m of plan.moves) this.traffic[2 * m.store + m.spill][m.at] += T.nbytes[m.tensor];
    this.mostMoved = this.traffic.reduce((most, list) => list.reduce((a, b) => Math.max(a, b), most), 1);
    this.showLive(
      Math.max(
        0,
        plan.maps.findIndex(map => map.livePeak),
      ),
    );
  }

  // Show the live bytes of one memory below the maps; the named capacities and what did not stay are the first one's.
  showLive(m) {
    const { plan } = this;
    this.shown = m;
    this.map = plan.maps[m];
    const { livePeak, capacity, live } = this.map;
    const named = m ? [] : this.budgetRows().map(row => row[1]);
    const marks = [livePeak, capacity, ...named].filter(v => v && v < 20 * Math.max(1, livePeak));
    const most = (m ? live : plan.liveWithoutSpills).reduce((a, b) => Math.max(a, b), 1);
    this.liveTop = 1.08 * Math.max(...marks, most);
    this.shape = null;
  }

  budgetRows() {
    if (!this.plan.reference) return [];
    const { mr, mh, mp, proved } = this.plan.reference;
    return [
      ["M_R", mr],
      ["M_H", mh],
      [proved ? "M_P" : "M_P ≤", mp],
    ].filter(row => row[1] !== null);
  }

  // Lines over the live bytes: name, bytes, colour, dash. Equal ones share a line.
  limits() {
    const rows = [];
    const { capacity } = this.map;
    if (capacity !== null && capacity <= this.liveTop) rows.push(["capacity", capacity, Theme.get("limit"), []]);
    for (const [name, value] of this.shown ? [] : this.budgetRows()) {
      const same = rows.find(row => row[1] === value);
      if (same) same[0] += " = " + name;
      else if (value <= this.liveTop) rows.push([name, value, Theme.get("muted"), [6, 4]]);
    }
    return rows;
  }

  laneNames() {
    return [
      ["compute", "compute"],
      ...this.plan.queues.map((queue, k) => ["queue" + k, this.plan.queues.length > 1 ? `queue ${queue}` : "copies"]),
      ["moves", "moved"],
      ...(this.plan.maps.length > 1 ? [["live", `live ${this.map.name}`]] : []),
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
    const crowded = small && this.plan.maps.length > 1;
    const takesRest = key => (this.plan.sketch ? key === "live" : key.startsWith("map")); // what the others leave
    const heights = [
      ["overview", crowded ? 16 : 26],
      ["ruler", 20],
      ...(timed ? [["compute", 20], ...this.plan.queues.map((_, k) => ["queue" + k, 15])] : []),
      ...(this.plan.sketch ? [] : this.mapLanes()),
      ["moves", this.plan.moves.length && !timed ? (small ? 28 : 40) : 0],
      ["live", crowded ? 44 : small ? 64 : 96],
    ].filter(([, high]) => high);
    const fixed = heights.reduce((sum, [key, high]) => sum + (takesRest(key) ? 0 : high) + 6, 0);
    const sharing = heights.filter(([key]) => takesRest(key)).length;
    this.lanes = {};
    let top = 2;
    for (const [key, high] of heights) {
      const size = takesRest(key) ? Math.max(sharing > 1 ? 36 : 60, (height - fixed) / sharing) : high;
      this.lanes[key] = { top, height: size };
      top += size + (key.startsWith("head") ? 2 : 6);
    }
    this.shape = null;
    this.paint();
  }

  // A map of each memory in which anything lies; where there are several, each below a line that names it.
  mapLanes() {
    const { maps } = this.plan;
    if (maps.length === 1) return [["map0", 1]];
    return maps.flatMap((map, m) => [["head" + m, 14], ...(map.boxes.length ? [["map" + m, 1]] : [])]);
  }

  silhouette() {
    if (!this.shape) {
      const view = this.view;
      this.view = { ...view, x0: 0, x1: this.plan.end };
      this.shape = columnsOf(this, this.map.live);
      this.view = view;
    }
    return this.shape;
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
      drawMaps(this, c);
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
}
