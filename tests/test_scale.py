"""What looks at plans grows with their size, also where one storage comes and goes at every step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from memplan.base.garbage import collection_paused
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.simulate import simulate
from memplan.machine.parts import Compute, Memory
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from memplan.views.svg import svg_text
from memplan.views.text import plan_dump
from tests.plans import load, row, store

STEPS = 4000
TIMED = two_level(
    "timed",
    Memory("scratchpad", 10**9, bandwidth=2e9),
    Memory("host", bandwidth=1e9),
    compute=Compute(1e9),
)


def _coming_and_going(kind: str, weights: str) -> tuple[Graph, Plan]:
    """Storage `s` is read by every op and loaded anew for each, but `a` stays."""
    head = Op("make", "Conv", ("i",), ("s", "a"))
    middle = tuple(Op(f"op{k}", "Conv", ("s",), (f"y{k}",)) for k in range(STEPS))
    tail = Op("end", "Conv", ("a",), ("y",))
    ops = (head, *middle, tail) if kind == "activation" else (*middle,)
    names = dict.fromkeys(x for op in ops for x in (*op.inputs, *op.outputs))
    kinds = {"i": "input", "s": kind}
    graph = Graph("net", tuple(Tensor(x, 4, kinds.get(x, "activation")) for x in names), ops)
    last, first = len(ops), int(kind == "activation")
    held = [row("s", t, t + 1, 0, 4) for t in range(last - first)]
    held += [row(f"y{k}", k + first, k + first + 1, 4, 4) for k in range(STEPS)]
    moves = [load("s", t) for t in range(first, last - first)]
    if first:
        held += [
            row("i", 0, 1, 4, 4),
            row("a", 0, last, 8, 4),
            row("y", last - 1, last, 0, 4),
        ]
        moves = [load("i", 0), store("s", 1), *moves]
    options = Options(objective="traffic", weights=weights)
    plan = Plan(
        graph.name, graph.sha256, TIMED, options, "test", Status.FEASIBLE,
        tuple(op.name for op in ops), tuple(held), tuple(moves),
    )  # fmt: skip
    metrics = simulate(graph, plan)
    return graph, replace(plan, metrics=metrics, value=metrics.traffic)


@pytest.mark.parametrize(
    ("kind", "weights"), [("activation", "tensor"), ("input", "tensor"), ("constant", "stream")]
)
@pytest.mark.slow(reason="plans large graphs")
def test_a_storage_that_comes_and_goes_at_every_step(kind: str, weights: str) -> None:
    graph, plan = _coming_and_going(kind, weights)
    assert check(graph, plan, claims=False) == []
    assert plan.metrics.spill_load == 4 * (STEPS - (kind != "activation"))
    for look in (lambda: check(graph, plan), lambda: plan_dump(graph, plan), lambda: svg_text(graph, plan)):
        assert _seconds(look) < 2  # a look at every pair takes five times as long


def test_moves_that_one_step_awaits() -> None:
    names = [f"i{k}" for k in range(4 * STEPS)]
    graph = Graph(
        "net",
        (*(Tensor(x, 4, "input") for x in names), Tensor("y", 4)),
        (Op("op", "Sum", tuple(names), ("y",)),),
    )
    held = [row(x, 0, 1, 4 * k, 4) for k, x in enumerate([*names, "y"])]
    plan = Plan(
        graph.name, graph.sha256, TIMED, Options(), "test", Status.FEASIBLE, ("op",), tuple(held),
        tuple(load(x, 0) for x in names),
    )  # fmt: skip
    assert _seconds(lambda: simulate(graph, plan)) < 2


@pytest.mark.slow(reason="judges large plans")
def test_workspaces_of_many_ops() -> None:
    """Each op's is found among the residencies of that storage, not among all."""
    count = 2 * STEPS
    tensors = (
        Tensor("t0", 4, "input"),
        *(Tensor(f"t{k}", 4) for k in range(1, count + 1)),
        *(Tensor(f"w{k}", 4, "workspace") for k in range(count)),
    )
    ops = tuple(
        Op(f"op{k}", "Conv", (f"t{k}",), (f"t{k + 1}", f"w{k}"), workspace=f"w{k}") for k in range(count)
    )
    held = [row(f"t{k}", max(k - 1, 0), min(k + 1, count), k % 2 * 4, 4) for k in range(count + 1)]
    held += [row(f"w{k}", k, k + 1, 8, 4) for k in range(count)]
    graph = Graph("net", tensors, ops)
    plan = Plan(
        graph.name, graph.sha256, TIMED, Options(), "test", Status.FEASIBLE,
        tuple(op.name for op in ops), tuple(held), (load("t0", 0),),
    )  # fmt: skip
    assert check(graph, plan, claims=False) == []
    assert _seconds(lambda: check(graph, plan, claims=False)) < 2


def test_a_wrong_plan_is_refused_without_a_look_at_every_pair() -> None:
    """All at one address, all nearly so, and one storage in many places at once."""
    names = [f"i{k}" for k in range(STEPS)]
    graph = Graph(
        "net",
        (*(Tensor(x, 4, "input") for x in names), Tensor("y", 4)),
        (Op("op", "Sum", tuple(names), ("y",)),),
    )
    for step in (0, 1):
        held = [row(x, 0, 1, step * k, 4) for k, x in enumerate([*names, "y"])]
        plan = Plan(
            graph.name, graph.sha256, TIMED, Options(), "test", Status.FEASIBLE, ("op",), tuple(held),
            tuple(load(x, 0) for x in names),
        )  # fmt: skip
        begin = time.process_time()
        found = check(graph, plan)
        assert time.process_time() - begin < 2
        assert found[0].rule == "space" and len(found) <= 2 * len(held)
    held = [row("i0", 0, 1, 4 * k, 4) for k in range(STEPS)]
    assert _seconds(lambda: check(graph, replace(plan, residencies=tuple(held)))) < 2


def _seconds(look: Callable[[], object]) -> float:
    with collection_paused():  # garbage of other tests is not what takes the time
        begin = time.process_time()
        look()
        return time.process_time() - begin
