"""What can be joined, where parts and hosted operands lie then, and what a problem needs whatever is joined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.target import Target
from memplan.problem.joins import Hosted, lying, places
from memplan.problem.options import Options
from memplan.problem.problem import Problem


def nested(part: str = "activation", outputs: tuple[str, ...] = ("y",)) -> Graph:
    """x -> r -> a; x -> b; c = a beside b; x -> d; e = d beside c; c, e -> y: 2 bytes each of a, b, d; a is written over r."""
    kinds = {"x": "input", "b": part}
    sizes = {"x": 1, "r": 2, "a": 2, "b": 2, "c": 4, "d": 2, "e": 6, "y": 1}
    tensors = tuple(Tensor(s, n, kinds.get(s, "activation")) for s, n in sizes.items())
    ops = (
        Op("r", "Conv", ("x",), ("r",)),
        Op("a", "Relu", ("r",), ("a",), overwrites=(("a", "r"),)),
        *((Op("b", "Conv", ("x",), ("b",)),) if part == "activation" else ()),
        Op("c", "Concat", ("a", "b"), ("c",), joins=(("a", 0), ("b", 2))),
        Op("d", "Conv", ("x",), ("d",)),
        Op("e", "Concat", ("d", "c"), ("e",), joins=(("d", 0), ("c", 2))),
        Op("y", "Conv", ("c", "e"), ("y",)),
    )
    return Graph("nested", tensors, ops, outputs)


def posed(graph: Graph | None = None, alignment: int = 1, **options: Any) -> Problem:
    return Problem(
        graph or nested(), Target().with_scratchpad(None, alignment), Options("peak", join=True, **options)
    )


@pytest.mark.parametrize(
    ("problem", "names"),
    [
        (posed(), "c e"),
        (posed(alignment=2), "c e"),
        (posed(alignment=4), ""),
        (posed(nested(part="input")), "e"),
        (posed(nested(part="constant")), "e"),
        (posed(nested(outputs=("y", "a"))), "e"),
        (posed(nested(outputs=("y", "e"))), "c e"),
        (posed(nested(outputs=("y", "e")), io="external"), "c"),
        (posed(pins={"d": "keep"}), "c"),
        (posed(pins={"d": "@0"}), "c"),
        (posed(pins={"e": "keep"}), "c e"),
    ],
)
def test_parts_are_nobody_elses_and_aligned_and_the_output_has_a_place(problem: Problem, names: str) -> None:
    assert " ".join(problem.joinable) == names


def test_parts_lie_in_the_outermost_joined_output() -> None:
    assert places(nested(), ("c", "e")) == {"d": ("e", 0), "c": ("e", 2), "a": ("e", 2), "b": ("e", 4)}
    assert places(nested(), ("c",)) == {"a": ("c", 0), "b": ("c", 2)}
    assert lying(nested(), (), ("c", "e"), Options()) == {
        "c": ("a", "b", "c"),
        "e": ("d", "a", "b", "c", "e"),
    }


def test_a_joined_output_is_one_storage_that_several_ops_write() -> None:
    whole = posed()
    problem = replace(whole, options=replace(whole.options, join=False), joined=("c", "e"))
    assert [s.name for s in problem.storages] == ["x", "r", "e", "y"]
    joined = problem.storages[problem.number["e"]]
    assert (joined.producer, joined.uses, joined.keep) == (-1, (1, 2, 3, 4, 5, 6), True)
    assert problem.writers == {problem.number["e"]: (4, 1, 2)}


def test_an_operand_lies_where_a_part_will_be_written_over_it() -> None:
    whole = posed(inplace=True)
    problem = replace(whole, options=replace(whole.options, join=False), joined=("e",))
    assert problem.hosted == ()  # c is no op that writes over something
    both = replace(problem, joined=("c", "e"))
    assert both.hosted == (Hosted("r", "a", 1, "e", 2),)
    assert [s.name for s in both.storages] == ["x", "e", "y"]
    assert replace(both, options=replace(both.options, inplace=False)).hosted == ()


def test_a_scattered_output_has_no_bytes_but_those_of_its_parts() -> None:
    whole = posed()
    assert whole.relaxed.scattered == ("c", "e")
    sizes = {s.name: (s.size, s.touches) for s in whole.relaxed.storages}
    assert sizes["a"] == (2, (1, 3, 5, 6)) and sizes["d"] == (2, (4, 5, 6))
    assert sizes["c"] == (0, (3, 5, 6)) and sizes["e"] == (0, (5, 6))
    assert [s.name for s in whole.relaxed.storages] == [s.name for s in whole.storages]
    apart = replace(whole, options=replace(whole.options, join=False))
    assert apart.relaxed is apart


def test_a_part_counts_once_beside_what_it_lies_in() -> None:
    whole = posed()
    apart = replace(whole, options=replace(whole.options, join=False))
    assert (whole.min_capacity, apart.min_capacity) == (7, 12)  # c in e, and y; d, c and e
    assert whole.need[6] == 7 and apart.need[6] == 11


def test_a_part_that_stands_for_an_output_stays_to_the_end_where_nothing_is_spilled() -> None:
    graph = nested(outputs=("y", "e"))
    peak = posed(graph, io="resident").relaxed
    traffic = replace(peak, options=replace(peak.options, objective="traffic"))
    for problem, stays in ((peak, True), (traffic, False)):
        d = problem.storages[problem.number["d"]]
        assert (d.is_output, d.resident) == (True, stays)


def test_the_least_capacity_counts_on_joins_of_pinned_parts_which_plans_may_make() -> None:
    tensors = Tensor("x", 1, "input"), Tensor("a", 8), Tensor("b", 8), Tensor("j", 16)
    ops = (
        Op("p", "Conv", ("x",), ("a", "b")),
        Op("join", "Concat", ("a", "b"), ("j",), joins=(("a", 0), ("b", 8))),
    )
    problem = Problem(Graph("g", tensors, ops, ("j",)), Target(), Options(join=True, pins={"a": "keep"}))
    assert problem.joinable == () and problem.min_capacity == 17
