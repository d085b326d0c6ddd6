// What of a plan is in sight: from steps and addresses to pixels and back, and how keys and mouse move it.
// `view` is the range of the axis, x0 to x1, and of each map's addresses, y[m] = [lowest, highest].

class Sight {
  constructor(plan, panes) {
    Object.assign(this, { plan, panes, left: 78 });
    this.fit();
  }

  whole() {
    return { x0: 0, x1: this.plan.end, y: this.plan.maps.map(map => [0, map.top * 1.02]) };
  }

  fit() {
    this.view = this.whole();
  }

  // ---- pixels ----

  X(x) {
    return this.left + ((x - this.view.x0) / (this.view.x1 - this.view.x0)) * this.width;
  }
  Y(y, m) {
    const { top, height } = this.lanes["map" + m];
    const [y0, y1] = this.view.y[m];
    return top + height - ((y - y0) / (y1 - y0)) * height;
  }
  atX(px) {
    return this.view.x0 + ((px - this.left) / this.width) * (this.view.x1 - this.view.x0);
  }
  atY(py, m) {
    const { top, height } = this.lanes["map" + m];
    const [y0, y1] = this.view.y[m];
    return y0 + ((top + height - py) / height) * (y1 - y0);
  }

  // The number of the map that a lane is; null of others.
  mapOf(lane) {
    return lane?.startsWith("map") ? Number(lane.slice(3)) : null;
  }

  // From the first map's top to the last one's bottom; null where nothing has addresses.
  mapsLane() {
    const maps = this.plan.maps.map((_, m) => this.lanes["map" + m]).filter(Boolean);
    return maps.length ? { top: maps[0].top, height: maps.at(-1).top + maps.at(-1).height - maps[0].top } : null;
  }

  box(i) {
    const { plan } = this;
    const m = plan.mapAt[plan.rm[i]];
    const x = this.X(plan.edge[plan.rs[i]]);
    const y = this.Y(plan.ro[i] + plan.rz[i], m);
    return [x, y, this.X(plan.edge[plan.re[i]]) - x, this.Y(plan.ro[i], m) - y];
  }

  // Whether the addresses of a box are in sight.
  isShown(i) {
    const { plan } = this;
    const [y0, y1] = this.view.y[plan.mapAt[plan.rm[i]]];
    return plan.ro[i] < y1 && plan.ro[i] + plan.rz[i] > y0;
  }

  ticksX() {
    const span = this.view.x1 - this.view.x0;
    const step = this.plan.timed ? tickStep(span, this.width / 90) : Math.max(1, tickStep(span, this.width / 80));
    const ticks = [];
    for (let x = Math.ceil(this.view.x0 / step) * step; x <= this.view.x1; x += step) ticks.push(x);
    return ticks;
  }

  ticksY(m) {
    const [y0, y1] = this.view.y[m];
    const step = tickStep(y1 - y0, this.lanes["map" + m].height / 44, true);
    const ticks = [];
    for (let y = Math.ceil(y0 / step) * step; y <= y1; y += step) ticks.push(y);
    return ticks;
  }

  // ---- moving ----

  look(next, linked = true) {
    const { plan } = this;
    const least = plan.timed ? plan.end / Math.max(1, plan.n) / 8 : Math.min(2, plan.n);
    const { x0, x1, y } = { ...this.view, ...next };
    const [a, b] = within(x0, x1, least, plan.end);
    this.view = {
      x0: a,
      x1: b,
      y: y.map(([low, high], m) => within(low, high, 16, plan.maps[m].top * 1.02)),
    };
    this.paint();
    if (linked && State.linked) for (const other of this.panes) if (other !== this) this.lead(other);
  }

  // Show the same steps, or times, and addresses in another pane; the same share where the axes differ.
  lead(other) {
    const { x0, x1, y } = this.view;
    const x = other.plan.timed === this.plan.timed ? 1 : other.plan.end / this.plan.end;
    other.look(
      {
        x0: x0 * x,
        x1: x1 * x,
        y: other.view.y.map((range, m) => {
          const share = other.plan.maps[m].top / this.plan.maps[m]?.top;
          return y[m] ? [y[m][0] * share, y[m][1] * share] : range;
        }),
      },
      false,
    );
  }

  glide(next, linked = true) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.look(next, linked);
    const from = this.view;
    const to = { ...from, ...next };
    const begin = performance.now();
    const tick = now => {
      const p = Math.min(1, (now - begin) / 140);
      const e = 1 - (1 - p) ** 3;
      const between = (a, b) => a + (b - a) * e;
      this.look(
        {
          x0: between(from.x0, to.x0),
          x1: between(from.x1, to.x1),
          y: from.y.map((range, m) => range.map((edge, k) => between(edge, to.y[m][k]))),
        },
        linked,
      );
      if (p < 1 && this.gliding === tick) requestAnimationFrame(tick);
    };
    this.gliding = tick;
    requestAnimationFrame(tick);
  }

  zoom(factor, x = (this.view.x0 + this.view.x1) / 2) {
    const { x0, x1 } = this.view;
    this.look({ x0: x - (x - x0) * factor, x1: x + (x1 - x) * factor });
  }

  // Of one map around an address, or of all around their middles.
  zoomAddresses(factor, only = null, address = 0) {
    this.look({
      y: this.view.y.map(([low, high], m) => {
        if (only !== null && only !== m) return [low, high];
        const y = only === null ? (low + high) / 2 : address;
        return [y - (y - low) * factor, y + (high - y) * factor];
      }),
    });
  }

  pan(dx, dy = 0) {
    const wide = this.view.x1 - this.view.x0;
    this.look({
      x0: this.view.x0 + dx * wide,
      x1: this.view.x1 + dx * wide,
      y: this.view.y.map(([low, high]) => [low + dy * (high - low), high + dy * (high - low)]),
    });
  }

  home() {
    for (const pane of State.linked ? this.panes : [this]) pane.glide(pane.whole(), false);
  }

  // Bring a storage into sight; `close` zooms in on it.
  show(root, close = false) {
    const { plan, view } = this;
    const parts = plan.placed.get(root);
    if (!parts) return;
    const x = [plan.edge[plan.rs[parts[0]]], Math.max(...parts.map(i => plan.edge[plan.re[i]]))];
    const y = view.y.map((range, m) => {
      const here = parts.filter(i => plan.mapAt[plan.rm[i]] === m);
      if (!here.length) return range;
      const held = [Math.min(...here.map(i => plan.ro[i])), Math.max(...here.map(i => plan.ro[i] + plan.rz[i]))];
      return close ? around(held, 0.6) : brought(held, range);
    });
    const [x0, x1] = close ? around(x, 0.4) : brought(x, [view.x0, view.x1]);
    if (close || x0 !== view.x0 || y.some((range, m) => range[0] !== view.y[m][0])) this.glide({ x0, x1, y });
  }
}

// A range moved and cut so that it lies in [0, most] and is at least `least` wide.
function within(low, high, least, most) {
  const wide = Math.min(most, Math.max(Math.min(least, most), high - low));
  const start = Math.min(Math.max(0, wide === high - low ? low : (low + high - wide) / 2), most - wide);
  return [start, start + wide];
}

function around([low, high], share) {
  return [low - share * (high - low), high + share * (high - low)];
}

// The range moved so that `held` is in its middle, if none of that is in sight.
function brought(held, [low, high]) {
  if (held[1] > low && held[0] < high) return [low, high];
  const middle = (held[0] + held[1]) / 2;
  return [middle - (high - low) / 2, middle + (high - low) / 2];
}
