"""`search` against brute force, with each of its rules left out, and on graphs whose optimum takes a proof."""

from __future__ import annotations

import random
import time

import pytest
from memplan_solvers.compiled import load
from memplan_solvers.greedy import Greedy
from memplan_solvers.place import place
from memplan_solvers.residency import traffic
from memplan_solvers.search.decomposition import MOST_OPS_WHOLE, Bracket, Decomposition
from memplan_solvers.search.engine import RULES, Engine
from memplan_solvers.search.frontier import Frontiers
from memplan_solvers.search.layered_search import SearchResult, search_layers
from memplan_solvers.search.lns import PartialPlan, improve_windows
from memplan_solvers.search.search import Search
from memplan_solvers.search.subproblem import PROHIBITIVE, Subproblem, subproblems, whole

from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits, Progress
from memplan.solving.planning import make_problem, plan
from memplan.solving.registry import parse_spec
from tests.agree import check, check_frontiers, check_states_without, random_problem
from tests.graphs import graph_of
from tests.oracle import Oracle
from tests.stages import stage

SEEDS = 120
"""Random problems per comparison; two hundred times as many were run once by hand."""


def best(
    problem: Problem, brackets: list[Subproblem], rules: frozenset[str] = RULES, beam: int = 3_000_000
) -> SearchResult:
    """The subproblems' results added up."""
    found = [search_layers(Engine(p, rules), PROHIBITIVE, Limits(60), beam) for p in brackets]
    value = None if any(f.value is None for f in found) else sum(f.value or 0 for f in found)
    order, evictions, complete = (), (), all(f.complete for f in found)
    return SearchResult(
        value, sum(f.bound for f in found), order, evictions, complete, sum(f.states for f in found)
    )


@pytest.mark.slow(reason="searches hard graphs")
def test_agrees_with_brute_force_addresses_included() -> None:
    seen = check("search", range(SEEDS))
    assert seen["traffic optimal"] > SEEDS / 2 and seen["spills"]


@pytest.mark.parametrize("left_out", ["", *sorted(RULES)])
@pytest.mark.slow
def test_every_rule_alone_may_be_left_out(left_out: str) -> None:
    assert check_states_without(left_out, range(SEEDS)) > SEEDS / 20


def test_pieces_add_up_and_a_narrow_beam_keeps_a_true_bound() -> None:
    split = 0
    for seed in range(SEEDS):
        problem = random_problem(seed, "traffic", pins=False)
        least, brackets = Oracle(problem).least_traffic(), subproblems(problem)
        split += len(brackets) > 1
        found = best(problem, brackets)
        assert (None if found.value is None else found.value + problem.free_bound) == least, f"seed {seed}"
        narrow = best(problem, brackets, beam=1)
        if least is not None:
            assert narrow.bound + problem.free_bound <= least, f"seed {seed}"
            assert narrow.value is None or narrow.value + problem.free_bound >= least
    assert split > SEEDS / 4


@pytest.mark.parametrize("solver", ["search", "portfolio"])
def test_proves_a_randomly_wired_stage_and_counts_states(solver: str) -> None:
    heard: list[Progress] = []
    made = plan(stage(3), scratchpad=12, solver=solver, time_limit_s=60, progress=heard.append)
    assert (made.status, made.value) == (Status.OPTIMAL, 4)
    counts = [news.nodes or 0 for news in heard]
    assert max(counts) > 0 and counts == sorted(counts)


@pytest.mark.slow(reason="searches hard graphs")
def test_proves_a_randomly_wired_stage_at_its_least_capacity() -> None:
    made = plan(stage(1), scratchpad="MR", solver="search", time_limit_s=60)
    assert (made.status, made.value) == (Status.OPTIMAL, 23)


def test_stages_in_a_row_are_solved_apart() -> None:
    made = plan(stage(3, nodes=16, stages=3), scratchpad=8, solver="search", time_limit_s=60)
    assert made.status is Status.OPTIMAL and made.value


