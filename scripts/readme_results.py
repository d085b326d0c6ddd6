"""Writes the README's tables of results from the generated pages that they link to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from marked import put

ROOT = Path(__file__).parent.parent
EXACT = (
    ("exact", "designed by people"),
    ("exact_nas", "found by search"),
    ("exact_nas_weights", "found by search, weights planned too"),
)


def main() -> None:
    """Replace what stands between the marks."""
    put(ROOT / "README.md", "readme_results", tables())


def tables() -> str:
    """Both tables, as Markdown: bytes spilled, then what else is measured."""
    return "\n".join([*spilled(), "", *others(), ""])


def spilled() -> Iterator[str]:
    """A row for each group of nets: what is proved, and the reduction both ways."""
    yield (
        "| networks | plans proved optimal | processor seconds a plan, mean | fewer bytes, of the sum "
        "| fewer bytes, mean of the cases | cases counted | cases at zero | page |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for name, nets in EXACT:
        path = f"docs/{name}.md"
        solved = _row(path, "solver", "portfolio")
        reduced = _row(path, "baseline", "all four")
        yield (
            f"| {nets} | {solved['proved']} of {solved['cases']} | {solved['mean processor s']} "
            f"| {reduced['reduction of the sum']} | {reduced['mean reduction']} | {reduced['cases counted']} "
            f"| {reduced['cases at zero']} | [{name}]({path}) |"
        )


def others() -> Iterator[str]:
    """Latency and packing, a row each."""
    yield "| what | measured | page |"
    yield "| --- | --- | --- |"
    mean = _row("docs/latency.md", "model", "**geometric mean**")
    wins = _row("docs/latency.md", "model", "better than msa_tuned")
    yield (
        "| speed of the planned programs, as a multiple of what XLA's memory space assignment reaches; one second of "
        f"planning, networks that the agent was not trained on | the agent {mean['malloc_game']}, annealing "
        f"{mean['anneal']}, XLA's assignment with tuned settings {mean['msa_tuned']} (geometric means); the agent is "
        f"faster than the tuned settings in {wins['malloc_game']} of the cases | [latency](docs/latency.md) |"
    )
    offsets = (ROOT / "docs/offsets.md").read_text(encoding="utf-8")
    tried = re.findall(r"^\| [A-K] \| [\d,]+ \| ([^|]+) \|", offsets, re.MULTILINE)
    seconds = [float(found[1]) for cell in tried if (found := re.search(r", ([\d.]+) CPU s", cell))]
    yield (
        "| MiniMalloc's challenging instances (a packer from Google), packed under their capacity on one core "
        f"| {len(seconds)} of {len(tried)} packed, in {sum(seconds):.2f} s of processor together, the longest in "
        f"{max(seconds):.2f} s | [offsets](docs/offsets.md) |"
    )


def _row(path: str, column: str, value: str) -> dict[str, str]:
    """The first row of the page whose cell in `column` is `value`: its cells by the heads of their columns."""
    heads: list[str] = []
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and heads:
            row = dict(zip(heads, cells, strict=True))
            if row.get(column) == value:
                return row
        else:
            heads = cells
    raise SystemExit(f"{path} has no row whose {column} is '{value}'")


if __name__ == "__main__":
    main()
