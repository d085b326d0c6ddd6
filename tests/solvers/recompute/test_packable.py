"""Sequences of executions that pack, near ones that only fit by bytes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.recompute.addresses import place
from memplan_solvers.recompute.anneal import Annealing
from memplan_solvers.recompute.model import make_model
from memplan_solvers.recompute.packable import Packable

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits


def tangled_graph(rng: random.Random, n: int) -> Graph:
    """Ops that read some of the thirty before them, with sizes of all magnitudes: what is live seldom packs by chance."""
    sizes = [int(10 ** rng.uniform(1, 2.5)) for _ in range(n)]
    reads = [sorted(rng.sample(range(max(0, i - 30), i), min(i, rng.randint(1, 3)))) for i in range(n)]
    used = {k for row in reads for k in row}
    ops = (Op(f"o{i}", "Op", tuple(f"t{k}" for k in row), (f"t{i}",), i % 7) for i, row in enumerate(reads))
    tensors = tuple(Tensor(f"t{i}", size) for i, size in enumerate(sizes))
    return Graph("tangled", tensors, tuple(ops), tuple(f"t{i}" for i in range(n) if i not in used))


@pytest.mark.slow(reason="executes many small programs again")
def test_what_one_pass_does_not_pack_is_packed_at_little_cost() -> None:
    tried = packed = 0
    for seed in range(6):
        graph = tangled_graph(random.Random(seed), 150)
        problem = Problem(graph, Target(), Options("compute", order="program", recompute=None))
        peak = max(make_model(problem).live_bytes(range(problem.n)))
        problem = replace(problem, target=Target().with_scratchpad(int(0.85 * peak)))
        model = make_model(problem)
        annealing = Annealing(model, 0)
        annealing.begin(range(model.n))
        annealing.cool(20_000, Limits(60.0))
        if annealing.best is None:
            continue
        if place(problem, model, annealing.best, Limits(60.0)).within(model.capacity):
            continue
        tried += 1
        begun = Packable(problem, model, 20_000, 0).near(annealing.best, lambda cost: True, 20, Limits(20.0))
        if found := next(begun, None):
            packed += 1
            assert found.offsets is not None and found.lives == model.lives(found.sequence)
            ends = [o + model.sizes[s] for o, (s, _, _) in zip(found.offsets, found.lives, strict=True)]
            assert max(ends) == found.peak <= model.capacity
    assert tried >= 3 and packed >= tried - 1
