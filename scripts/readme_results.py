"""Writes the README's table of results from the generated pages that it links to."""

from __future__ import annotations

import re
from pathlib import Path

from memplan.base.files import write_atomic

ROOT = Path(__file__).parent.parent
START, END = "<!-- scripts/readme_results -->\n", "<!-- end -->"


def main() -> None:
    """Replace what stands between the marks."""
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    write_atomic(page, before + START + "\n".join(table()) + "\n" + END + rest.split(END, 1)[1])


def table() -> list[str]:
    """The rows, as Markdown."""
    rows = ["| what | measured | page |", "| --- | --- | --- |"]
    for name, nets in (("exact", "nets designed by people"), ("exact_nas", "nets found by search")):
        c = _cells(f"docs/{name}.md", "portfolio")
        reduced = _cells(f"docs/{name}.md", "all four")
        rows.append(
            f"| least traffic, {nets}, at M_R, M_H and M_P | {c[3]} of {c[2]} proved optimal, mean {c[6]} s of processor; "
            f"{reduced[3]} fewer bytes than COSMA's four baselines on average | [exact](docs/{name}.md) |"
        )
    head = _row("docs/latency.md", "model")
    mean = dict(zip(head, _row("docs/latency.md", "**geometric mean**"), strict=True))
    wins = dict(zip(head, _row("docs/latency.md", "better than msa_tuned"), strict=True))
    rows.append(
        f"| speed-up over XLA's memory space assignment, one second, unseen nets | agent {mean['malloc_game']}, the better of it "
        f"and tuned assignment {mean['malloc_game{mode=prod}']}; tuned assignment {mean['msa_tuned']}, annealing {mean['anneal']}; agent better than "
        f"tuned on {wins['malloc_game']} | [latency](docs/latency.md) |"
    )
    offsets = (ROOT / "docs/offsets.md").read_text(encoding="utf-8")
    tried = re.findall(r"^\| [A-K] \| [\d,]+ \| ([^|]+) \|", offsets, re.MULTILINE)
    seconds = [float(found[1]) for cell in tried if (found := re.search(r", ([\d.]+) CPU s", cell))]
    rows.append(
        f"| packing MiniMalloc's challenging instances under their capacity, one core | {len(seconds)} of {len(tried)} solved in "
        f"{sum(seconds):.2f} s of processor together, the longest in {max(seconds):.2f} s | [offsets](docs/offsets.md) |"
    )
    return rows


def _row(path: str, first: str) -> list[str]:
    """The cells of the first row that begins with `first`."""
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] == first:
            return cells
    raise SystemExit(f"{path} has no row '{first}'")


def _cells(path: str, second: str) -> list[str]:
    """The cells of the first row whose second cell is `second`."""
    text = (ROOT / path).read_text(encoding="utf-8")
    found = re.search(rf"^\| [^|]+ \| {re.escape(second)} \|.*$", text, re.MULTILINE)
    if not found:
        raise SystemExit(f"{path} has no row of '{second}'")
    return [cell.strip() for cell in found[0].strip().strip("|").split("|")]


if __name__ == "__main__":
    main()
