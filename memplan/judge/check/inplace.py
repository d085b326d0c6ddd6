"""Rule 8: which executions may write over which copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from memplan.ir.graph import Graph
from memplan.judge.check.violation import Violation
from memplan.judge.copies import HOME, Copies
from memplan.judge.plan_view import PlanView
from memplan.problem.plan import InPlace


def inplace(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Every in-place pair is asked for, one that its op can make, and of two places that meet."""
    pairs = view.plan.inplace
    written = Counter((step, output) for step, output, _ in pairs)
    over = Counter((step, operand) for step, _, operand in pairs)
    if max((*written.values(), *over.values()), default=0) > 1:
        yield Violation("inplace", "an output or an operand is in two pairs of one step")
    for pair in pairs:
        if fault := _fault(view, copies, pair):
            message = f"'{pair.output}' over '{pair.operand}': {fault}"
            yield Violation("inplace", message, pair.step, (pair.output, pair.operand))


def _fault(view: PlanView, copies: Copies, pair: InPlace) -> str:
    graph, options, (t, output, operand) = view.graph, view.options, pair
    op = view.ops[t] if 0 <= t < view.n else None
    if op is None or op.view or output not in op.outputs:
        return f"step {t} does not write it"
    operands = {x for x in op.inputs if graph.storage_of[x] == operand}
    if not any(out == output and x in operands for out, x in op.overwrites):
        return f"op '{op.name}' ({op.kind}) cannot write it over an operand there"
    if fault := _layout_fault(graph, output, operand, operands):
        return fault
    if not (options.inplace or operand in options.donate):
        return "the options do not allow it"
    memory, offset = _place(view, copies, t, output)
    copy = copies.at(operand, memory, t)
    if copy is None or (copy.stop, copy.offset) != (t + 1, offset) or copy.offset is None:
        return "their residencies do not meet at one offset"
    if copy.ready > t:
        return "the copy that is overwritten is not ready"
    if copy.makers == (HOME,) and not (graph.tensor[operand].kind == "input" and operand in options.donate):
        return "it is at home there, and not donated"
    return ""


def _place(view: PlanView, copies: Copies, t: int, output: str) -> tuple[str, int | None]:
    """The memory and the offset where the execution writes its output."""
    part = view.parts.get(output)
    begin, storage, first = (t, output, 0)
    if part is not None:
        begin, storage, first = next(iter(view.begins[part.storage])), part.storage, part.first
    born = copies.born.get((storage, begin), [])
    return (born[0].memory, born[0].offset + first) if born else (view.target.host.name, None)


def _layout_fault(graph: Graph, output: str, operand: str, operands: set[str]) -> str:
    """What in the layout forbids the writing, whatever the op's importer says: all it reads there must lie alike."""
    out, whole = graph.tensor[output], graph.tensor[operand].nbytes
    for name in operands:
        t = graph.tensor[name]
        if t.layout != out.layout or t.nbytes != whole or (name != operand and t.place != (operand, 0)):
            return f"it reads '{name}' there, which does not lie as the output does"
    return ""
