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
    this.head.replaceChildren(
      ...this.columns.map((column, i) => {
        const arrow = this.sortBy === i ? (this.down ? " ↓" : " ↑") : "";
        const button = el("button", {
          textContent: column.name + arrow,
          title: column.title ?? "",
          onclick: () => this.sort(i),
        });
        return el(
          "span",
          { class: column.num ? "num" : "", style: `width:${column.width}px`, role: "columnheader" },
          button,
        );
      }),
    );
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
    const key = this.columns[this.sortBy].sort ?? this.columns[this.sortBy].text;
    const sign = this.down ? -1 : 1;
    return rows.slice().sort((a, b) => {
      const x = key(a);
      const y = key(b);
      return x < y ? -sign : x > y ? sign : 0;
    });
  }

  reveal(row) {
    const at = this.shown.indexOf(row);
    if (at < 0 || !this.scroller) return;
    const top = at * Table.ROW;
    const view = this.scroller;
    if (top < view.scrollTop || top + 2 * Table.ROW > view.scrollTop + view.clientHeight)
      view.scrollTop = top - view.clientHeight / 2;
    this.draw();
  }

  draw() {
    if (!this.scroller) return;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / Table.ROW) - 4);
    const last = Math.min(this.shown.length, first + Math.ceil(this.scroller.clientHeight / Table.ROW) + 10);
    this.body.style.height = Math.max(1, this.shown.length) * Table.ROW + "px";
    const rows = this.shown.slice(first, last).map((row, k) =>
      el(
        "div",
        {
          class: "grid-row",
          role: "row",
          style: `position:absolute;top:${(first + k) * Table.ROW}px;left:0;right:0`,
          "aria-selected": String(Boolean(this.picked(row))),
          onclick: () => this.onpick?.(row),
        },
        this.columns.map(column => {
          const text = column.text(row);
          return el(
            "span",
            {
              class: column.num ? "num" : "",
              style: `width:${column.width}px`,
              role: "cell",
              title: column.hint ? column.hint(row) : String(text),
            },
            column.cell ? column.cell(row) : String(text),
          );
        }),
      ),
    );
    if (!this.shown.length) rows.push(el("p", { class: "muted", style: "padding:10px", textContent: this.empty }));
    this.body.replaceChildren(...rows);
  }
}
