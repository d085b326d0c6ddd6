"""The table of exact planning: rows that can be taken up again, and bounds held against everybody's values."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from memplan.io.graph_json import graph_text
from tests.randwire import randwire

SCRIPT = Path(__file__).parent.parent / "scripts" / "bench_exact.py"


def bench(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_exact.py", *words])
    monkeypatch.syspath_prepend(SCRIPT.parent)
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_rows_are_kept_checked_and_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, rows, page = tmp_path / "randwire_small.json", tmp_path / "rows.jsonl", tmp_path / "exact.md"
    page.write_text("Before.\n<!-- scripts/bench_exact -->\n<!-- end -->\nAfter.\n")
    model.write_text(graph_text(randwire(1, stages=1, nodes=10)))
    words = [
        "--rows",
        str(rows),
        "--budgets",
        "MR,MP",
        "--weights",
        "ignore",
        "--limit",
        "5",
        "--workers",
        "1",
        str(model),
    ]
    bench(monkeypatch, *words, "-o", str(page))
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(found) == 2 * 5
    text = page.read_text()
    assert text.startswith("Before.\n<!-- scripts/bench_exact -->\nMade by `scripts/bench_exact --rows ")
    assert text.endswith("|\n<!-- end -->\nAfter.\n")
    assert "| found by search | portfolio | 2 | 2 |" in text and "85 %" in text and "randwire_small" in text
    bench(monkeypatch, *words)  # nothing is solved again
    assert len(rows.read_text().splitlines()) == len(found)
    for row in found:
        if row[7] == "portfolio" and row[4] == "MR":
            row[9] = 1e12
    rows.write_text("".join(json.dumps(row) + "\n" for row in found))
    with pytest.raises(SystemExit, match="portfolio claims the bound"):
        bench(monkeypatch, *words)
    capsys.readouterr()
