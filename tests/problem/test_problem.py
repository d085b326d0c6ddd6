"""What a solver sees of a graph, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

import memplan
from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.planning import make_problem
from tests.programs import problem, program

WORDS = "x>a a,w>b a,b>y"
SIZES = {"x": 4, "w": 3, "a": 5, "b": 5, "y": 2}


def names(found: Problem) -> list[str]:
    return [s.name for s in found.storages]


def test_storages_are_numbered_by_their_first_touch() -> None:
    found = problem(WORDS, SIZES, weights="tensor", alignment=4)
    assert names(found) == ["x", "a", "w", "b", "y"]
    assert found.number == {"x": 0, "a": 1, "w": 2, "b": 3, "y": 4}
    assert [s.size for s in found.storages] == [4, 8, 4, 8, 4] and [s.nbytes for s in found.storages] == [
        4,
        5,
        3,
        5,
        2,
    ]
    a, w, y = (found.storages[k] for k in (1, 2, 4))
    assert (a.producer, a.uses, a.touches) == (0, (1, 2), (0, 1, 2)) and not a.in_host
    assert (w.producer, w.uses, w.in_host, w.is_constant) == (-1, (1,), True, True)
    assert (y.producer, y.uses, y.is_output) == (2, (), True)
    assert found.reads == ((0,), (1, 2), (1, 3)) and found.writes == ((1,), (3,), (4,))
    assert found.preds == ((), (0,), (0, 1)) and found.succs == ((1, 2), (2,), ())


def test_what_is_not_placed_has_no_number() -> None:
    assert names(problem(WORDS, SIZES)) == ["x", "a", "b", "y"]  # weights are ignored
    pinned = problem(WORDS, SIZES, pins={"a": "host"})
    anywhere = replace(pinned, target=two_level(direct=True))
    assert names(anywhere) == ["x", "b", "y"]
    graph = Graph(
        "views",
        (Tensor("x", 4, "input"), Tensor("v", 4), Tensor("y", 4)),
        (Op("view", "Reshape", ("x",), ("v",), view=True), Op("op", "Conv", ("v",), ("y",))),
        ("y",),
    )
    viewed = Problem(graph, Target(), Options())
    assert names(viewed) == ["x", "y"] and viewed.reads == ((), (0,)) and viewed.writes == ((), (1,))
    assert viewed.preds == ((), (0,))


def test_an_op_needs_its_operands_and_once_what_it_may_write_over() -> None:
    assert problem(WORDS, SIZES, weights="tensor").need == (9, 13, 12)
    assert problem(WORDS, SIZES).need == (9, 10, 12)
    assert problem(WORDS, SIZES, overwriting="op1").need == (9, 10, 12)  # nobody asked for it
    inplace = problem(WORDS, SIZES, overwriting="op1", inplace=True)
    assert inplace.inplace_pairs == {1: (2, (1,))} and inplace.overwritable == {1}
    assert inplace.need == (9, 5, 12)
    donated = problem("x>y", {"x": 4, "y": 4}, overwriting="op0", donate=("x",))
    assert donated.inplace_pairs == {0: (1, (0,))} and donated.need == (4,)


def test_an_output_and_what_lies_elsewhere_are_not_written_over() -> None:
    outputs = problem("x>y0 y0>y1", overwriting="op1", inplace=True)
    assert outputs.inplace_pairs == {} and outputs.overwriting == {1: (2, (1,))} and outputs.need == (2, 1)
    apart = {"a": "@0", "b": "@8"}
    assert problem("x>a a>b b>y", overwriting="op1", inplace=True, pins=apart).inplace_pairs == {}
    together = {"a": "@8", "b": "@8"}
    assert problem("x>a a>b b>y", overwriting="op1", inplace=True, pins=together).inplace_pairs == {
        1: (2, (1,))
    }


def test_no_plan_is_smaller_than_the_largest_need_and_what_is_pinned() -> None:
    assert problem(WORDS, SIZES).min_capacity == 12
    assert problem(WORDS, SIZES, pins={"b": "@20"}).min_capacity == 25  # where b ends
    # op0 touches x (4) beside a, which is pinned to [5, 10): below it there is room for x, in front of y and b not for b.
    assert (
        problem(WORDS, SIZES, pins={"a": "@4"}).min_capacity == 14
    )  # b above a: 4 + 5 + 5; x, then y, below
    resident = problem("x0,x1>a a>y", {"x0": 9, "x1": 9}, io="resident")
    assert resident.need == (19, 2) and resident.min_capacity == 19
    late = problem("x0>a x1,a>y", {"x0": 9, "x1": 9}, io="resident")
    assert late.need == (10, 11) and late.min_capacity == 18  # both inputs lie there from the start


def test_streamed_weights_come_anew_for_each_use() -> None:
    words, sizes = "x,w>a a,w>b b,w>y", {"w": 7}
    assert problem(words, sizes, weights="stream").free_bound == 14
    assert problem(words, sizes, weights="tensor").free_bound == 0
    assert problem(words, sizes, weights="tensor", objective="peak").free_bound == 9


def test_without_a_limit_there_is_a_place_for_everything_beside_what_is_pinned() -> None:
    assert problem(WORDS, SIZES, capacity=12).byte_limit == 12
    assert problem(WORDS, SIZES).byte_limit == 4 + 5 + 5 + 2 + 5
    assert problem(WORDS, SIZES, pins={"y": "@100"}).byte_limit == 16 + 102


def test_an_op_depends_on_what_it_comes_after_too() -> None:
    tensors = (Tensor("x", 4, "input"), Tensor("a", 4), Tensor("v", 4, place=("a", 0)), Tensor("b", 4))
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("view", "Reshape", ("a",), ("v",), view=True),
        Op("q", "Conv", ("x",), ("b",), after=("view",)),
    )
    found = Problem(Graph("g", tensors, ops), Target(), Options())
    assert found.preds == ((), (0,), (1,)) and found.succs == ((1,), (2,), ())


def test_an_alignment_that_offsets_need_not_have_is_refused_with_one_that_does() -> None:
    tensors = (Tensor("x", 4, "input", alignment=6), Tensor("w", 4, "constant", alignment=64), Tensor("y", 4))
    graph = Graph("g", tensors, (Op("p", "Conv", ("x", "w"), ("y",)),), ("y",))
    with pytest.raises(
        OptionError, match="'x' must be aligned to 6 bytes, .*multiples of 4\nhint: give --alignment 12"
    ):
        make_problem(graph, alignment=4)
    assert make_problem(graph, alignment=12).target.scratchpad.alignment == 12  # the weight is not placed
    with pytest.raises(OptionError, match="give --alignment 192"):
        make_problem(graph, alignment=12, weights="tensor")
    plan = memplan.plan(graph, alignment=192, weights="tensor", solver="greedy")
    assert memplan.check(graph, plan) == []


def test_in_several_memories_each_tensor_gets_the_offsets_that_it_asks_for() -> None:
    tensors = [Tensor("x", 4, "input"), *(Tensor(name, 4, alignment=24) for name in "ab"), Tensor("y", 4)]
    ops = Op("p", "Conv", ("x",), ("a", "b")), Op("q", "Conv", ("a", "b"), ("y",))
    graph = Graph("g", tuple(tensors), ops, ("y",))
    target = Target("three", (Memory("one", 64, alignment=4), Memory("two", alignment=4), Memory("slow")))
    plan = memplan.plan(graph, target, solver="greedy")
    assert {r.offset % 24 for r in plan.residencies if r.tensor in "ab"} == {0}


def test_a_loaded_input_is_written_over_and_a_donated_one_by_its_next_value_alone() -> None:
    loaded = problem("x>y", overwriting="op0", inplace=True)
    assert loaded.inplace_pairs == {0: (1, (0,))}
    assert problem("x>y", overwriting="op0", inplace=True, io="resident").inplace_pairs == {}
    graph = replace(program("x>a x,a>y", inplace="op0 op1"), updates=(("y", "x"),))
    for io in ("host", "resident"):
        renewed = Problem(graph, Target(), Options(io=io, donate=("x",)))
        assert renewed.inplace_pairs == {1: (2, (0,))}


def test_what_is_the_callers_has_no_number() -> None:
    external = problem("x>a a>y", io="external")
    assert names(external) == ["a"] and external.need == (1, 1) and external.reads == ((), (0,))


def test_an_op_that_may_be_joined_needs_its_result_alone() -> None:
    graph = program("x>a x>b a,b>y", {"a": 2, "b": 2, "y": 4})
    joins = replace(graph.ops[2], joins=(("a", 0), ("b", 2)))
    graph = replace(graph, ops=(*graph.ops[:2], joins))
    assert Problem(graph, Target(), Options()).need == (3, 3, 8)
    assert Problem(graph, Target(), Options(join=True)).need == (3, 3, 4)
