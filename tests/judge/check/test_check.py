"""The checker against valid random plans, mutated ones, and a second checker written apart."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from memplan.ir.graph import Graph
from memplan.judge.check.check import check
from memplan.problem.plan import Plan
from tests.generate import random_graph, random_plan, with_alignments
from tests.generate_wide import shaken, wide_graph, wide_plan
from tests.mutations import MUTATIONS
from tests.naive_check import naive_valid
from tests.wide_mutations import WIDE_MUTATIONS


def _case(seed: int, most_ops: int = 9) -> tuple[random.Random, Graph, Plan]:
    rng = random.Random(seed)
    graph = with_alignments(rng, random_graph(rng, rng.randint(1, most_ops)))
    return rng, graph, random_plan(rng, graph)


@pytest.mark.slow
def test_random_plans_are_valid_to_both_checkers() -> None:
    for seed in range(1000):
        _, graph, plan = _case(seed)
        assert check(graph, plan) == [], seed
        assert naive_valid(graph, plan), seed


def test_mutants_are_rejected() -> None:
    assert len(MUTATIONS) >= 40
    killed: Counter[str] = Counter()
    seed = 0
    while sum(killed.values()) < 3000 or min(killed.values()) < 3:
        rng, graph, plan = _case(seed := seed + 1)
        for name, mutate in MUTATIONS.items():
            mutant = mutate(rng, graph, plan)
            if mutant is not None:
                assert check(graph, mutant), (seed, name)
                killed[name] += 1
    assert set(killed) == set(MUTATIONS), set(MUTATIONS) - set(killed)


def _shake(rng: random.Random, graph: Graph, plan: Plan) -> Plan:
    """The plan with a small random change that may or may not break it."""
    rows, moves = list(plan.residencies), list(plan.moves)
    choice = rng.randrange(9)
    if choice < 3 and rows:
        k = rng.randrange(len(rows))
        field = rng.choice(("start", "stop", "offset", "offset"))
        rows[k] = rows[k]._replace(**{field: getattr(rows[k], field) + rng.choice((-2, -1, 1, 2))})
    elif choice == 3 and moves:
        k = rng.randrange(len(moves))
        shift = rng.choice((-1, 1))
        move = moves[k]
        moves[k] = move._replace(issue=move.issue + shift, due=move.due + shift)
    elif choice == 4 and moves:
        k = rng.randrange(len(moves))
        moves[k] = moves[k]._replace(due=moves[k].due + rng.choice((-1, 1)))
    elif choice == 5 and moves:
        del moves[rng.randrange(len(moves))]
    elif choice == 6 and rows:
        del rows[rng.randrange(len(rows))]
    elif choice == 7:
        name = rng.choice(sorted(set(graph.storage_of.values())))
        word = rng.choice(("keep", "host", "@0", "keep@0", "@2"))
        plan = replace(plan, options=replace(plan.options, pins={**plan.options.pins, name: word}))
    else:
        field, words = rng.choice(
            (
                ("weights", ("ignore", "tensor", "stream")),
                ("io", ("host", "resident")),
                ("order", ("free", "program")),
                ("inplace", (True, False)),
                ("objective", ("traffic", "latency")),
            )
        )
        plan = replace(plan, options=replace(plan.options, **{field: rng.choice(words)}))
    return replace(plan, residencies=tuple(rows), moves=tuple(moves))


@pytest.mark.slow
def test_both_checkers_agree_on_shaken_plans() -> None:
    verdicts: Counter[bool] = Counter()
    for seed in range(4_000):
        rng, graph, plan = _case(seed, most_ops=7)
        for _ in range(rng.choice((1, 1, 2))):
            plan = _shake(rng, graph, plan)
        expected = naive_valid(graph, plan)
        found = check(graph, plan, claims=False)
        assert (not found) == expected, (seed, [str(v) for v in found])
        verdicts[expected] += 1
    assert min(verdicts.values()) > 600, verdicts


def test_violations_say_what_and_where() -> None:
    _, graph, plan = next(
        case for case in map(_case, range(200)) if len({r.tensor for r in case[2].residencies}) > 3
    )
    row = plan.residencies[0]
    broken = replace(plan, residencies=(row._replace(offset=-1), *plan.residencies[1:]))
    violation = check(graph, broken)[0]
    assert violation.rule == "space"
    assert violation.tensors == (row.tensor,)
    assert violation.addresses == (-1,)
    assert row.tensor in str(violation) and "-1" in str(violation)


def _wide(seed: int) -> tuple[random.Random, Graph, Plan]:
    rng = random.Random(seed)
    graph = wide_graph(rng, rng.randint(1, 7))
    return rng, graph, wide_plan(rng, graph)


@pytest.mark.slow
def test_both_checkers_agree_on_plans_of_any_target() -> None:
    verdicts: Counter[bool] = Counter()
    seen: Counter[str] = Counter()
    for seed in range(4_000):
        rng, graph, plan = _wide(seed)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 5))):
            plan = shaken(rng, graph, plan)
        expected = naive_valid(graph, plan)
        found = check(graph, plan, claims=False)
        assert (not found) == expected, (seed, [str(v) for v in found])
        verdicts[expected] += 1
        if expected:
            seen["memories"] += len(plan.target.memories) > 2
            seen["moves"] += len(plan.moves) > 1
            seen["again"] += len(plan.schedule) > len(graph.ops)
            seen["joined"] += bool(plan.joined)
            seen["in place"] += bool(plan.inplace)
            seen["external"] += plan.options.io == "external"
    assert min(verdicts.values()) > 1400 and min(seen.values()) > 120, (verdicts, seen)


@pytest.mark.slow(reason="walks through many plans")
def test_wide_mutants_are_rejected() -> None:
    assert len(MUTATIONS | WIDE_MUTATIONS) >= 80
    killed: Counter[str] = Counter()
    seed = 0
    while sum(killed.values()) < 2000 or min(killed.values()) < 3:
        rng, graph, plan = _wide(seed := seed + 1)
        if check(graph, plan, claims=False):
            continue
        for name, mutate in WIDE_MUTATIONS.items():
            mutant = mutate(rng, graph, plan)
            if mutant is not None:
                assert check(graph, mutant, claims=False), (seed, name)
                killed[name] += 1
    assert set(killed) == set(WIDE_MUTATIONS), set(WIDE_MUTATIONS) - set(killed)
