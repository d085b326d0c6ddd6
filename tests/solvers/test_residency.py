"""From an order and stretches of presence to residencies and moves, and back."""

from __future__ import annotations

import random
from dataclasses import replace

from memplan_solvers.residency import (
    Block,
    Walk,
    blocks_of,
    materialise,
    read_plan,
    stretches_of,
    traffic,
)

from memplan.judge.check.check import check
from memplan.judge.simulate import simulate
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from tests.agree import random_problem
from tests.generate import random_order
from tests.plans import load, row, store
from tests.programs import problem


def walk_of(found: Problem, *order: int) -> Walk:
    return Walk(found, order or tuple(range(found.n)))


def plan_of(walk: Walk, blocks: list[Block], offsets: list[int]) -> Plan:
    residencies, moves, inplace = materialise(walk, blocks, offsets)
    graph, found = walk.problem.graph, walk.problem
    schedule = tuple(graph.ops[i].name for i in walk.order)
    return Plan(
        graph.name, graph.sha256, found.target, found.options, "t", Status.FEASIBLE, schedule,
        tuple(residencies), tuple(moves), graph.aliases, tuple(sorted(inplace)),
    )  # fmt: skip


def test_a_walk_says_which_steps_touch_a_storage() -> None:
    walk = walk_of(problem("x>a x>b a,b>y"), 1, 0, 2)  # x, a, b, y
    assert [set(touched) for touched in walk.touches] == [{0, 2}, {0, 1}, {1, 2, 3}]
    assert walk.steps == ((0, 1), (1, 2), (0, 2), (2,))
    assert walk.whole == [[(0, 2)], [(1, 3)], [(0, 3)], [(2, 3)]]


def test_the_caller_s_buffers_are_there_from_start_to_end_and_streamed_weights_come_and_go() -> None:
    resident = walk_of(problem("x0>a x1,a>y y>z", io="resident"))
    assert dict(zip((s.name for s in resident.problem.storages), resident.whole, strict=True)) == {
        "x0": [(0, 1)], "a": [(0, 2)], "x1": [(0, 2)], "y": [(1, 3)], "z": [(2, 3)],
    }  # fmt: skip
    streamed = walk_of(problem("x,w>a a,w>y", weights="stream"))
    assert streamed.whole[streamed.problem.number["w"]] == [(0, 1), (1, 2)]


def test_in_place_pairs_follow_the_order() -> None:
    words = "x>a a>b a>y"
    overwriting = problem(words, overwriting="op1 op2", inplace=True)
    x, a, b, y = (overwriting.number[name] for name in "xaby")
    assert walk_of(overwriting).inplace == {y: a}  # op1 is not the last to read a
    assert walk_of(overwriting, 0, 2, 1).inplace == {b: a}
    once = problem("x>a x0>c a,c>b c>y", overwriting="op2 op3", inplace=True)
    assert walk_of(once).inplace == {once.number["b"]: once.number["a"], once.number["y"]: once.number["c"]}


def test_no_chain_joins_two_pinned_places() -> None:
    chain = problem("x>a a>b b>c c>y", overwriting="op1 op2", inplace=True, pins={"a": "@0", "c": "@8"})
    a, b, c = (chain.number[name] for name in "abc")
    assert walk_of(chain).inplace == {b: a}  # then b lies at 0, and c cannot
    assert c not in walk_of(chain).inplace


def test_pairs_whose_stretches_meet_share_a_block() -> None:
    chain = problem("x>a a>b b>y", {"a": 3, "b": 3}, overwriting="op1", inplace=True, pins={"b": "@8"})
    walk = walk_of(chain)
    a, b = chain.number["a"], chain.number["b"]
    (shared,) = [block for block in blocks_of(walk, walk.whole) if len(block.members) == 2]
    assert (shared.start, shared.stop, shared.size, shared.offset) == (0, 3, 3, 8)
    assert shared.members == [(a, (0, 2)), (b, (1, 3))]
    kept = [
        [(0, 3)] if s == a else each for s, each in enumerate(walk.whole)
    ]  # a stays longer: they do not meet
    assert all(len(block.members) == 1 for block in blocks_of(walk, kept))


