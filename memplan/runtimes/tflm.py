"""TensorFlow Lite Micro obeys a plan: its interpreter, in a process of its own, says how much of its arena it used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec

from memplan.base.errors import ExecutionError, MemplanError
from memplan.ir.model import Model
from memplan.problem.plan import Plan
from memplan.runtimes.native import ask
from memplan.runtimes.obedience import Obedience
from memplan.tflite.emit import head_nbytes, planned_tflite, source_program, without_offsets
from memplan.tflite.program import TfliteProgram

SPARE_BYTES = 16 << 20
"""What an arena of no given size has beyond all tensors: for what the runtime keeps beside them."""

HEAD = re.compile(r"Arena allocation head (\d+) bytes")
TAIL = re.compile(r"Arena allocation tail (\d+) bytes")


@dataclass(frozen=True)
class Invocation:
    """What the interpreter tells of some runs.

    Args:
        head: bytes of the arena that tensors and scratch buffers took.
        tail: bytes for all that lives as long as the interpreter.
        digests: of each output of each run.
    """

    head: int
    tail: int
    digests: tuple[str, ...]


def measure(model: Model, plan: Plan, seed: int = 0) -> Obedience:
    """The plan beside what TensorFlow Lite Micro makes of it, and of the model without it, on the same seeded inputs.

    MemplanError where the interpreter is not installed or the model is no .tflite file, PlanError where the plan is not for this
    model or this runtime, ExecutionError where the runtime refuses a file.
    """
    program = source_program(model)
    planned = invoke(program, planned_tflite(model, plan), seed=seed)
    own = invoke(program, without_offsets(program), seed=seed)
    return Obedience(
        model=model.graph.name,
        runtime="tflm",
        predicted=head_nbytes(model, plan),
        measured=planned.head,
        own=own.head,
        beside=planned.tail,
        outputs=len(own.digests),
        different=sum(a != b for a, b in zip(planned.digests, own.digests, strict=True)),
    )


def invoke(program: TfliteProgram, data: bytes, arena_bytes: int | None = None, seed: int = 0) -> Invocation:
    """Run a file, some planned form of the program, in an arena of that size, or of one that is large enough.

    ExecutionError with the runtime's own words where it refuses the file or the arena.
    """
    if find_spec("tflite_micro") is None:
        raise MemplanError(
            "the interpreter of TensorFlow Lite Micro is not installed", "pip install 'memplan[tflm]'"
        )
    if arena_bytes is None:
        tensors = (value for subgraph in program.subgraphs for value in subgraph.tensors)
        arena_bytes = SPARE_BYTES + sum(value.nbytes for value in tensors if not value.constant)
    main = program.subgraphs[0]
    asked = {"arena": arena_bytes, "seed": seed, "inputs": len(main.inputs), "outputs": len(main.outputs)}
    told, words = ask("memplan.runtimes.tflm_process", "TensorFlow Lite Micro", asked, data)
    head, tail = HEAD.search(words), TAIL.search(words)
    if told is None or head is None or tail is None:
        raise ExecutionError(
            f"TensorFlow Lite Micro does not run the model: {_complaint(words)}",
            "does it run without a plan, in an arena that is large enough?",
        )
    return Invocation(int(head[1]), int(tail[1]), tuple(told))


def _complaint(words: str) -> str:
    """What the runtime said first, before Python's own words; else the last of these."""
    before, _, after = words.partition("Traceback")
    said = [
        line for line in map(str.strip, before.splitlines()) if line and not line.startswith("[Recording")
    ]
    return " ".join(said[:2] or after.split("\n")[-2:-1] or ["it was killed"])[:300]
