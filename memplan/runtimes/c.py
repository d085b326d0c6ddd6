"""Firmware in C obeys a plan: its host test, compiled here, replays it and says how much of each memory it used."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from memplan.base.children import start_program, temporary_folder
from memplan.base.errors import ExecutionError, MemplanError
from memplan.firmware.emit import c_file_names, c_files
from memplan.firmware.lowering import program_of
from memplan.firmware.tables import table_bytes
from memplan.ir.model import Model
from memplan.problem.plan import Plan
from memplan.runtimes.obedience import Obedience

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1")
"""What both gcc and clang understand; a warning is an error."""

TIMEOUT_S = 600
"""A compiler, or a replay, that takes longer is ended."""

USED = re.compile(r"_plan: (\d+) bytes of .* in use at most$", re.MULTILINE)
PLACED = re.compile(r"_plan: (\d+) of (\d+) outputs in place$", re.MULTILINE)
EXECUTED = re.compile(r"^step \d+: op (\d+)$", re.MULTILINE)
VIOLATION = re.compile(r"^violation: .*$", re.MULTILINE)
VIOLATIONS = re.compile(r": (\d+) violations$", re.MULTILINE)


def measure(model: Model, plan: Plan, seed: int = 0) -> Obedience:
    """The plan beside what the host test that is emitted with it counts: no seed matters, since bytes have numbers, not values.

    Predicted and measured are the bytes of all memories in which plans have addresses. The other memories' arenas, buffers and
    tables are `beside`. C has no planner of its own.

    MemplanError where no C compiler is installed, PlanError where C cannot express the plan, InvalidPlanError where it breaks a
    rule, ExecutionError where the compiler or the replay fails.
    """
    printed = replayed(c_files(model, plan), c_file_names(model.stem))
    program = program_of(model.graph, plan)
    used = [int(nbytes) for nbytes in USED.findall(printed)]
    placed, total = PLACED.search(printed), VIOLATIONS.search(printed)
    if placed is None or total is None or len(used) != len(program.arenas):
        raise ExecutionError("the replay says nothing of its end", "run the emitted test by itself")
    planned = [arena.memory.name in plan.peaks for arena in program.arenas]
    beside = sum(arena.nbytes for arena, here in zip(program.arenas, planned, strict=True) if not here)
    executed = [program.graph.ops[int(number)].name for number in EXECUTED.findall(printed)]
    found = VIOLATION.findall(printed)
    return Obedience(
        model=model.graph.name,
        runtime="c",
        predicted=sum(plan.peaks.values()),
        measured=sum(nbytes for nbytes, here in zip(used, planned, strict=True) if here),
        own=None,
        beside=beside + sum(buffer.nbytes for buffer in program.buffers) + table_bytes(program),
        outputs=int(placed[2]),
        different=int(placed[2]) - int(placed[1]),
        ordered=executed == list(plan.schedule),
        faults=(f"replays with {total[1]} violations: {found[0]}",) if found else (),
        notes=("the replay follows every byte of the network from place to place, and calls no kernels",),
    )


def replayed(texts: tuple[str, str, str], names: tuple[str, str, str]) -> str:
    """What the host test of these files prints, compiled by the system's C compiler; ExecutionError where that refuses."""
    compiler = c_compiler()
    with temporary_folder() as folder:
        for name, text in zip(names, texts, strict=True):
            (folder / name).write_text(text, encoding="utf-8")
        status, printed = _ran([*compiler, *FLAGS, "-o", "replay", *names[1:]], folder)
        if status:
            raise ExecutionError(f"the C compiler refuses the plan: {printed[:400]}", "is it one of C99?")
        status, printed = _ran(["./replay", "tell"], folder)
    if status not in (0, 1):
        raise ExecutionError(
            f"the replay ends with status {status}", "are the memories too large for this machine?"
        )
    return printed


def c_compiler() -> list[str]:
    """The command of the system's C compiler: what `CC` says, else cc, gcc or clang; MemplanError where there is none."""
    said = shlex.split(os.environ.get("CC", ""))
    found = next((name for name in (said[:1] or ["cc", "gcc", "clang"]) if shutil.which(name)), None)
    if found is None:
        raise MemplanError(
            "no C compiler is installed", "install gcc or clang, or name one in the variable CC"
        )
    return said or [found]


def _ran(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and output of a program that is run in the folder; ExecutionError where it does not end."""
    with start_program(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            printed, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ExecutionError(
                f"'{command[0]}' has not ended in {TIMEOUT_S} s", "measure a smaller model"
            ) from None
    return process.returncode, printed
