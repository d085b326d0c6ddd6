"""Ways to break a valid plan. Each returns a plan that is wrong for sure, or None where it has no hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from memplan.ir.graph import Graph
from memplan.problem.plan import Move, Plan, Residency, Status

Mutation = Callable[[random.Random, Graph, Plan], Plan | None]
MUTATIONS: dict[str, Mutation] = {}


def _mutation(function: Mutation) -> Mutation:
    MUTATIONS[function.__name__] = function
    return function


def _swap_row(plan: Plan, old: Residency, new: Residency | None) -> Plan:
    rows = [r for r in plan.residencies if r is not old]
    return replace(plan, residencies=tuple(rows + ([new] if new else [])))


def _swap_move(plan: Plan, old: Move, new: Move | None) -> Plan:
    rows = [m for m in plan.moves if m is not old]
    return replace(plan, moves=tuple(rows + ([new] if new else [])))


def _pick(rng: random.Random, rows):
    rows = list(rows)
    return rng.choice(rows) if rows else None


def _touches(graph: Graph, plan: Plan, name: str) -> list[int]:
    """Steps that read or write a storage."""
    ops = {op.name: op for op in graph.ops}
    return [
        t
        for t, o in enumerate(plan.schedule)
        if not ops[o].view and name in {graph.storage_of[x] for x in (*ops[o].inputs, *ops[o].outputs)}
    ]


def _born(graph: Graph, plan: Plan, name: str) -> int:
    i = graph.producer.get(name)
    return -1 if i is None else plan.schedule.index(graph.ops[i].name)


def _stepped(plan: Plan) -> bool:
    return plan.options.objective != "latency"


# Schedule


@_mutation
def dependent_ops_swapped(rng, graph, plan):
    pairs = [
        (graph.ops[graph.producer[x]].name, op.name)
        for op in graph.ops
        for x in op.inputs
        if x in graph.producer
    ]
    pair = _pick(rng, pairs)
    if pair is None:
        return None
    swap = {pair[0]: pair[1], pair[1]: pair[0]}
    return replace(plan, schedule=tuple(swap.get(name, name) for name in plan.schedule))


@_mutation
def ops_out_of_turn(rng, graph, plan):
    """One that is to come after another, though it reads nothing of it, changes places with it."""
    pair = _pick(rng, [(before, op.name) for op in graph.ops for before in op.after])
    if pair is None:
        return None
    swap = {pair[0]: pair[1], pair[1]: pair[0]}
    return replace(plan, schedule=tuple(swap.get(name, name) for name in plan.schedule))


@_mutation
def op_dropped(rng, graph, plan):
    return replace(plan, schedule=plan.schedule[:-1]) if plan.schedule else None


@_mutation
def op_repeated(rng, graph, plan):
    return replace(plan, schedule=(*plan.schedule, plan.schedule[0])) if plan.schedule else None


@_mutation
def op_unknown(rng, graph, plan):
    return replace(plan, schedule=("nowhere", *plan.schedule[1:])) if plan.schedule else None


@_mutation
def program_order_left(rng, graph, plan):
    program = tuple(op.name for op in graph.ops)
    return replace(plan, options=replace(plan.options, order="program")) if plan.schedule != program else None


# Space


@_mutation
def overlap_made(rng, graph, plan):
    pairs = [
        (a, b)
        for a in plan.residencies
        for b in plan.residencies
        if a.tensor != b.tensor
        and a.start < b.stop
        and b.start < a.stop
        and a.size
        and b.size
        and plan.inplace.get(a.tensor) != b.tensor
        and plan.inplace.get(b.tensor) != a.tensor
    ]
    pair = _pick(rng, pairs)
    return pair and _swap_row(plan, pair[0], pair[0]._replace(offset=pair[1].offset))


@_mutation
def offset_unaligned(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return (
        _swap_row(plan, r, r._replace(offset=r.offset + 1))
        if r and plan.target.scratchpad.alignment > 1
        else None
    )


@_mutation
def tensor_unaligned(rng, graph, plan):
    """It lies where the memory allows it, and its own alignment does not."""
    unit = plan.target.scratchpad.alignment
    rows = [r for r in plan.residencies if unit % (graph.tensor[r.tensor].alignment or 1)]
    r = _pick(rng, rows)
    return r and _swap_row(plan, r, r._replace(offset=r.offset + unit))


@_mutation
def offset_negative(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and _swap_row(plan, r, r._replace(offset=-plan.target.scratchpad.alignment))


@_mutation
def offset_beyond_capacity(rng, graph, plan):
    r = _pick(rng, [r for r in plan.residencies if r.size])
    capacity = plan.target.scratchpad.capacity
    unit = plan.target.scratchpad.alignment
    return _swap_row(plan, r, r._replace(offset=-(-capacity // unit) * unit)) if r and capacity else None


@_mutation
def capacity_below_peak(rng, graph, plan):
    if plan.metrics.peak < 2:
        return None
    return replace(plan, target=plan.target.with_scratchpad(plan.metrics.peak - 1))


@_mutation
def alignment_raised(rng, graph, plan):
    r = _pick(rng, [r for r in plan.residencies if r.size % 64])
    return replace(plan, target=plan.target.with_scratchpad(None, 64)) if r else None


@_mutation
def size_too_small(rng, graph, plan):
    r = _pick(rng, [r for r in plan.residencies if r.size])
    return r and _swap_row(plan, r, r._replace(size=r.size - 1))


@_mutation
def size_too_large(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and _swap_row(plan, r, r._replace(size=r.size + 1))


@_mutation
def residency_doubled(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and replace(plan, residencies=(*plan.residencies, r))


@_mutation
def residency_empty(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and replace(plan, residencies=(*plan.residencies, r._replace(stop=r.start)))


@_mutation
def residency_past_the_end(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and _swap_row(plan, r, r._replace(stop=len(plan.schedule) + 1))


@_mutation
def residency_before_the_start(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and _swap_row(plan, r, r._replace(start=-1))


@_mutation
def offset_changed_midway(rng, graph, plan):
    r = _pick(rng, [r for r in plan.residencies if r.stop - r.start > 1])
    if r is None:
        return None
    cut = rng.randint(r.start + 1, r.stop - 1)
    high = plan.metrics.peak + 2 * plan.target.scratchpad.alignment
    high -= high % plan.target.scratchpad.alignment
    plan = replace(plan, target=plan.target.with_scratchpad(None))
    parts = (r._replace(stop=cut), r._replace(start=cut, offset=high))
    return replace(plan, residencies=(*(x for x in plan.residencies if x is not r), *parts))


# Operands and origins


@_mutation
def residency_dropped(rng, graph, plan):
    used = [
        r
        for r in plan.residencies
        if not plan.target.direct and any(r.start <= t < r.stop for t in _touches(graph, plan, r.tensor))
    ]
    r = _pick(rng, used)
    return r and _swap_row(plan, r, None)


@_mutation
def freed_before_last_use(rng, graph, plan):
    if plan.target.direct:
        return None
    rows = []
    for r in plan.residencies:
        steps = [t for t in _touches(graph, plan, r.tensor) if r.start < t < r.stop]
        if steps:
            rows.append((r, steps[-1]))
    row = _pick(rng, rows)
    return row and _swap_row(plan, row[0], row[0]._replace(stop=row[1]))


@_mutation
def placed_before_production(rng, graph, plan):
    r = _pick(rng, [r for r in plan.residencies if r.start and r.start == _born(graph, plan, r.tensor)])
    return r and _swap_row(plan, r, r._replace(start=r.start - 1))


@_mutation
def load_dropped(rng, graph, plan):
    places = {(r.tensor, r.offset, r.stop) for r in plan.residencies}
    begun = {(r.tensor, r.start): r.offset for r in plan.residencies}
    loads = [m for m in plan.moves if m.kind == "load"]  # without one, adjoining residencies would be one
    m = _pick(rng, [m for m in loads if (m.tensor, begun[m.tensor, m.issue], m.issue) not in places])
    return m and _swap_move(plan, m, None)


@_mutation
def load_doubled(rng, graph, plan):
    m = _pick(rng, [m for m in plan.moves if m.kind == "load"])
    return m and replace(plan, moves=(*plan.moves, m))


@_mutation
def load_late(rng, graph, plan):
    n = len(plan.schedule)
    m = _pick(rng, [m for m in plan.moves if m.kind == "load" and m.issue + 1 < n])
    return m and _swap_move(plan, m, m._replace(issue=m.issue + 1, due=max(m.due, m.issue + 1)))


@_mutation
def load_early(rng, graph, plan):
    m = _pick(rng, [m for m in plan.moves if m.kind == "load" and m.issue > 0])
    return m and _swap_move(plan, m, m._replace(issue=m.issue - 1, due=m.due - _stepped(plan)))


@_mutation
def load_due_after_use(rng, graph, plan):
    m = _pick(rng, [m for m in plan.moves if m.kind == "load" and m.due in _touches(graph, plan, m.tensor)])
    return m and _swap_move(plan, m, m._replace(due=m.due + 1))


@_mutation
def load_of_what_is_produced(rng, graph, plan):
    r = _pick(rng, [r for r in plan.residencies if r.start == _born(graph, plan, r.tensor)])
    return r and replace(plan, moves=(*plan.moves, Move("load", r.tensor, r.start, r.start)))


@_mutation
def stale_host_copy(rng, graph, plan):
    """The store comes when, or after, the load reads its copy."""
    rows = []
    for store in plan.moves:
        loads = [m for m in plan.moves if m.kind == "load" and m.tensor == store.tensor]
        if store.kind == "store" and loads:
            first = min(m.issue for m in loads)
            later = [r for r in plan.residencies if r.tensor == store.tensor and r.start == first]
            if later:
                rows.append((store, first))
    row = _pick(rng, rows)
    if row is None:
        return None
    store, first = row
    return _swap_move(plan, store, store._replace(issue=first, due=first if _stepped(plan) else first + 1))


@_mutation
def needed_store_dropped(rng, graph, plan):
    outputs = graph.output_storages
    reloaded = {m.tensor for m in plan.moves if m.kind == "load"}
    m = _pick(rng, [m for m in plan.moves if m.kind == "store" and m.tensor in outputs | reloaded])
    return m and _swap_move(plan, m, None)


@_mutation
def store_doubled(rng, graph, plan):
    m = _pick(rng, [m for m in plan.moves if m.kind == "store"])
    return m and replace(plan, moves=(*plan.moves, m))


@_mutation
def store_before_production(rng, graph, plan):
    m = _pick(rng, [m for m in plan.moves if m.kind == "store" and _born(graph, plan, m.tensor) > 0])
    if m is None:
        return None
    early = _born(graph, plan, m.tensor) - 1
    return _swap_move(plan, m, m._replace(issue=early, due=early if _stepped(plan) else m.due))


@_mutation
def store_after_residency(rng, graph, plan):
    n = len(plan.schedule)
    rows = []
    for m in plan.moves:
        stop = max((r.stop for r in plan.residencies if r.tensor == m.tensor), default=n)
        if m.kind == "store" and stop < n:
            rows.append(m._replace(issue=stop, due=stop if _stepped(plan) else stop + 1) and (m, stop))
    row = _pick(rng, rows)
    if row is None:
        return None
    m, stop = row
    return _swap_move(plan, m, m._replace(issue=stop, due=stop if _stepped(plan) else stop + 1))


@_mutation
def store_of_an_input(rng, graph, plan):
    kinds = ("input", "constant")
    r = _pick(rng, [r for r in plan.residencies if graph.tensor[r.tensor].kind in kinds])
    due = r and (r.start if _stepped(plan) else r.start + 1)
    return r and replace(plan, moves=(*plan.moves, Move("store", r.tensor, r.start, due)))


@_mutation
def move_takes_time_in_step_model(rng, graph, plan):
    m = _pick(rng, plan.moves)
    return _swap_move(plan, m, m._replace(due=m.due + 1)) if m and _stepped(plan) else None


@_mutation
def move_due_before_issue(rng, graph, plan):
    m = _pick(rng, plan.moves)
    return m and _swap_move(plan, m, m._replace(due=m.issue - 1))


@_mutation
def move_out_of_range(rng, graph, plan):
    m = _pick(rng, plan.moves)
    far = len(plan.schedule) + 3
    return m and _swap_move(plan, m, m._replace(issue=far, due=far))


@_mutation
def move_kind_unknown(rng, graph, plan):
    m = _pick(rng, plan.moves)
    return m and _swap_move(plan, m, m._replace(kind="copy"))


@_mutation
def move_of_unknown_tensor(rng, graph, plan):
    m = _pick(rng, plan.moves)
    return m and _swap_move(plan, m, m._replace(tensor="nobody"))


@_mutation
def residency_of_unknown_tensor(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and _swap_row(plan, r, r._replace(tensor="nobody"))


@_mutation
def residency_of_a_view(rng, graph, plan):
    pairs = [(r, v) for r in plan.residencies for v, root in graph.aliases.items() if root == r.tensor]
    pair = _pick(rng, pairs)
    return pair and _swap_row(plan, pair[0], pair[0]._replace(tensor=pair[1]))


# Aliases and in-place


@_mutation
def alias_dropped(rng, graph, plan):
    view = _pick(rng, plan.aliases)
    return view and replace(plan, aliases={k: v for k, v in plan.aliases.items() if k != view})


@_mutation
def alias_invented(rng, graph, plan):
    names = [t.name for t in graph.tensors if t.name not in graph.aliases]
    if len(names) < 2:
        return None
    a, b = rng.sample(names, 2)
    return replace(plan, aliases={**plan.aliases, a: b})


@_mutation
def inplace_over_live(rng, graph, plan):
    """An op's output shares the place of an operand that is needed later, or of nobody's operand."""
    rows = []
    for a in plan.residencies:
        for b in plan.residencies:
            t = _born(graph, plan, b.tensor)
            later = [u for u in _touches(graph, plan, a.tensor) if u > t]
            if a.tensor != b.tensor and t == b.start and a.start <= t < a.stop and later:
                rows.append((a, b))
    row = _pick(rng, [r for r in rows if r[1].tensor not in plan.inplace])
    if row is None:
        return None
    a, b = row
    plan = replace(
        plan, inplace={**plan.inplace, b.tensor: a.tensor}, options=replace(plan.options, inplace=True)
    )
    return _swap_row(plan, b, b._replace(offset=a.offset))


@_mutation
def inplace_not_allowed(rng, graph, plan):
    return replace(plan, options=replace(plan.options, inplace=False)) if plan.inplace else None


@_mutation
def inplace_of_nothing(rng, graph, plan):
    on = replace(plan.options, inplace=True)
    return replace(plan, inplace={**plan.inplace, "nobody": "nothing"}, options=on)


@_mutation
def inplace_moved_apart(rng, graph, plan):
    rows = [
        r for r in plan.residencies if r.tensor in plan.inplace and r.start == _born(graph, plan, r.tensor)
    ]
    r = _pick(rng, rows)
    if r is None:
        return None
    unit = plan.target.scratchpad.alignment
    high = -(-plan.metrics.peak // unit) * unit + unit
    plan = replace(plan, target=plan.target.with_scratchpad(None))
    return _swap_row(plan, r, r._replace(offset=high))


# Treatments


@_mutation
def constant_placed_though_ignored(rng, graph, plan):
    r = _pick(rng, [r for r in plan.residencies if graph.tensor[r.tensor].kind == "constant"])
    return r and replace(plan, options=replace(plan.options, weights="ignore"))


@_mutation
def resident_input_loaded(rng, graph, plan):
    r = _pick(rng, [r for r in plan.residencies if graph.tensor[r.tensor].kind == "input"])
    move = r and Move("load", r.tensor, r.start, r.start)
    return replace(plan, moves=(*plan.moves, move)) if r and plan.options.io == "resident" else None


@_mutation
def resident_output_leaves(rng, graph, plan):
    outputs = graph.output_storages
    rows = [r for r in plan.residencies if r.tensor in outputs and r.stop - r.start > 1]
    r = _pick(rng, rows)
    if r is None or plan.options.io != "resident" or graph.tensor[r.tensor].kind == "constant":
        return None
    return _swap_row(plan, r, r._replace(stop=r.stop - 1))


@_mutation
def loaded_inputs_called_resident(rng, graph, plan):
    m = _pick(rng, [m for m in plan.moves if m.kind == "load" and graph.tensor[m.tensor].kind == "input"])
    return m and replace(plan, options=replace(plan.options, io="resident"))


# Pins


def _pinned(plan: Plan, name: str, word: str) -> Plan:
    return replace(plan, options=replace(plan.options, pins={**plan.options.pins, name: word}))


@_mutation
def kept_though_spilled(rng, graph, plan):
    """Two loads, or a load of an activation, begin two residencies with a touch in each."""
    counts: dict[str, int] = {}
    for m in plan.moves:
        if m.kind == "load":
            counts[m.tensor] = counts.get(m.tensor, 0) + 1
    held = {r.tensor for r in plan.residencies if r.start == _born(graph, plan, r.tensor)}
    names = [
        x
        for x, k in counts.items()
        if k > 1 or (x in held and graph.tensor[x].kind not in ("input", "constant"))
    ]
    name = _pick(rng, names)
    return name and _pinned(plan, name, "keep")


@_mutation
def kept_though_in_host(rng, graph, plan):
    placed = {r.tensor for r in plan.residencies}
    names = {graph.storage_of[t.name] for t in graph.tensors} - placed
    name = _pick(rng, sorted(x for x in names if _touches(graph, plan, x)))
    return name and _pinned(plan, name, "keep")


@_mutation
def pinned_to_host_though_placed(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and _pinned(plan, r.tensor, "host")


@_mutation
def pinned_elsewhere(rng, graph, plan):
    r = _pick(rng, plan.residencies)
    return r and _pinned(plan, r.tensor, f"@{r.offset + plan.target.scratchpad.alignment}")


@_mutation
def pinned_unknown(rng, graph, plan):
    return _pinned(plan, "nobody", "keep")


# Claims


def _claim(name: str, change: Callable[[random.Random, Plan], Plan | None]) -> None:
    MUTATIONS[f"claim_{name}"] = lambda rng, graph, plan: change(rng, plan)


for _field in ("spill_store", "spill_load", "compulsory_load", "compulsory_store", "live_peak", "peak"):
    _claim(
        _field,
        lambda rng, plan, f=_field: replace(
            plan, metrics=plan.metrics._replace(**{f: getattr(plan.metrics, f) + rng.choice((-1, 1))})
        ),
    )
for _field in ("latency_s", "latency_all_host_s", "latency_unlimited_s"):
    _claim(
        _field,
        lambda rng, plan, f=_field: replace(
            plan, metrics=plan.metrics._replace(**{f: (getattr(plan.metrics, f) or 0.0) * 1.001 + 1e-6})
        ),
    )
_claim("value", lambda rng, plan: replace(plan, value=plan.value + 1))
_claim("bound", lambda rng, plan: replace(plan, bound=plan.value + 1))
_claim(
    "optimal",
    lambda rng, plan: replace(plan, bound=plan.value / 2, status=Status.OPTIMAL) if plan.value else None,
)
_claim("feasible", lambda rng, plan: replace(plan, bound=plan.value, status=Status.FEASIBLE))
_claim("infeasible", lambda rng, plan: replace(plan, status=Status.INFEASIBLE) if plan.schedule else None)
_claim("graph", lambda rng, plan: replace(plan, graph=plan.graph + "'"))
_claim("sha256", lambda rng, plan: replace(plan, graph_sha256="0" * 64))
