"""A plan measured on ExecuTorch: what the written program asks for, and what its runtime computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

from executorch.exir import ExecutorchProgramManager
from executorch.exir.banked_memory_planning import Bank, TargetMemoryMap, banked_memory_planning_pass

from memplan.base.errors import GraphError
from memplan.base.units import MAX_BYTES
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.machine.target import Target
from memplan.problem.plan import Plan
from memplan.runtimes.executorch.invoke import MethodInvocation, invoke
from memplan.runtimes.obedience import Obedience
from memplan.torch.executorch.graph import executed
from memplan.torch.executorch.packing import FIRST_ARENA
from memplan.torch.executorch.planning import arenas, executed_order, planned_program, source_of

GREEDY, BANKED = "greedy", "banked_greedy"
"""ExecuTorch's own ways: one arena, and arenas of given sizes, the first that has space."""


def measure(model: Model, plan: Plan, seed: int = 0) -> Obedience:
    """The plan beside what ExecuTorch makes of it, and of the program as it was, on the same seeded inputs.

    With one memory the bytes of its arena are compared. With several the arenas must be as large as predicted, and what is
    compared are the bytes that ops read and write outside the fastest, those of inputs and outputs included.

    Raises:
        MemplanError: the model was not made of an edge program.
        PlanError: the plan is not for this model or this runtime.
        GraphError, ExecutionError: ExecuTorch does not lower the program, or does not run it.
    """
    source = source_of(model)
    planned, unplanned = planned_program(model, plan), source.lowered()
    ours, theirs = invoke(bytes(planned.buffer), bytes(unplanned.buffer), method=source.method, seed=seed)
    wanted = arenas(model, plan)
    misorder, notes = [*_misorder(planned, source.method, plan)], [*model.notes]
    faults = [*misorder]
    if len(plan.peaks) == 1:
        predicted, measured, ways = sum(wanted), sum(ours.arenas), {GREEDY: sum(theirs.arenas)}
    else:
        if differing := [
            pair for pair in zip_longest(wanted, ours.arenas, fillvalue=0) if pair[0] != pair[1]
        ]:
            faults.append(f"asks for {differing[0][1]} bytes where the plan has {differing[0][0]}")
        notes += [
            f"'{name}' holds {nbytes:,} B" for name, nbytes in zip(plan.peaks, ours.arenas, strict=False)
        ]
        notes.append("the bytes compared are those that ops read and write outside the fastest memory")
        predicted = planned_slow_bytes(model, plan)
        measured = _slow_bytes(model.graph, plan.target, _memories(planned, model, plan.target))
        ways = _banked(model, plan.target, notes)
        if plan.options.io == "resident" and any(own < measured for own in ways.values()):
            notes.append(
                f"inputs, outputs and caches are held in '{plan.target.scratchpad.name}', where {BANKED} is free: "
                f"plan with io host, which leaves them in '{plan.target.host.name}'"
            )
    return Obedience(
        model=model.graph.name,
        runtime="executorch",
        predicted=predicted,
        measured=measured,
        own=min(ways.values(), default=measured),
        beside=ours.file_nbytes,
        outputs=len(theirs.digests),
        different=_different(ours, theirs),
        ways=ways,
        ordered=not misorder,
        faults=tuple(faults),
        notes=tuple(notes),
    )


def planned_slow_bytes(model: Model, plan: Plan) -> int:
    """Bytes that ops read and write outside the fastest memory by the plan: what is compared where there are several."""
    return _slow_bytes(model.graph, plan.target, {r.tensor: r.memory for r in plan.residencies})


def _different(ours: MethodInvocation, theirs: MethodInvocation) -> int:
    return sum(a != b for a, b in zip(ours.digests, theirs.digests, strict=True))


def _misorder(program: ExecutorchProgramManager, method: str, plan: Plan) -> Iterator[str]:
    """Where the written program has its ops in another order than the plan, if it has."""
    order = executed_order(plan)
    wanted = set(order)
    written = [n.name for n in program.exported_program(method).graph.nodes if n.name in wanted]
    for step, (theirs, ours) in enumerate(zip(written, order, strict=True)):
        if theirs != ours:
            yield f"executes '{theirs}' at step {step} where the plan has '{ours}'"
            return


def _banked(model: Model, target: Target, notes: list[str]) -> dict[str, int]:
    """What the arenas cost as ExecuTorch fills them itself; nothing, but a note, where it cannot."""
    banks = [
        Bank(m.name, MAX_BYTES if m.capacity is None else m.capacity, FIRST_ARENA + i, m.alignment)
        for i, m in enumerate(target.addressed)
    ]
    try:
        program = source_of(model).lowered(banked_memory_planning_pass(TargetMemoryMap(banks)))
    except GraphError as error:
        notes.append(f"{BANKED} has no plan: {error.message}")
        return {}
    return {BANKED: _slow_bytes(model.graph, target, _memories(program, model, target))}


def _memories(program: ExecutorchProgramManager, model: Model, target: Target) -> dict[str, str]:
    """The memory of each storage in the written program."""
    found = executed(program.exported_program(source_of(model).method).graph_module, model.graph.name)
    names = [m.name for m in target.addressed]
    return {name: names[spec.mem_id - FIRST_ARENA] for name, spec in found.spec.items() if not spec.const}


def _slow_bytes(graph: Graph, target: Target, memory: Mapping[str, str]) -> int:
    """Bytes that ops read and write elsewhere than in the fastest memory, each storage once a direction."""
    fast, total = target.scratchpad.name, 0
    for op in (op for op in graph.ops if not op.view):
        for names in (op.inputs, op.outputs):
            roots = {graph.storage_of.get(name, name) for name in names}
            total += sum(graph.tensor[r].nbytes for r in roots if memory.get(r, fast) != fast)
    return total
