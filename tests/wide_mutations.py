"""Ways to break a valid plan of edition 2 that edition 1 had no words for. Each is wrong for sure, or None."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from memplan.ir.graph import Graph
from memplan.judge.plan_view import PlanView
from memplan.problem.plan import InPlace, Move, Plan, Residency

Mutation = Callable[[random.Random, Graph, Plan], Plan | None]
WIDE_MUTATIONS: dict[str, Mutation] = {}
Row = TypeVar("Row")


def _mutation(function: Mutation) -> Mutation:
    WIDE_MUTATIONS[function.__name__] = function
    return function


def _pick(rng: random.Random, rows: list[Row]) -> Row | None:
    return rng.choice(rows) if rows else None


def _row(plan: Plan, old: Residency, *new: Residency) -> Plan:
    return replace(plan, residencies=(*(r for r in plan.residencies if r is not old), *new))


def _move(plan: Plan, old: Move, *new: Move) -> Plan:
    k = next(k for k, m in enumerate(plan.moves) if m is old)
    return replace(plan, moves=(*plan.moves[:k], *new, *plan.moves[k + 1 :]))


def _addressed(plan: Plan) -> set[str]:
    return {m.name for m in plan.target.addressed}


@_mutation
def memory_without_addresses(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    others = [m.name for m in plan.target.memories if m.name not in _addressed(plan)] + ["nowhere"]
    r = _pick(rng, list(plan.residencies))
    return r and _row(plan, r, r._replace(memory=rng.choice(others)))


@_mutation
def written_to_another_memory(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    """To one that the op that writes it cannot write."""
    view = PlanView(graph, plan)
    rows = []
    for r in plan.residencies:
        if r.start in view.begins.get(r.tensor, {}) and r.tensor not in {
            p.storage for p in view.parts.values()
        }:
            op = view.ops[r.start]
            wrong = _addressed(plan) - set(plan.target.writable(op.kind, view.role(r.tensor)))
            rows += [(r, m) for m in sorted(wrong)]
    found = _pick(rng, rows)
    return found and _row(plan, found[0], found[0]._replace(memory=found[1]))


@_mutation
def written_to_two_memories(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    rows = [r for r in plan.residencies if r.start in view.begins.get(r.tensor, {})]
    r = _pick(rng, rows)
    others = sorted(_addressed(plan) - {r.memory}) if r else []
    return r and (
        replace(plan, residencies=(*plan.residencies, r._replace(memory=others[0]))) if others else None
    )


@_mutation
def readonly_memory_written(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    readonly = [m.name for m in plan.target.memories if m.readonly]
    m = _pick(rng, list(plan.moves))
    return m and (_move(plan, m, m._replace(destination=rng.choice(readonly))) if readonly else None)


@_mutation
def moved_within_a_memory(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    m = _pick(rng, list(plan.moves))
    return m and _move(plan, m, m._replace(source=m.destination))


@_mutation
def source_without_a_copy(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    """From a memory where the storage never is."""
    view = PlanView(graph, plan)
    moves = []
    for m in plan.moves:
        held = {r.memory for r in plan.residencies if r.tensor == m.tensor}
        held |= {x.destination for x in plan.moves if x.tensor == m.tensor}
        held |= {view.home(m.tensor), plan.target.host.name}
        moves += [(m, name) for name in plan.target.memory if name not in held | {m.source}]
    found = _pick(rng, moves)
    return found and _move(plan, found[0], found[0]._replace(source=found[1]))


@_mutation
def source_not_ready(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    """Issued before the op that writes the storage for the first time has ended."""
    view = PlanView(graph, plan)
    moves = [(m, min(view.written[m.tensor])) for m in plan.moves if m.tensor in view.written]
    found = _pick(rng, moves)
    if found is None:
        return None
    m, born = found
    return _move(plan, m, m._replace(issue=born, due=born if plan.options.objective != "latency" else m.due))


@_mutation
def moved_twice_to_where_it_stays(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    m = _pick(rng, [m for m in plan.moves if m.destination not in _addressed(plan)])
    return m and _move(plan, m, m, m)


@_mutation
def moved_home_though_it_is_there(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    given = [m for m in plan.moves if view.is_given(m.tensor)]
    m = _pick(rng, [m for m in given if m.source == view.home(m.tensor)])
    return m and replace(plan, moves=(*plan.moves, m._replace(source=m.destination, destination=m.source)))


@_mutation
def queue_out_of_turn(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    pairs = [
        (a, b)
        for k, a in enumerate(plan.moves)
        for b in plan.moves[k + 1 :]
        if a.queue == b.queue and a.issue < b.issue
    ]
    pair = _pick(rng, pairs)
    if pair is None:
        return None
    swap = {id(pair[0]): pair[1], id(pair[1]): pair[0]}
    return replace(plan, moves=tuple(swap.get(id(m), m) for m in plan.moves))


@_mutation
def queue_that_the_pair_has_not(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    m = _pick(rng, list(plan.moves))
    wrong = set(range(plan.target.queues + 1))
    return m and _move(
        plan, m, m._replace(queue=max(wrong - set(plan.target.copying_queues(m.source, m.destination))))
    )


@_mutation
def moved_where_nothing_moves(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    return replace(plan, target=replace(plan.target, queues=0, channels=())) if plan.moves else None


@_mutation
def once_executed_again(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    name = _pick(rng, [op.name for op in graph.ops if op.once])
    return name and replace(plan, schedule=(*plan.schedule, name))


@_mutation
def executed_too_often(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    again = max(plan.schedule.count(x) for x in plan.schedule) > 1
    return replace(plan, options=replace(plan.options, recompute=1)) if again else None


@_mutation
def executions_cost_too_much(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    flops = {op.name: op.flops or 0 for op in graph.ops}
    again = sum(flops[x] for x in plan.schedule) > sum(flops.values())
    return replace(plan, options=replace(plan.options, compute_limit=1.0)) if again else None


@_mutation
def op_executed_before_what_it_comes_after(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    op = _pick(rng, [op for op in graph.ops if op.after])
    return op and replace(plan, schedule=(op.name, *plan.schedule))


@_mutation
def residency_of_what_is_the_caller_s(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    outside = replace(plan.options, io="external")
    view = PlanView(graph, replace(plan, options=outside))
    rows = [r for r in plan.residencies if view.is_callers(r.tensor)]
    return replace(plan, options=outside) if rows and plan.options.io != "external" else None


@_mutation
def joined_without_being_asked(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    return replace(plan, options=replace(plan.options, join=False)) if plan.joined else None


@_mutation
def joined_though_nothing_can_be(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    name = _pick(rng, [op.name for op in graph.ops if not op.joins])
    on = replace(plan.options, join=True)
    return name and replace(plan, joined=(*plan.joined, name), options=on)


@_mutation
def joined_twice(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    return replace(plan, joined=(*plan.joined, plan.joined[0])) if plan.joined else None


@_mutation
def part_with_a_place_of_its_own(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    x = _pick(rng, sorted(view.parts))
    if x is None or not plan.residencies:
        return None
    return replace(plan, residencies=(*plan.residencies, plan.residencies[0]._replace(tensor=x)))


@_mutation
def part_moved(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    x = _pick(rng, sorted(PlanView(graph, plan).parts))
    names = list(plan.target.memory)
    if x is None or len(names) < 2:
        return None
    return replace(plan, moves=(*plan.moves, Move(x, names[0], names[1], plan_end(plan), plan_end(plan))))


def plan_end(plan: Plan) -> int:
    """The last boundary."""
    return len(plan.schedule)


@_mutation
def part_written_twice(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    x = _pick(rng, sorted(view.parts))
    return x and replace(plan, schedule=(*plan.schedule, graph.ops[graph.producer[x]].name))


@_mutation
def joined_storage_leaves_early(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    rows = []
    for s in {part.storage for part in view.parts.values()}:
        begin, step = next(iter(view.begins[s])), view.written[s][0]
        rows += [(r, step) for r in plan.residencies if (r.tensor, r.start) == (s, begin) and begin < step]
    found = _pick(rng, rows)
    return found and _row(plan, found[0], found[0]._replace(stop=found[1]))


@_mutation
def joined_storage_moved_before_it_is_whole(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    wholes = sorted({part.storage for part in view.parts.values()})
    moves = [m for m in plan.moves if m.tensor in wholes]
    m = _pick(rng, moves)
    if m is None:
        return None
    step = view.written[m.tensor][0]
    return _move(plan, m, m._replace(issue=step, due=step if plan.options.objective != "latency" else m.due))


@_mutation
def workspace_moved(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    names = list(plan.target.memory)
    name = _pick(rng, [op.workspace for op in graph.ops if op.workspace])
    if name is None or len(names) < 2:
        return None
    return replace(plan, moves=(*plan.moves, Move(name, names[0], names[1], plan_end(plan), plan_end(plan))))


@_mutation
def workspace_missing_at_one_execution(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    spaces = {op.workspace for op in graph.ops}
    r = _pick(rng, [r for r in plan.residencies if r.tensor in spaces])
    return r and _row(plan, r)


@_mutation
def overwritten_though_at_home_and_not_donated(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    home = {
        (r.tensor, r.stop)
        for r in plan.residencies
        if r.start == 0 and view.is_given(r.tensor) and view.home(r.tensor) == r.memory
    }
    pair = _pick(rng, [pair for pair in plan.inplace if (pair.operand, pair.step + 1) in home])
    kept = replace(plan.options, inplace=True, donate=())
    return pair and replace(plan, options=kept)


@_mutation
def overwritten_while_it_is_copied(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    """A copy of what is overwritten is due one boundary after the step that does it."""
    pair = _pick(rng, [pair for pair in plan.inplace if pair.step + 1 <= plan_end(plan)])
    names = list(plan.target.memory)
    if pair is None or len(names) < 2:
        return None
    held = next(r for r in plan.residencies if (r.tensor, r.start) == (pair.output, pair.step))
    other = next(name for name in names if name != held.memory)
    at = pair.step + 1
    elsewhere = [r for r in plan.residencies if r.tensor == pair.operand and r.memory == held.memory]
    if len(elsewhere) > 1:
        return None
    return replace(plan, moves=(*plan.moves, Move(pair.operand, held.memory, other, at, at)))


@_mutation
def output_not_written_at_that_step(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    pair = _pick(rng, list(plan.inplace))
    rest = tuple(x for x in plan.inplace if x is not pair)
    return pair and replace(plan, inplace=(*rest, InPlace(plan_end(plan), *pair[1:])))


@_mutation
def operand_overwritten_twice(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    pair = _pick(rng, list(plan.inplace))
    return pair and replace(plan, inplace=(*plan.inplace, pair))


@_mutation
def output_not_at_home(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    moves = [m for m in plan.moves if m.tensor in view.outputs and not view.is_given(m.tensor)]
    there = [m for m in moves if m.destination == view.home(m.tensor) and m.destination not in view.addressed]
    direct = {s for s, steps in view.written.items() if _written_home(view, s, steps)}
    m = _pick(rng, [m for m in there if m.tensor not in direct])
    return m and _move(plan, m)


def _written_home(view: PlanView, s: str, steps: list[int]) -> bool:
    """Whether some execution writes the storage to its home right away."""
    rows = {r.start for r in view.plan.residencies if r.tensor == s}
    return any(t not in rows for t in steps)


@_mutation
def aligned_for_the_memory_but_not_for_the_tensor(
    rng: random.Random, graph: Graph, plan: Plan
) -> Plan | None:
    rows = [
        r
        for r in plan.residencies
        if (graph.tensor[r.tensor].alignment or 1) > plan.target.memory[r.memory].alignment
    ]
    r = _pick(rng, rows)
    return r and _row(plan, r, r._replace(offset=r.offset + plan.target.memory[r.memory].alignment))


def _pinned(plan: Plan, name: str, word: str) -> Plan:
    return replace(plan, options=replace(plan.options, pins={name: word}))


@_mutation
def pinned_to_another_memory(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    """Where it lies neither at home nor in the backing memory."""
    view = PlanView(graph, plan)
    away = [r for r in plan.residencies if r.memory not in (view.home(r.tensor), plan.target.host.name)]
    r = _pick(rng, away)
    others = sorted(_addressed(plan) - {r.memory}) if r else []
    return _pinned(plan, r.tensor, rng.choice(others)) if r and others else None


@_mutation
def pinned_to_another_offset_there(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    r = _pick(rng, list(plan.residencies))
    return r and _pinned(plan, r.tensor, f"{r.memory}@{r.offset + 64}")


@_mutation
def kept_in_a_memory_where_it_never_is(rng: random.Random, graph: Graph, plan: Plan) -> Plan | None:
    view = PlanView(graph, plan)
    running = {t for t, op in enumerate(view.ops) if op.name not in view.joined}
    steps = [*view.uses.items(), *view.written.items()]
    touched = {s for s, found in steps if view.is_placeable(s) and not running.isdisjoint(found)}
    s = _pick(rng, sorted(touched))
    lies_in = view.parts[s].storage if s in view.parts else s
    others = sorted(_addressed(plan) - {r.memory for r in plan.residencies if r.tensor == lies_in})
    return _pinned(plan, s, f"keep {rng.choice(others)}") if s and others else None
