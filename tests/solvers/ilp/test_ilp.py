"""`ilp` against a brute force over orders, replacements and packings; the traps of the formulation."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from memplan_solvers.ilp.answer import hint_of, read
from memplan_solvers.ilp.cpsat import solve_cpsat
from memplan_solvers.ilp.formulation import Formulation
from memplan_solvers.ilp.ilp import Ilp
from memplan_solvers.ilp.steps import Steps

from memplan.base.errors import OptionError
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.generate import random_graph
from tests.graphs import graph_of
from tests.solvers.ilp.test_fixed_order import optimum, packs, random_problem, small


def orders(problem: Problem) -> Iterator[Problem]:
    """The problem with each order that its dependencies allow as the program's."""
    n = problem.n
    for order in itertools.permutations(range(n)) if problem.options.order == "free" else [tuple(range(n))]:
        place = {i: t for t, i in enumerate(order)}
        if all(place[p] < place[i] for i in order for p in problem.preds[i]):
            graph = replace(problem.graph, ops=tuple(problem.graph.ops[i] for i in order))
            yield replace(problem, graph=graph)


def least_traffic(problem: Problem) -> int | None:
    return min((v for p in orders(problem) if (v := optimum(p, addresses=True)) is not None), default=None)


def solved(problem: Problem, solver: Ilp) -> Plan:
    return evaluate(problem.graph, solver.solve(problem, Limits(30.0, seed=1)))


@pytest.mark.slow
def test_agrees_with_brute_force_over_orders_and_addresses() -> None:
    compared = spilled = 0
    for seed in range(20_000, 20_800):
        problem = random_problem(seed, 5, order="free")
        if problem.options.inplace or not small(problem):
            continue
        best, plan = least_traffic(problem), solved(problem, Ilp())
        if best is None:
            assert plan.status is Status.INFEASIBLE, seed
            continue
        assert (plan.status, plan.value, plan.bound) == (Status.OPTIMAL, best, best), seed
        compared += 1
        spilled += best > 0
    assert compared > 300 and spilled > 15


@pytest.mark.slow
def test_fixed_schedule_agrees_with_brute_force() -> None:
    compared = 0
    for seed in range(11_000, 11_700):
        problem = random_problem(seed, 7)
        if problem.options.inplace or not small(problem):
            continue
        best, plan = optimum(problem, addresses=True), solved(problem, Ilp())
        assert plan.value == best and (best is None or plan.bound == best), seed
        compared += 1
    assert compared > 250


@pytest.mark.slow(reason="solves many integer programs")
@pytest.mark.parametrize("backend", ["highs", "scip"])
def test_floating_backends_agree_and_never_overbid(backend: str) -> None:
    for seed in range(12_000, 12_120):
        problem = random_problem(seed, 5, order="free")
        exact, other = solved(problem, Ilp()), solved(problem, Ilp(backend=backend))
        if exact.value is not None and other.value is not None:
            assert other.bound <= exact.value <= other.value, seed
            if not problem.options.inplace:
                assert other.value == exact.value, seed


@pytest.mark.slow(reason="solves many integer programs")
def test_peak_mode_agrees_with_brute_force() -> None:
    compared = 0
    for seed in range(13_000, 13_250):
        problem = random_problem(seed, 5, order="free")
        options = replace(problem.options, objective="peak", inplace=False)
        problem = replace(problem, options=options, target=problem.target.with_scratchpad(None))
        plan = solved(problem, Ilp())
        assert plan.status is Status.OPTIMAL and plan.metrics.spill_store == 0
        assert plan.value == min(_packed_peak(p) for p in orders(problem)), seed
        compared += 1
    assert compared == 250


def _packed_peak(problem: Problem) -> int:
    """The least capacity that holds the program's order without spills."""
    n, io = problem.n, problem.options.io == "resident"
    rows = []
    for s in problem.storages:
        steps = sorted(s.touches)
        if problem.options.weights == "stream" and s.is_constant:
            rows += [(t, t + 1, s.size) for t in steps]
            continue
        start = 0 if io and s.is_input else steps[0]
        stop = n if io and s.is_output and not s.is_constant else steps[-1] + 1
        rows.append((start, stop, s.size))
    align = problem.target.scratchpad.alignment
    capacity = max((sum(z for a, b, z in rows if a <= t < b) for t in range(n)), default=0)
    while not packs(rows, capacity, align):
        capacity += align
    return capacity


@pytest.mark.slow
def test_in_place_bound_holds() -> None:
    proved = 0
    for seed in range(14_000, 14_150):
        problem = random_problem(seed, 6, order="free")
        problem = replace(problem, options=replace(problem.options, inplace=True))
        values = [solved(p, Ilp()).value for p in orders(problem)] if problem.n <= 4 else []
        plan = solved(problem, Ilp())
        greedy = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits()))
        for value in (*values, greedy.value):
            assert value is None or plan.bound <= value, seed
        proved += plan.status is Status.OPTIMAL
    assert proved > 100


