"""Runs the comparisons whose results are published and writes models/RESULTS.md and models/results/*.jsonl."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from memplan_models.published import Published, published, results_md
from provenance import kept_rows, made_line

from memplan.base.files import write_atomic
from memplan.cli.compare import CaseLines
from memplan.studies.compare.report import write_report
from memplan.studies.compare.results import RESULTS, open_results, read_results
from memplan.studies.compare.runner import compare, local_pool

MODELS = Path(__file__).parents[1] / "models"


def main() -> None:
    """Run what is missing in the folder, then write."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("names", nargs="*", help="cosma, olla, latency (default: all)")
    p.add_argument(
        "-o",
        "--output",
        type=Path,
        help="where plans and reports go (default: a folder of this code's in build)",
    )
    p.add_argument("--time-limit", type=float, default=10.0)
    p.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    p.add_argument("--write-only", action="store_true", help="run nothing, write from the lines there are")
    args = p.parse_args()
    chosen = published(args.time_limit, args.workers)
    for one in chosen:
        if not args.write_only and one.name in (args.names or [one.name]):
            run(one, (args.output or kept_rows("results")) / one.name)
    lines = {one.name: MODELS / "results" / f"{one.name}.jsonl" for one in chosen}
    found = [(one, read_results(lines[one.name])) for one in chosen if lines[one.name].exists()]
    print(write_atomic(MODELS / "RESULTS.md", results_md(found, made_line())))


def run(one: Published, folder: Path) -> None:
    """Run a comparison to its end and keep its lines beside the models, sorted by case."""
    board = CaseLines()
    with open_results(folder, True, one.setting.fair) as results:
        compare(one.setting, results, local_pool(one.setting.workers), board)
        board.close()
        write_report(folder, results.records.values())
    lines = sorted((folder / RESULTS).read_text().splitlines(keepends=True))
    write_atomic(MODELS / "results" / f"{one.name}.jsonl", "".join(lines))
    print(f"{one.name}: {len(lines)} cases", file=sys.stderr)


if __name__ == "__main__":
    main()
