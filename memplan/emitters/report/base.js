// The house's scripts: the page's data, elements without markup strings, numbers for people, theme, long tables.

const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (selector, root = document) => root.querySelector(selector);

// An element; `props` are properties, or attributes where they hold a dash. Texts stay texts.
function el(tag, props = {}, ...kids) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key === "class") node.className = value;
    else if (key === "style") node.style.cssText = value;
    else if (key.includes("-") || key === "role") node.setAttribute(key, value);
    else node[key] = value;
  }
  for (const kid of kids.flat(Infinity)) if (kid !== null && kid !== undefined && kid !== false) node.append(kid);
  return node;
}

// ---- numbers ----

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

function short(value, digits = 3) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const places = size >= 1e6 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return Number(value.toFixed(Math.min(places, 9))).toLocaleString("en-US", { maximumFractionDigits: 9 });
}

function bytes(n, digits = 4) {
  let unit = 0, value = Math.abs(n);
  while (value >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit++; }
  return (n < 0 ? "−" : "") + (unit ? short(value, digits) : count(value)) + " " + UNITS[unit];
}

function count(n) { return n.toLocaleString("en-US"); }
function exact(n) { return count(n) + " B"; }
function percent(x, digits = 3) { return x === null ? "–" : short(100 * x, digits) + " %"; }

function time(ns, digits = 4) {
  const size = Math.abs(ns);
  const [factor, unit] = size >= 1e9 ? [1e9, "s"] : size >= 1e6 ? [1e6, "ms"] : size >= 1e3 ? [1e3, "µs"] : [1, "ns"];
  return short(ns / factor, digits) + " " + unit;
}

function big(n, digits = 3) {
  for (const [factor, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (n >= factor) return short(n / factor, digits) + " " + unit;
  return short(n, digits);
}

function plural(n, word) { return `${count(n)} ${word}${n === 1 ? "" : "s"}`; }

// Round steps for about `most` ticks in `span`; binary steps are powers of two.
function tickStep(span, most, binary = false) {
  const rough = span / Math.max(1, most);
  if (binary) return 2 ** Math.max(0, Math.ceil(Math.log2(rough)));
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find(m => m * power >= rough) * power;
}

// ---- theme ----

const Theme = {
  listeners: [],
  get dark() { return document.documentElement.dataset.theme === "dark"; },
  set(dark, remember = false) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    if (remember) try { localStorage.setItem("memplan-theme", dark ? "dark" : "light"); } catch { /* no storage here */ }
    this.cache = null;
    for (const listener of this.listeners) listener();
  },
  start() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    let kept = null;
    try { kept = localStorage.getItem("memplan-theme"); } catch { /* no storage here */ }
    this.set(kept ? kept === "dark" : system.matches);
    system.addEventListener("change", event => this.set(event.matches));
  },
  toggle() { this.set(!this.dark, true); },
  // The value of a token, for canvases.
  get(name) {
    this.cache ??= {};
    return this.cache[name] ??= getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  },
};

// ---- long tables ----

// A table of any length that keeps only the rows in sight in the page.
// columns: {name, width, num, text(row), sort(row), cell(row) -> node, title}; onpick(row), picked(row), empty.
class Table {
  static ROW = 26;

  constructor(columns, { onpick, picked = () => false, empty = "Nothing to show", sortBy = null, down = false } = {}) {
    Object.assign(this, { columns, onpick, picked, empty, sortBy, down, rows: [], shown: [] });
    this.head = el("div", { class: "grid-head", role: "row" });
    this.body = el("div", { style: "position:relative", role: "rowgroup" });
    this.node = el("div", { class: "grid", role: "table" }, this.head, this.body);
    this.makeHead();
  }

  attach(scroller) {
    this.scroller = scroller;
    scroller.replaceChildren(this.node);
    scroller.onscroll = () => this.draw();
    this.draw();
  }

  makeHead() {
    this.head.replaceChildren(...this.columns.map((column, i) => {
      const arrow = this.sortBy === i ? (this.down ? " ↓" : " ↑") : "";
      const button = el("button", { textContent: column.name + arrow, title: column.title ?? "", onclick: () => this.sort(i) });
      return el("span", { class: column.num ? "num" : "", style: `width:${column.width}px`, role: "columnheader" }, button);
    }));
  }

  sort(i) {
    this.down = this.sortBy === i ? !this.down : Boolean(this.columns[i].num);
    this.sortBy = i;
    this.makeHead();
    this.set(this.rows);
  }

  set(rows) {
    this.rows = rows;
    this.shown = this.sorted(rows);
    this.draw();
  }

  sorted(rows) {
    if (this.sortBy === null) return rows.slice();
    const key = this.columns[this.sortBy].sort ?? this.columns[this.sortBy].text, sign = this.down ? -1 : 1;
    return rows.slice().sort((a, b) => { const x = key(a), y = key(b); return x < y ? -sign : x > y ? sign : 0; });
  }

  reveal(row) {
    const at = this.shown.indexOf(row);
    if (at < 0 || !this.scroller) return;
    const top = at * Table.ROW, view = this.scroller;
    if (top < view.scrollTop || top + 2 * Table.ROW > view.scrollTop + view.clientHeight) view.scrollTop = top - view.clientHeight / 2;
    this.draw();
  }

  draw() {
    if (!this.scroller) return;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / Table.ROW) - 4);
    const last = Math.min(this.shown.length, first + Math.ceil(this.scroller.clientHeight / Table.ROW) + 10);
    this.body.style.height = Math.max(1, this.shown.length) * Table.ROW + "px";
    const rows = this.shown.slice(first, last).map((row, k) => el(
      "div",
      { class: "grid-row", role: "row", style: `position:absolute;top:${(first + k) * Table.ROW}px;left:0;right:0`,
        "aria-selected": String(Boolean(this.picked(row))), onclick: () => this.onpick?.(row) },
      this.columns.map(column => {
        const text = column.text(row);
        return el("span", { class: column.num ? "num" : "", style: `width:${column.width}px`, role: "cell", title: column.hint ? column.hint(row) : String(text) },
          column.cell ? column.cell(row) : String(text));
      })));
    if (!this.shown.length) rows.push(el("p", { class: "muted", style: "padding:10px", textContent: this.empty }));
    this.body.replaceChildren(...rows);
  }
}

// ---- keyboard ----

// Shortcuts: rows of [keys, what it does, function]; typing in fields is left alone but for Escape.
function listenToKeys(shortcuts) {
  const known = new Map();
  for (const [keys, , act] of shortcuts) for (const key of keys) known.set(key, act);
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.("input, select, textarea") && event.key !== "Escape") return;
    const act = known.get(event.key);
    if (act && act(event) !== false) event.preventDefault();
  });
}

const KEY_NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", " ": "Space" };

function helpRows(shortcuts) {
  return el("table", { class: "plain" }, shortcuts.map(([keys, text]) => el("tr", {},
    el("td", { style: "white-space:nowrap" }, keys.map(key => [el("kbd", { textContent: KEY_NAMES[key] ?? key }), " "])), el("td", { textContent: text }))));
}
