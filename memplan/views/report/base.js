// The house's scripts: the page's data, elements without markup strings, numbers for people, theme, keys.

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
  let unit = 0;
  let value = Math.abs(n);
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return (n < 0 ? "−" : "") + (unit ? short(value, digits) : count(value)) + " " + UNITS[unit];
}

function count(n) {
  return n.toLocaleString("en-US");
}
function exact(n) {
  return count(n) + " B";
}
function percent(x, digits = 3) {
  return x === null ? "–" : short(100 * x, digits) + " %";
}

function time(ns, digits = 4) {
  const size = Math.abs(ns);
  const [factor, unit] = size >= 1e9 ? [1e9, "s"] : size >= 1e6 ? [1e6, "ms"] : size >= 1e3 ? [1e3, "µs"] : [1, "ns"];
  return short(ns / factor, digits) + " " + unit;
}

function big(n, digits = 3) {
  for (const [factor, unit] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ])
    if (n >= factor) return short(n / factor, digits) + " " + unit;
  return short(n, digits);
}

function plural(n, word) {
  return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}

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
  get dark() {
    return document.documentElement.dataset.theme === "dark";
  },
  set(dark, remember = false) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    if (remember)
      try {
        localStorage.setItem("memplan-theme", dark ? "dark" : "light");
      } catch {
        /* no storage here */
      }
    this.cache = null;
    for (const listener of this.listeners) listener();
  },
  start() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    let kept = null;
    try {
      kept = localStorage.getItem("memplan-theme");
    } catch {
      /* no storage here */
    }
    this.set(kept ? kept === "dark" : system.matches);
    system.addEventListener("change", event => this.set(event.matches));
  },
  toggle() {
    this.set(!this.dark, true);
  },
  // The value of a token, for canvases.
  get(name) {
    this.cache ??= {};
    return (this.cache[name] ??= getComputedStyle(document.documentElement)
      .getPropertyValue("--" + name)
      .trim());
  },
};

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

const KEY_NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

function helpRows(shortcuts) {
  return el(
    "table",
    { class: "plain" },
    shortcuts.map(([keys, text]) =>
      el(
        "tr",
        {},
        el(
          "td",
          { style: "white-space:nowrap" },
          keys.map(key => [el("kbd", { textContent: KEY_NAMES[key] ?? key }), " "]),
        ),
        el("td", { textContent: text }),
      ),
    ),
  );
}
