"""From a call's words to a plan: every combination of options gives a valid plan, none, or one clear refusal."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

import memplan
from memplan.base.errors import OptionError, TargetError
from memplan.ir.graph import Graph
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.plan import Status
from memplan.solving.planning import make_problem
from memplan.solving.refusals import able
from memplan.solving.registry import registry
from tests.generate import random_graph, timed
from tests.programs import program

SIDE = (Memory("axi", 64), Memory("sdram"))
WIDE = Target(
    "wide", (Memory("dtcm", 16), *SIDE), {"default": ("dtcm", "axi", "sdram")}, defaults={"join": "on"}
)


def test_the_options_are_recorded() -> None:
    plan = memplan.plan(
        program("x>a a>y"),
        join=True,
        recompute="3",
        compute_limit=2,
        io="external",
        solver="greedy",
        workers=1,
    )
    options = plan.options
    assert (options.join, options.recompute, options.compute_limit, options.io) == (True, 3, 2, "external")
    assert make_problem(program("x>a a>y"), recompute="any").options.recompute is None
    assert make_problem(program("x>a a>y"), objective="compute", recompute=2).options.objective == "compute"


def test_a_target_may_say_whether_ops_are_joined() -> None:
    assert make_problem(program("x>y"), WIDE, io="external").options.join
    assert not make_problem(program("x>y"), WIDE, io="external", join=False).options.join


def test_capacities_of_other_memories_are_given_by_name() -> None:
    wide = make_problem(program("x>y"), WIDE, scratchpad=8, capacities={"axi": "1KiB"})
    assert [m.capacity for m in wide.target.memories] == [8, 1024, None]
    free = make_problem(program("x>y"), WIDE, capacities={"axi": "max"})
    assert [m.capacity for m in free.target.memories] == [16, None, None]


@pytest.mark.parametrize(("options", "words"), [
    ({"recompute": "always"}, "recompute 'always'\nhint: it is off, any, or a number of executions from 1"),
    ({"recompute": 0}, "recompute '0'"),
    ({"recompute": "any", "compute_limit": 0.5}, "compute_limit = 0.5\nhint: it is a factor from 1"),
    ({"recompute": "any", "compute_limit": float("inf")}, "compute_limit = inf"),
    ({"compute_limit": 1.5}, "compute_limit 1.5 where no op is executed again\nhint: give --recompute any"),
    ({"io": "external", "donate": "x"}, "'x' cannot be donated with io external: it lies with the caller"),
    ({"io": "host", "target": Target("one", (Memory("pad"),))}, "io host on target 'one', which has no backing memory"),
    ({"target": WIDE, "capacities": {"axis": 4}}, "capacity of 'axis': no memory .* is called so\nhint: did you mean 'axi'"),
    ({"target": WIDE, "capacities": {"dtcm": 4}}, "'dtcm', the first memory\nhint: give it by --scratchpad"),
    ({"target": WIDE, "capacities": {"axi": "MR"}}, "'MR' is not a size"),
    ({"target": WIDE, "scratchpad": "MR"}, "'MR' on target 'wide', which has addresses in dtcm, axi\nhint: give bytes"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make_problem(program("x>y"), **options)


def test_a_memory_without_addresses_has_no_capacity() -> None:
    with pytest.raises(TargetError, match="memory 'sdram' has a capacity but no addresses"):
        make_problem(program("x>y"), WIDE, capacities={"sdram": 64})


def renewed(rng: random.Random, graph: Graph) -> Graph:
    """The graph with some of its outputs as next values of inputs that lie as they do."""
    given = [t for t in graph.tensors if t.kind == "input" and t.name not in graph.output_storages]
    made = [graph.tensor[name] for name in graph.outputs if graph.tensor[name].kind == "activation"]
    pairs: dict[str, str] = {}
    for x in given:
        fits = [
            t.name for t in made if t.name in graph.producer and t.layout == x.layout and t.nbytes == x.nbytes
        ]
        fits = [name for name in fits if name not in pairs and graph.storage_of[name] == name]
        if fits and rng.random() < 0.8:
            pairs[rng.choice(fits)] = x.name
    return replace(graph, updates=tuple(pairs.items()))


def asked(rng: random.Random) -> tuple[Graph, Target, dict[str, Any]]:
    """A small graph, a scratchpad machine and any options, at capacities around the least."""
    graph = renewed(rng, random_graph(rng, rng.randint(1, 7), rng.choice(((1, 2, 3, 4, 5, 8), (4,), (2, 4)))))
    objective = rng.choice(("traffic", "traffic", "peak", "latency"))
    direct = objective != "traffic" and rng.random() < 0.5
    target = (
        timed(direct=direct, queues=rng.choice((1, 2)))
        if objective == "latency"
        else two_level(direct=direct)
    )
    io = rng.choice(("host", "resident", "resident", "external"))
    inputs = [t.name for t in graph.tensors if t.kind == "input" and t.name not in graph.output_storages]
    options: dict[str, Any] = {
        "objective": objective,
        "io": io,
        "weights": rng.choice(("ignore", "tensor", "stream")),
        "inplace": rng.random() < 0.6,
        "donate": ()
        if io == "external"
        else rng.choice(((), "updated", [x for x in inputs if rng.random() < 0.7])),
        "order": rng.choice(("free", "program")),
        "alignment": rng.choice((1, 1, 2, 4)),
        "join": rng.random() < 0.2,
        "recompute": rng.choice(("off", "off", 2, "any")),
    }
    least = max(make_problem(graph, target, **options).min_capacity, 1)
    return (
        graph,
        target,
        options | {"scratchpad": rng.choice(("max", least, least + rng.randint(0, 6), max(1, least - 1)))},
    )


def planned(seeds: Iterable[int], solvers: Iterable[str]) -> Counter[str]:
    """Statuses of valid plans; AssertionError where one solver's proof is contradicted by another's plan."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        graph, target, options = asked(random.Random(seed))
        fair = set(able(make_problem(graph, target, **options)))
        plans = [
            memplan.plan(graph, target, solver=name, workers=1, time_limit_s=5.0, **options)
            for name in solvers
            if name in fair
        ]
        seen.update(str(plan.status) for plan in plans)
        least = min((plan.value for plan in plans if plan.value is not None), default=None)
        if least is not None:
            assert max(plan.bound for plan in plans) <= least * (1 + 1e-9), (seed, options)
            assert all(plan.status is not Status.INFEASIBLE for plan in plans), (seed, options)
    return seen


@pytest.mark.slow(reason="plans with many options")
def test_every_combination_of_options_is_planned() -> None:
    seen = planned(range(150), ("greedy", "baseline", "pytorch"))
    assert {*seen} == {"optimal", "feasible", "infeasible", "unknown"}


@pytest.mark.slow
def test_every_combination_of_options_is_planned_by_every_solver() -> None:
    seen = planned(range(1000, 1200), sorted(registry().keys() - {"portfolio"}))
    assert min(seen.values()) > 8