def test_a_spill_is_stored_at_the_end_of_the_first_stretch_and_loaded_for_each_other() -> None:
    spilled = problem("x>a a>b a>c a,b,c>y", {"a": 4})
    walk = walk_of(spilled)
    stretches = [
        [(0, 2), (3, 4)] if s.name == "a" else each
        for s, each in zip(spilled.storages, walk.whole, strict=True)
    ]
    stretches[spilled.number["a"]] = [(0, 1), (1, 2), (2, 3), (3, 4)]
    blocks = blocks_of(walk, stretches)
    _, moves, _ = materialise(walk, blocks, [0] * len(blocks))
    assert [m for m in moves if m.tensor == "a"] == [
        store("a", 1), load("a", 1), load("a", 2), load("a", 3),
    ]  # fmt: skip
    assert [m for m in moves if m.tensor in "xy"] == [load("x", 0), store("y", 4)]
    assert traffic(spilled, stretches) == 4 * 3 + 4
    again = [
        [(0, 1), (1, 2)] if s.is_input else each for s, each in zip(spilled.storages, walk.whole, strict=True)
    ]
    assert traffic(spilled, again) == 1  # host has it: nothing is stored


def test_any_stretches_make_a_valid_plan_that_reads_back_and_costs_what_is_said() -> None:
    spilling = chains = 0
    for seed in range(300):
        dice = random.Random(seed)
        found = random_problem(seed, "traffic", pins=False)
        found = replace(found, target=found.target.with_scratchpad(None, found.target.scratchpad.alignment))
        if found.options.order == "program":
            walk = walk_of(found)
        else:
            at = {op.name: i for i, op in enumerate(found.graph.ops)}
            walk = Walk(found, tuple(at[op.name] for op in random_order(dice, found.graph)))
        stretches = [_torn(dice, steps, whole, s.pinned) for s, steps, whole in zip(
            found.storages, walk.steps, walk.whole, strict=True)]  # fmt: skip
        blocks = blocks_of(walk, stretches)
        offsets, top = [], 0
        for block in blocks:  # everything beside all else
            offsets.append(top)
            top += block.size
        plan = plan_of(walk, blocks, offsets)
        assert check(found.graph, plan, claims=False) == [], seed
        assert simulate(found.graph, plan).traffic == traffic(found, stretches), seed
        again = read_plan(found, plan)
        assert again[0].order == walk.order and stretches_of(found, again[1]) == stretches_of(found, blocks)
        made = plan_of(*again)
        assert sorted(made.residencies) == sorted(plan.residencies), seed
        assert replace(made, residencies=plan.residencies) == plan, seed
        spilling += simulate(found.graph, plan).traffic > 0
        chains += bool(plan.inplace)
    assert spilling > 100 and chains > 20


def _torn(
    dice: random.Random, steps: tuple[int, ...], whole: list[tuple[int, int]], stays: bool
) -> list[tuple[int, int]]:
    """The whole stretch, or one that leaves somewhere between two touches."""
    if stays or len(whole) > 1 or len(steps) < 2 or dice.random() < 0.5:
        return whole
    found = [(whole[0][0], steps[0] + 1)]
    for step in steps[1:]:
        if dice.random() < 0.5:
            found.append((step, step + 1))
        else:
            found[-1] = found[-1][0], step + 1
    return [*found[:-1], (found[-1][0], max(found[-1][1], whole[0][1]))]


def test_residencies_have_the_aligned_size() -> None:
    aligned = problem("x>y", {"x": 3}, alignment=4)
    walk = walk_of(aligned)
    rows, _, _ = materialise(walk, blocks_of(walk, walk.whole), [4, 8])
    assert rows == [row("x", 0, 1, 4, 4), row("y", 0, 1, 8, 4)]
