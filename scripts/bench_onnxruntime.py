"""Plans that onnxruntime executes, beside its own planner; writes the table of docs/onnxruntime.md.

    scripts/bench_onnxruntime [FOLDER]

Packages with trained models are installed without their dependencies into FOLDER (default: a temporary one). Keeps the rows of
docs/obeyed.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from marked import DOCS, put
from packages import unpacked
from publish_obeyed import keep

import memplan
from memplan.ir.model import Model
from memplan.library.trained import trained_table
from memplan.problem.plan import Plan
from memplan.runtimes.obedience import Obedience
from memplan.runtimes.onnxruntime import measure, optimized, session_options
from memplan.runtimes.onnxruntime.arena import least_arena
from memplan.runtimes.onnxruntime.filled import filled
from memplan.runtimes.onnxruntime.measure import in_order, made_up_inputs, output_buffers, own_options
from memplan.runtimes.onnxruntime.trace import opened, traced_runs
from memplan.runtimes.sessions import run_bound

NETS = (
    "amoebanet_a_mobile", "darts_cifar", "densenet121", "efficientnet_b0", "gpt2_char", "mcunet_320kb_int8",
    "mobilenet_v3_small", "nasnet_a_mobile", "randwire_ws_small", "shufflenet_v2_x1", "vit_ti16", "yolov8n",
)  # fmt: skip
TABLE = trained_table(resources.files("memplan_models"))
OPTIMISED = ("extended", "all")
PAIRS = 9
SECONDS = 5.0
HEAD = """
| model | disable | basic | extended | all | file order | plan of the file | plan of what is optimised | arena | time |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def main() -> int:
    """Write the table; exit status 5 where outputs of a plan differ."""
    with unpacked(sorted({entry["package"] for entry in TABLE})) as folder:
        found = list(rows(folder))
    keep("onnxruntime", [plan for _, plans in found for plan in plans])
    lines = [line for line, _ in found]
    put(DOCS / "onnxruntime.md", "bench_onnxruntime", HEAD + "\n".join(lines) + "\n\n")
    return 5 if any("differs" in line for line in lines) else 0


def rows(folder: Path) -> Iterator[tuple[str, list[tuple[str, Obedience]]]]:
    """For each net a line of the table, printed as it is known, and what was measured of its plans."""
    models = [(name, name, {}) for name in NETS]
    models += [(f"{entry['name']} *", folder / entry["file"], entry["dims"]) for entry in TABLE]
    for label, file, dims in models:
        plans: list[tuple[str, Obedience]] = []
        try:
            line, plans = row(label, memplan.load(file, dims, runtime="onnxruntime"))
        except memplan.MemplanError as error:
            line = f"| {label} | {error.message.splitlines()[0][:120]} | | | | | | | | |"
        print(line, flush=True)
        yield line, plans


def row(label: str, model: Model) -> tuple[str, list[tuple[str, Obedience]]]:
    """What onnxruntime makes of the file's plan, and of that of the optimised graph whose plan needs least."""
    whole = measure(model, planned(model))
    candidates = []
    for level in OPTIMISED:
        rewritten = optimized(model, level)
        plan = planned(rewritten)
        candidates.append((plan.metrics.live_peak, level, rewritten, plan))
    _, level, rewritten, plan = min(candidates, key=lambda candidate: candidate[0])
    found = measure(rewritten, plan)
    ways = [f"{nbytes:,}" for nbytes in whole.ways.values()]
    held, ratio = beside_own(model, rewritten, plan, level)
    arena = f"{held:,} → {found.measured + found.beside:,}"
    cells = [label, *ways, verdict(whole), f"{verdict(found)} ({level})", arena, f"{ratio:.2f}"]
    # whoever optimises has the model's own file to compare with, too
    found = replace(found, own=min(nbytes for nbytes in (whole.own, found.own) if nbytes is not None))
    plans = [(f"{label}, the file", whole), (f"{label}, optimised: {level}", found)]
    return "| " + " | ".join(cells) + " |", plans


def planned(model: Model) -> Plan:
    """The default solver's plan."""
    return memplan.plan(model, time_limit_s=SECONDS)


def verdict(found: Obedience) -> str:
    """The bytes measured, and where they are others than predicted, or the order is another, these."""
    if found.different:
        return f"{found.measured:,} differs"
    if found.measured == found.predicted and found.obeys:
        return f"{found.measured:,}"
    return f"{found.measured:,} (predicted {found.predicted:,}{' at most' if found.at_most else ''})"


def beside_own(model: Model, rewritten: Model, plan: Plan, level: str) -> tuple[int, float]:
    """The least arena of onnxruntime's own plan at the level; processor time with the plan as a multiple of that without."""
    source, ordered = filled(model, 0), in_order(rewritten, plan, 0)
    fed, written = made_up_inputs(model, source, 0), output_buffers(model.graph)
    run = traced_runs(source, own_options(level), fed, written)[0]
    held = least_arena(source, lambda n: own_options(level, n), fed, written, run.held + run.peak)
    own, kept = opened(source, own_options(level)), opened(ordered, session_options(plan))
    ratios = []
    for _ in range(PAIRS + 1):  # the first pair warms both
        ratios.append(seconds(kept, fed, written) / seconds(own, fed, written))
    return held, statistics.median(ratios[1:])


def seconds(session: Any, fed: Any, written: Any) -> float:
    """Processor time of one run."""
    begin = time.process_time()
    run_bound(session, fed, written)
    return time.process_time() - begin


if __name__ == "__main__":
    sys.exit(main())
