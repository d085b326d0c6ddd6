"""The real kernels under other versions of numba, each in an environment of its own: how long they compile, and what they answer."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from marked import DOCS, part, put, stamp
from provenance import ROOT

PAGE = DOCS / "numba.md"
HEAD = (
    "| numba | llvmlite | numpy | Python | kernels compiled | processor seconds | answers |\n"
    "| --- | --- | --- | --- | ---: | ---: | --- |\n"
)

ASKED = """
import json
import platform
import random
from importlib.metadata import version

import memplan
from memplan.solving.kernels import kernel_groups

MACHINE = dict(target="ethos-u65", objective="latency", scratchpad="64KiB", order="program")
EXACT = {
    "search": ("matmul_222_rank7_winograd", dict(scratchpad="MR")),
    "peak": ("matmul_444_rank49_winograd", dict(objective="peak")),
    "recompute": ("torch_small_cnn_train", dict(objective="compute", recompute="any", scratchpad="0.8MP")),
    "msa_tuned": ("resnet8_int8", MACHINE),
}
ANNEALED = ("anneal", "malloc_game")  # which go on for as long as they may


def answer(solver, name, options):
    model = memplan.load(name)
    plan = memplan.plan(model, solver=solver, **{"time_limit_s": 300, "workers": 1} | options)
    assert memplan.check(model, plan) == []
    return plan.value


answers = {solver: answer(solver, *case) for solver, case in EXACT.items()}
for solver in ANNEALED:
    found = answer(solver, "resnet8_int8", MACHINE | {"time_limit_s": 3})
    assert found <= answers["msa_tuned"], (solver, found)
rng = random.Random(1)
starts = [rng.randrange(60) for _ in range(60)]
buffers = [memplan.Buffer(f"b{i}", at, at + rng.randint(1, 30), rng.randint(1, 99)) for i, at in enumerate(starts)]
answers["pack"] = memplan.pack_buffers(buffers, time_limit_s=300).peak
groups = kernel_groups().values()
print(json.dumps({
    "versions": [*map(version, ("numba", "llvmlite", "numpy")), platform.python_version()],
    "kernels": [sum(group.ready() for group in groups), len(groups)],
    "answers": answers,
}))
"""


def main(versions: list[str]) -> None:
    """A row for each version, beside those of other runs, in the order of the versions."""
    expected = asked(Path(sys.executable))["answers"]
    for version in versions:
        row = measured(version, expected)
        print(row, flush=True)
        made, _, *table = part(PAGE, "numba_matrix").splitlines()
        rows = {key(line): line for line in (*table[2:], row)}
        lines = "".join(f"{rows[name]}\n" for name in sorted(rows))
        put(PAGE, "numba_matrix", f"{made}\n\n{HEAD}{lines}")
    if {line.split()[1] for line in part(PAGE, "numba_matrix").splitlines()[4:]} <= set(versions):
        stamp(PAGE, "numba_matrix")


def key(row: str) -> tuple[tuple[int, ...], str]:
    """What a row is about: the version of numba, as numbers, and Python's."""
    cells = [cell.strip() for cell in row.split("|")]
    return tuple(map(int, re.findall(r"\d+", cells[1]))), cells[4]


def measured(version: str, expected: object) -> str:
    """The row of one version; a SystemExit says what of it cannot be installed, compiled or trusted."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    others = [need for need in needs if not need.startswith("numba")]
    with tempfile.TemporaryDirectory(prefix="numba-") as folder:
        python = Path(folder, "bin", "python")
        run(sys.executable, "-m", "venv", folder)
        install = (python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
        run(*install, f"numba=={version}", *others)
        run(*install, "--no-deps", ROOT)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(python, "-m", "memplan", "warm")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = asked(python)
    ready, groups = found["kernels"]
    same = "the same" if found["answers"] == expected else f"others: {found['answers']}"
    return f"| {' | '.join(found['versions'])} | {ready} of {groups} | {seconds:.0f} | {same} |"


def asked(python: Path) -> dict[str, object]:
    """What memplan's solvers answer under this Python."""
    return json.loads(run(python, "-c", ASKED))


def run(*command: object) -> str:
    """What a program prints, in an empty working folder; it must end well."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))[:200]}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
