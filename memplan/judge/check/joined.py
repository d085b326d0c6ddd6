"""Rule 9: ops that copy nothing, since their operands lie side by side in their output."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from memplan.ir.graph import Graph
from memplan.judge.check.violation import Violation
from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView
from memplan.problem.plan import Plan


def joinable(graph: Graph, plan: Plan) -> Iterator[Violation]:
    """Whether these ops may be joined at all, whatever lies where."""
    if not plan.joined:
        return
    ops, count = {op.name: op for op in graph.ops}, Counter(plan.schedule)
    if not plan.options.join:
        yield Violation("joined", "the plan joins ops, which the options do not allow")
    seen: set[str] = set()
    for name in plan.joined:
        if name not in ops or not ops[name].joins or name in seen:
            yield Violation("joined", f"'{name}' is no op that can be joined, or is listed twice")
            continue
        seen.add(name)
        if count[name] != 1:
            yield Violation("joined", f"the joined op '{name}' runs {count[name]} times")
    held = Counter(x for name in seen for x, _ in ops[name].joins)
    moved = {m.tensor for m in plan.moves} | {r.tensor for r in plan.residencies}
    for x, times in held.items():
        if x in moved:
            yield Violation("joined", f"the part '{x}' has a place or a move of its own", None, (x,))
        maker = graph.ops[graph.producer[x]].name if x in graph.producer else None
        if times > 1 or graph.tensor[x].kind != "activation" or x in graph.output_storages:
            yield Violation("joined", f"'{x}' is in two joined ops, an output, or no activation", None, (x,))
        elif maker is None or count[maker] != 1:
            yield Violation("joined", f"the part '{x}' is not written once", None, (x,))
    for pair in plan.inplace:
        if pair.operand in held:
            yield Violation("joined", f"the part '{pair.operand}' is overwritten", pair.step, pair[1:])


def joined(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Each joined output has one residency from its first part's writer to the joined op, and its parts lie in it."""
    held: dict[str, list[str]] = defaultdict(list)
    for x, part in view.parts.items():
        held[part.storage].append(x)
    for s, parts in held.items():
        begin, step = next(iter(view.begins[s])), view.written[s][0]
        born = copies.born.get((s, begin), [])
        if len(born) != 1 or born[0].stop <= step:
            message = (
                f"'{s}' needs one residency from its first part at step {begin} to its op at step {step}"
            )
            yield Violation("joined", message, begin, (s,))
            continue
        memory = view.target.memory[born[0].memory]
        for x in parts:
            at = born[0].offset + view.parts[x].first
            if at % memory.alignment or at % (view.graph.tensor[x].alignment or 1):
                yield Violation(
                    "joined", f"the part '{x}' lies at {at}, which is not aligned", begin, (x,), (at,)
                )
