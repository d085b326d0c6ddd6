"""Donated inputs: an output takes over the storage of the input it renews, whoever plans."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

import memplan
from memplan import Graph, Op, Plan, Tensor
from memplan.base.errors import OptionError
from memplan.cli import main
from memplan.io.graph_json import graph_text
from memplan.io.plan_json import read_plan
from memplan.solving.registry import registry
from tests.graphs import graph_of


def cache_graph() -> Graph:
    """A cache of 64 bytes gets a row written; what reads it before and after is small."""
    tensors = (
        Tensor("cache", 64, "input", "int8", (8, 8)),
        Tensor("row", 8, "input", "int8", (8,)),
        Tensor("new", 64, "output", "int8", (8, 8)),
        Tensor("sum", 8, "output", "int8", (8,)),
    )
    ops = (
        Op("write", "aten.index_copy.default", ("cache", "row"), ("new",)),
        Op("read", "aten.sum.dim_IntList", ("new",), ("sum",)),
    )
    return graph_of("cache", tensors, ops, (("new", "cache"),))


def planned(graph: Graph, **options: object) -> Plan:
    plan = memplan.plan(graph, solver="greedy", workers=1, **options)  # type: ignore[arg-type]
    assert memplan.check(graph, plan) == []
    return plan


@pytest.mark.parametrize("io", ["host", "resident"])
@pytest.mark.parametrize("objective", ["traffic", "peak"])
def test_a_renewed_buffer_counts_once(io: str, objective: str) -> None:
    graph = cache_graph()
    apart = planned(graph, io=io, objective=objective)
    together = planned(graph, io=io, objective=objective, donate="updated")
    assert apart.metrics.peak >= 136 and not apart.inplace
    assert together.metrics.peak <= 80 and together.overwritten == {"new": "cache"}
    assert together.options.donate == ("cache",)


@pytest.mark.parametrize(  # not the one whose allocator rounds to 512 bytes, nor those that are not for scratchpads or know nothing of donation
    "solver", sorted(registry().keys() - {"pytorch", "placement", "recompute"})
)
def test_every_solver_fits_where_only_donation_lets_it(solver: str) -> None:
    """72 bytes: the cache and a row, or the cache and the sum, but never the cache twice."""
    graph = cache_graph()
    for objective in sorted({*registry()[solver].supports.objectives} - {"latency", "compute"}):
        refused = memplan.plan(graph, solver=solver, scratchpad=72, objective=objective, workers=1)
        assert refused.status == "infeasible"
        found = memplan.plan(
            graph, solver=solver, scratchpad=72, objective=objective, donate=["cache"], workers=1
        )
        assert memplan.check(graph, found) == [] and found.overwritten == {"new": "cache"}


def test_a_donated_input_with_a_later_use_is_not_written_over() -> None:
    graph = cache_graph()
    later = Op("later", "aten.sum.dim_IntList", ("cache", "sum"), ("end",))
    longer = replace(
        graph,
        ops=(*graph.ops, later),
        tensors=(*graph.tensors, Tensor("end", 8, "activation", "int8", (8,))),
        outputs=(*graph.outputs, "end"),
    )
    assert not planned(longer, order="program", donate="updated").inplace


def test_the_checker_wants_the_donation_recorded() -> None:
    graph = cache_graph()
    plan = planned(graph, donate="updated")
    denied = replace(plan, options=replace(plan.options, donate=()))
    assert any(v.rule == "inplace" for v in memplan.check(graph, denied))
    other = replace(plan, options=replace(plan.options, donate=("row",)))
    assert any(v.rule == "inplace" for v in memplan.check(graph, other))


def test_only_the_first_operand_of_an_update_may_be_written_over() -> None:
    graph = cache_graph()
    square = replace(graph, tensors=tuple(replace(t, nbytes=64, shape=(8, 8)) for t in graph.tensors))
    assert planned(square, donate=["cache"]).overwritten == {"new": "cache"}
    assert not planned(square, donate=["row"]).inplace


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="'cash' cannot be donated") as caught:
        memplan.plan(cache_graph(), donate="cash")
    assert "cache" in caught.value.hint
    with pytest.raises(OptionError, match="'new'"):
        memplan.plan(cache_graph(), donate=["new"])


def test_donate_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    path.write_text(graph_text(cache_graph()))
    words = ["--scratchpad", "72", "--solver", "greedy", "-o", str(tmp_path)]
    assert main(["plan", str(path), *words]) == 3
    assert main(["plan", str(path), "--donate", "updated", *words]) == 0
    plan = read_plan(tmp_path / "cache.plan.json")
    assert plan.options.donate == ("cache",)
    assert main(["check", str(path), str(tmp_path / "cache.plan.json")]) == 0
    assert main(["plan", str(path), "--donate", "nothing", *words]) == 2


@pytest.mark.parametrize("io", ["host", "resident"])
def test_a_donated_buffer_whose_next_value_is_made_elsewhere_stays(io: str) -> None:
    tensors = tuple(Tensor(s, 64, "input" if s == "x" else "activation", "int8", (64,)) for s in "xayz")
    ops = (
        Op("p", "Conv", ("x",), ("y",)),
        Op("q", "Conv", ("y",), ("a",)),
        Op("r", "Conv", ("x", "a"), ("z",)),
    )
    graph = Graph("elsewhere", tensors, ops, ("y", "z"), (("y", "x"),))
    for solver in ("greedy", "baseline"):
        plan = memplan.plan(graph, io=io, donate="updated", solver=solver, workers=1)
        assert plan.schedule and plan.options.donate == () and memplan.check(graph, plan) == []


def test_a_renewed_input_is_written_over_by_its_next_value_alone() -> None:
    """p may write a over x, whose next value y is; resident, y would then end elsewhere."""
    tensors = tuple(Tensor(s, 4, "input" if s == "x" else "activation", "int8", (4,)) for s in "xay")
    ops = (
        Op("p", "Relu", ("x",), ("a",), overwrites=(("a", "x"),)),
        Op("q", "Relu", ("a",), ("y",), overwrites=(("y", "a"),)),
    )
    graph = Graph("renewed", tensors, ops, ("a", "y"), (("y", "x"),))
    for io, solver in product(("host", "resident"), ("greedy", "baseline", "portfolio")):
        plan = memplan.plan(graph, io=io, inplace=True, donate="updated", solver=solver, workers=1)
        assert plan.schedule and memplan.check(graph, plan) == []
