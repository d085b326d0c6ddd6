"""`memplan compare`: every solver on every model at every budget, and a report."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memplan.cli.common import (
    add_limits,
    add_reading,
    add_sizes,
    limits,
    parse_bounds,
    parse_dims,
    parse_int,
    parse_seconds,
    print_stderr,
)
from memplan.cli.live import interruptible
from memplan.cli.terminal import overwrite
from memplan_start import INTERRUPTED

LISTS = {
    "solvers": ("a,b", "portfolio", "solver specs"),
    "budgets": ("MR,0.9MP", "MR,MH,MP", "capacities: MR, MH, MP, fractions of them, sizes, max"),
    "targets": ("a,b", "scratchpad", "presets or .toml files"),
    "objectives": ("a,b", "traffic", "traffic, peak, latency, compute"),
    "weights": ("a,b", "", "ignore, tensor, stream (default: the target's)"),
    "io": ("a,b", "", "host, resident, external (default: the target's)"),
    "inplace": ("a,b", "", "on, off (default: the target's)"),
    "join": ("a,b", "", "on, off (default: the target's)"),
    "recompute": ("a,b", "off", "off, any, or numbers of executions"),
}
"""Options that take a list: an example, the default, what it may hold."""

INVALID = 5


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("compare", help="run every solver on every model at every budget; write a report")
    p.add_argument(
        "models", metavar="MODEL", nargs="+", help=".onnx, .pt2, .tflite, graph .json or a zoo model's name"
    )
    for name, (example, default, text) in LISTS.items():
        shown = f" (default: {default})" if default else ""
        p.add_argument(f"--{name}", metavar=example, default=default, help=text + shown)
    add_limits(p)
    add_sizes(p, " (of every model)")
    p.add_argument("--time-limit", metavar="S", default="10", help="seconds for each case (default: 10)")
    p.add_argument(
        "--memory-limit", metavar="SIZE", help="memory of each case (default: its share of the machine's)"
    )
    p.add_argument("--workers", metavar="N", help="processor cores of each case (default: all)")
    p.add_argument("--seed", metavar="N", default="0", help="seed of all random choices (default: 0)")
    p.add_argument("--ray", metavar="ADDRESS", help="run the cases on this Ray cluster")
    p.add_argument("--resume", action="store_true", help="keep the results in DIR and run what is missing")
    p.add_argument("--json", action="store_true", help="print a JSON object on stdout")
    p.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="folder for results, plans and report"
    )
    add_reading(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare and report; 0 once every case has an answer, whatever it is, but 5 where a plan failed the check or one
    solver's proof is contradicted by another's plan."""
    from memplan.base.units import parse_size
    from memplan.studies.compare.cases import Setting
    from memplan.studies.compare.instances import instances_of
    from memplan.studies.compare.report import write_report
    from memplan.studies.compare.results import open_results
    from memplan.studies.compare.runner import compare, local_pool

    workers = (os.cpu_count() or 1) if args.workers is None else parse_int("--workers", args.workers, 1)
    memory = _share(workers) if args.memory_limit is None else parse_size(args.memory_limit)
    lists: dict[str, Any] = {name: tuple(split(getattr(args, name))) for name in LISTS}
    setting = Setting(
        models=tuple(args.models),
        **lists,
        **limits(args),
        dims=parse_dims(args.dim),
        bounds=parse_bounds(args.bound),
        time_limit_s=parse_seconds("--time-limit", args.time_limit),
        workers=workers,
        seed=parse_int("--seed", args.seed, 0),
        memory=memory,
        ops=args.ops,
        trust=args.trust,
    )
    setting.machines()
    if args.ray:
        from memplan.studies.compare.cluster import ray_pool

        pool = ray_pool(args.ray, workers)
    else:
        pool = local_pool(workers)
    folder = Path(args.output)
    with open_results(folder, args.resume, setting.fair) as results, interruptible() as cancel:
        board = CaseLines()
        compare(setting, results, pool, board, cancel)
        interrupted = cancel()
        board.close()
        records = list(results.records.values())
        written = write_report(folder, records)
    outcomes = Counter(record["outcome"] for record in records)
    words = [f"{count} {word}" for word, count in outcomes.most_common()] or ["none finished"]
    print_stderr(
        f"{len(records)} cases: {', '.join(words)}"
        + ("; interrupted, go on by --resume" if interrupted else "")
    )
    if args.json:
        files = {"results": str(folder / "results.jsonl")} | {path.suffix[1:]: str(path) for path in written}
        print(
            json.dumps(
                {"cases": len(records), "outcomes": dict(outcomes), "interrupted": interrupted} | files
            )
        )
    else:
        print("\n".join(str(path) for path in written))
    if cancel():
        return INTERRUPTED
    wrong = [spec for instance in instances_of(records) for spec in instance.contradictions]
    if wrong:
        print_stderr(
            f"error: proofs of {', '.join(sorted(set(wrong)))} are contradicted by plans of others, see report.md"
        )
    return INVALID if outcomes["invalid"] or wrong else 0


def split(text: str) -> list[str]:
    """The words of a list, cut at commas outside braces."""
    return [word.strip() for word in re.split(r",(?![^{]*})", text) if word.strip()]


def _share(workers: int) -> int:
    """Bytes for each of the cases that run at once: four fifths of the machine's memory, shared out."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    at_once = max(1, (os.cpu_count() or 1) // workers)
    return int(0.8 * machine / at_once)


class CaseLines:
    """A line for each finished case and a live one below, on a terminal; silent when piped."""

    def __init__(self) -> None:
        self.enabled = sys.stderr.isatty()
        self.lock = threading.Lock()
        self.labels: Mapping[str, str] = {}
        self.finished, self.begin = 0, time.monotonic()
        self.under_way: dict[str, str] = {}

    def total(self, cases: Mapping[str, str], known: int) -> None:
        with self.lock:
            self.labels, self.finished = cases, known
            self._show()

    def started(self, name: str) -> None:
        with self.lock:
            self.under_way[name] = ""
            self._show()

    def news(self, name: str, news: list[Any]) -> None:
        with self.lock:
            _, value, bound, spent = news
            best = "-" if value is None else f"{value:,.6g}"
            self.under_way[name] = f" best {best}, bound {bound:,.6g}, {spent:.0f} s"
            self._show()

    def ended(self, name: str, outcome: str, record: Mapping[str, Any] | None) -> None:
        with self.lock:
            self.under_way.pop(name, None)
            if record is not None:
                self.finished += 1
                self._show(_sentence(record))
            else:
                self._show()

    def close(self) -> None:
        """Wipe the live line."""
        if self.enabled:
            overwrite()

    def _show(self, above: str = "") -> None:
        if not self.enabled:
            return
        done = f"{self.finished}/{len(self.labels)}" if self.labels else "loading"
        spent = time.monotonic() - self.begin
        now = "; ".join(self.labels.get(name, name) + text for name, text in self.under_way.items())
        line = f"{done}, {spent:.0f} s | {now}"[: shutil.get_terminal_size().columns - 1]
        overwrite((above + "\n" if above else "") + line)


def _sentence(record: Mapping[str, Any]) -> str:
    """How a case ended, for people."""
    where = f"{record['model']}, {record['objective']} at {record['budget']}, {record['solver']}"
    if record["value"] is None:
        word = record["status"] if record["outcome"] == "done" else record["outcome"]
        return f"{where}: {word}, {record['reason']}"
    return f"{where}: {record['value']:,.6g}, bound {record['bound']:,.6g}, {record['seconds']:.1f} s"