@pytest.mark.slow(reason="solves many integer programs")
def test_symmetry_breaking_and_windows_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twins off and windows as wide as can be: the same optima."""
    problems = [random_problem(seed, 5, order="free") for seed in range(15_000, 15_150)]
    problems.append(_twins())
    plain = [solved(p, Ilp()) for p in problems]
    assert Steps(_twins()).twins
    monkeypatch.setattr(Steps, "twins", [])
    monkeypatch.setattr(Steps, "windows", property(lambda self: [(0, len(self.ops) - 1)] * len(self.ops)))
    for problem, before in zip(problems, plain, strict=True):
        after = solved(problem, Ilp())
        assert (after.value, after.bound) == (before.value, before.bound)


def _twins() -> Problem:
    """Four ops alike between an input and a sink, beside a chain; the sink alone fills the scratchpad."""
    tensors = [Tensor("x", 4, "input"), Tensor("y", 3, "output"), Tensor("c", 5), Tensor("d", 2)]
    ops = []
    for i in range(4):
        tensors.append(Tensor(f"a{i}", 2))
        ops.append(Op(f"p{i}", "Conv", ("x",), (f"a{i}",)))
    ops += [Op("c", "Conv", ("x",), ("c",)), Op("d", "Conv", ("c",), ("d",))]
    ops.append(Op("r", "Concat", ("a0", "a1", "a2", "a3", "d"), ("y",)))
    return Problem(graph_of("twins", tuple(tensors), tuple(ops)), Target().with_scratchpad(13), Options())


def _point(problem: Problem) -> tuple[Formulation, list[int]]:
    f = Formulation(problem, Steps(problem), Steps(problem).windows, Limits())
    found = solve_cpsat(f.linear, Limits(20.0))
    assert found.x is not None
    return f, found.x


def test_every_step_runs_one_op_and_outputs_come_together() -> None:
    for seed in range(60):
        problem = random_problem(seed, 8, order="free")
        problem = replace(problem, target=problem.target.with_scratchpad(10_000))
        f, x = _point(problem)
        for t in range(f.n):
            assert sum(x[row[t]] for row in f.x if t in row) == 1
        for written in problem.writes:  # eq. 6: one variable serves all outputs of an op
            assert len({tuple(map(tuple, (f.created(s, t) for t in range(f.n)))) for s in written}) <= 1


def test_nothing_is_preserved_or_stored_at_the_first_step_nor_kept_after_the_last_use() -> None:
    rows = kept = 0
    for seed in range(60):
        problem = random_problem(seed, 8, order="free")
        f = Formulation(problem, Steps(problem), Steps(problem).windows, Limits())
        found = solve_cpsat(f.linear, Limits(20.0))
        if found.x is None:
            continue
        for table in (f.preserved, f.stored):
            assert all(0 not in row for row in table.values())
            rows += len(table)
        at = {k: t for k, row in enumerate(f.x) for t, v in row.items() if found.x[v]}
        for table in (f.preserved, f.retrieved):
            for s, row in table.items():
                last = max((at[u] for u in f.steps.uses[s]), default=-1)
                assert all(t <= last for t, v in row.items() if found.x[v])
                kept += any(found.x[v] for v in row.values())
    assert rows > 100 and kept > 100


def test_a_reloaded_input_pays_its_load_alone() -> None:
    tensors = (Tensor("x", 4, "input"), Tensor("a", 6), Tensor("b", 6), Tensor("y", 2, "output"))
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("a",), ("b",)),
        Op("r", "Conv", ("x", "b"), ("y",)),
    )
    plan = solved(Problem(graph_of("g", tensors, ops), Target().with_scratchpad(12), Options()), Ilp())
    assert (plan.status, plan.value, plan.metrics.spill_load) == (Status.OPTIMAL, 4, 4)


def test_hints_are_points_of_the_program() -> None:
    from memplan_solvers.greedy import Greedy

    checked = 0
    for seed in range(200):
        problem = random_problem(seed, 9, order="free")
        if problem.options.inplace:
            continue
        found = Greedy().best(problem, Limits())
        start = None if found is None else found.answer
        f = Formulation(problem, Steps(problem), Steps(problem).windows, Limits())
        x = hint_of(f, start)
        if start is None or x is None or f.steps.twins:
            continue
        assert f.linear.holds(x) and f.linear.value(x) <= start.value
        assert read(f, x)[0] == f.steps.with_views(
            [f.steps.number[i] for i in start.walk.order if i in f.steps.number]
        )
        checked += 1
    assert checked > 60


@pytest.mark.slow(reason="solves many integer programs")
def test_split_improves_and_large_programs_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from memplan_solvers.ilp import ilp

    monkeypatch.setattr(ilp, "MOST_VARIABLES", 0)
    monkeypatch.setattr(ilp, "SPLIT_OPS", 4)
    rng, better = random.Random(3), 0
    for _ in range(12):
        graph = random_graph(rng, 12)
        problem = Problem(graph, Target(), Options())
        problem = replace(problem, target=problem.target.with_scratchpad(max(problem.min_capacity, 8)))
        off, auto = solved(problem, Ilp()), solved(problem, Ilp(split="auto"))
        assert off.bound == auto.bound == 0
        assert auto.value is not None and off.value is not None and auto.value <= off.value
        better += auto.value < off.value
    assert better


def test_progress_and_determinism() -> None:
    problem = _twins()
    lines: list[object] = []
    first = Ilp().solve(problem, Limits(20.0, workers=2, progress=lines.append))
    again = Ilp().solve(problem, Limits(20.0, workers=2))
    assert lines and first == again


def test_unknown_words_and_gaps_are_refused() -> None:
    with pytest.raises(OptionError, match="highs"):
        Ilp(backend="high")
    with pytest.raises(OptionError, match="gap"):
        Ilp(gap=1.5)