def test_refuses_a_beam_of_nothing() -> None:
    with pytest.raises(OptionError, match="at least one state"):
        parse_spec("search{beam=0}")


def test_what_is_pruned_bounds_the_cost_and_a_climb_ends_at_the_optimum() -> None:
    jumped = climbed = 0
    for seed in range(SEEDS):
        problem = random_problem(seed, "traffic", pins=False)
        least = Oracle(problem).least_traffic()
        if least is None or least == problem.free_bound:
            continue
        value, subproblem = int(least - problem.free_bound), whole(problem)
        for below in {1, value // 2 + 1, value}:
            found = search_layers(Engine(subproblem), below, Limits(60))
            assert found.order is None and found.complete and below <= found.bound <= value, f"seed {seed}"
            jumped += found.bound > below
        narrow = search_layers(Engine(subproblem), PROHIBITIVE, Limits(60), beam=1)
        if narrow.order is None:
            continue
        bracket = Bracket(subproblem, PartialPlan(subproblem, narrow.order, narrow.evictions))
        bracket.raise_bound(Limits(60), 10**9)
        assert bracket.done and bracket.plan is not None and bracket.low == bracket.plan.value == value, (
            f"seed {seed}"
        )
        climbed += 1
    assert jumped and climbed


@pytest.mark.parametrize("left_out", ["", *sorted(RULES)])
@pytest.mark.slow
def test_frontiers_and_tables_change_no_optimum(left_out: str) -> None:
    assert check_frontiers(left_out, range(SEEDS)) > SEEDS / 50


@pytest.mark.slow(reason="searches hard graphs")
@pytest.mark.parametrize(("seed", "value", "loads", "stores"), [(1, 23, 13, 10), (3, 25, 14, 11)])
def test_loads_and_stores_alone_add_up_to_the_optimum_where_space_is_least(
    seed: int, value: int, loads: int, stores: int
) -> None:
    problem = make_problem(stage(seed), scratchpad="MR")
    engine = Engine(max(subproblems(problem), key=lambda subproblem: subproblem.n))
    assert engine.tabulate(Limits(60))
    assert sum(engine.root()) < value - 5
    frontiers = Frontiers(engine)
    for below in range(value - 5, value + 1):
        assert frontiers.extend(below, Limits(60), 1_000_000) == below
    assert [half.total for half in frontiers.halves] == [loads, stores]


def test_windows_of_storages_never_cost_more_than_the_whole() -> None:
    rng, positive = random.Random(0), 0
    for seed in range(SEEDS):
        problem = random_problem(seed, "traffic")
        least = Oracle(problem).least_traffic()
        if least is None:
            continue
        subproblem, total = whole(problem), int(problem.free_bound)
        side = [rng.random() < 0.5 for _ in subproblem.size]
        for bracket in (True, False):
            window = subproblem.window(s for s, x in enumerate(side) if x is bracket)
            total += best(problem, [window]).bound
        assert total <= least, f"seed {seed}"
        positive += total > problem.free_bound
    assert positive


@pytest.mark.slow(reason="searches hard graphs")
def test_windows_of_steps_improve_a_plan_and_keep_it_valid() -> None:
    better = 0
    for seed, capacity in ((3, 9), (7, 10), (8, 8)):
        problem = make_problem(stage(seed, nodes=24), scratchpad=capacity)
        start = Greedy().best(problem, Limits(60))
        assert start is not None
        brackets = Decomposition(subproblems(problem), problem, (start.answer.walk, start.answer.stretches))
        before = brackets.value
        for bracket in brackets.brackets:
            assert bracket.plan is not None
            bracket.plan = improve_windows(bracket.plan, Limits(60), 0)
        walk, stretches = brackets.answer()
        assert brackets.value == traffic(problem, stretches) <= (before or 0)
        assert place(walk, stretches, capacity, Limits(60)).offsets is not None
        better += brackets.value < (before or 0)
    assert better


def layers(ops: int, width: int = 12) -> Graph:
    """Ops that read what was made shortly before and a little earlier, in all sizes: much is lost to holes."""
    rng = random.Random(0)
    sizes = [rng.randint(1, 16) for _ in range(ops + 1)]
    made, read = [], set()
    for i in range(1, ops + 1):
        sources = {max(0, i - rng.randint(1, width)), max(0, i - rng.randint(1, 6 * width))}
        read |= sources
        made.append(Op(f"op{i}", "Add", tuple(f"t{s}" for s in sorted(sources)), (f"t{i}",)))
    kinds = ["input", *("activation" if i in read else "output" for i in range(1, ops + 1))]
    return graph_of("layers", tuple(Tensor(f"t{i}", z, kinds[i]) for i, z in enumerate(sizes)), tuple(made))


@pytest.mark.slow(reason="plans large graphs")
def test_large_graphs_get_addresses_for_what_windows_find() -> None:
    load("search", Limits())
    graph = layers(MOST_OPS_WHOLE + 100)
    problem = make_problem(graph, scratchpad=240)
    start = Greedy(schedule="program", replace="cost", offsets="time").best(problem, Limits(2))
    assert start is not None
    made = evaluate(graph, Search().improve(problem, Limits(6), start.answer))
    assert made.value is not None and made.value < start.value


@pytest.mark.slow(reason="plans large graphs")
def test_a_long_chain_gets_a_bound_and_addresses_for_its_best_replacement() -> None:
    load("search", Limits())
    rng = random.Random(0)
    sizes = [rng.randint(1, 16) for _ in range(MOST_OPS_WHOLE + 101)]
    reads = [
        {i - 1} | ({max(0, i - rng.randint(2, 60))} if rng.random() < 0.6 else set())
        for i in range(1, len(sizes))
    ]
    used = set().union(*reads)
    ops = [Op(f"op{i}", "Add", tuple(f"t{s}" for s in sorted(x)), (f"t{i}",)) for i, x in enumerate(reads, 1)]
    kinds = ["input", *("activation" if i in used else "output" for i in range(1, len(sizes)))]
    graph = graph_of("chain", tuple(Tensor(f"t{i}", z, kinds[i]) for i, z in enumerate(sizes)), tuple(ops))
    problem = make_problem(graph, scratchpad=130)
    start = Greedy(schedule="program", replace="cost", offsets="time").best(problem, Limits(2))
    assert start is not None
    made = evaluate(graph, Search().improve(problem, Limits(8), start.answer))
    assert made.value is not None and 0.6 * made.value < made.bound <= made.value < start.value


def test_of_too_many_sets_that_may_leave_some_are_skipped_and_the_bound_stays_true() -> None:
    count = 40
    sizes = [16 + k for k in range(count)]
    tensors = [Tensor("t", 1, "input"), *(Tensor(f"t{k}", z) for k, z in enumerate(sizes))]
    ops = [Op(f"op{k}", "Linear", (f"t{k - 1}" if k else "t",), (f"t{k}",)) for k in range(count)]
    ops.append(
        Op("middle", "Linear", (f"t{count - 1}",), ("large",))
    )  # a third of what is live leaves for it
    tensors.append(Tensor("large", sum(sizes) // 3))
    for k in range(0, count, 10):
        ops.append(Op(f"sum{k}", "Sum", ("large", *(f"t{j}" for j in range(k, k + 10))), (f"sum{k}",)))
        tensors.append(Tensor(f"sum{k}", 1, "output"))
    problem = make_problem(graph_of("crowd", tuple(tensors), tuple(ops)), scratchpad=sum(sizes))
    begin = time.process_time()
    found = search_layers(Engine(whole(problem)), PROHIBITIVE, Limits(60), beam=10)
    assert time.process_time() - begin < 20
    assert found.value is not None and found.bound <= found.value and not found.complete
