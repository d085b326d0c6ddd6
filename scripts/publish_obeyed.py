"""Writes the table of docs/obeyed.md: every plan that a runtime was made to carry out, by the runtime's own count.

The script of a runtime (`bench_c`, `bench_onnxruntime`, `bench_tflm`, …) measures, and keeps its rows by `keep` in
docs/obeyed/RUNTIME.json; this one reads them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from marked import DOCS, put, replaced

from memplan.base.files import write_atomic
from memplan.runtimes.obedience import Obedience

ROWS = DOCS / "obeyed"


def keep(runtime: str, found: Iterable[tuple[str, Obedience]], of: str = "") -> None:
    """Replace the rows of a runtime whose names begin so: of each plan what it is called on the page, and what was measured."""
    path = ROWS / f"{runtime}.json"
    new = [seen.to_dict() | {"model": label} for label, seen in found]
    rows = replaced(kept(path) if path.exists() else [], lambda row: row["model"].startswith(of), new)
    write_atomic(path, "[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in rows) + "\n]\n")


def kept(path: Path) -> list[dict[str, Any]]:
    """The rows of a runtime."""
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Replace what stands between the marks."""
    put(DOCS / "obeyed.md", "publish_obeyed", tables())


def tables() -> str:
    """Both tables, as Markdown: the runtimes summed up, then a row for each plan."""
    rows = [row for path in sorted(ROWS.glob("*.json")) for row in kept(path)]
    return "\n".join([*summary(rows), "", *each(rows), ""])


def summary(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each runtime."""
    yield "| runtime | plans | obeyed | need less than its own plan | as much | more: its own is kept | saved, mean |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for runtime in sorted({row["runtime"] for row in rows}):
        of = [row for row in rows if row["runtime"] == runtime]
        gains = [gain for row in of if (gain := saved(row)) is not None]
        counts = ["–"] * 4
        if gains:
            signs = [sum(g > 0 for g in gains), sum(g == 0 for g in gains), sum(g < 0 for g in gains)]
            counts = [*map(str, signs), f"{sum(max(0.0, g) for g in gains) / len(gains):.1%}"]
        yield f"| {runtime} | {len(of)} | {sum(row['obeys'] for row in of)} | " + " | ".join(counts) + " |"


def each(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each plan."""
    yield "| runtime | model | predicted | measured | own plan | saved | outputs | order |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |"
    for row in rows:
        gain = saved(row)
        cells = [
            row["runtime"],
            row["model"],
            ("≤ " if row["at_most"] else "") + f"{row['predicted']:,}",
            f"{row['measured']:,}" + ("" if row["obeys"] else " (not obeyed)"),
            "–" if row["own"] is None else f"{row['own']:,}",
            "–" if gain is None else "own is kept" if row["kept"] == "own" else f"{gain:.1%}",
            "equal" if not row["different"] else f"{row['different']} of {row['outputs']} differ",
            {True: "kept", False: "not kept", None: "–"}[row["ordered"]],
        ]
        yield "| " + " | ".join(cells) + " |"


def saved(row: dict[str, Any]) -> float | None:
    """The share of its own plan's bytes that the runtime does not need with this one; None where it has no planner."""
    own = row["own"]
    return None if own is None else (own - row["measured"]) / own if own else 0.0


if __name__ == "__main__":
    main()
