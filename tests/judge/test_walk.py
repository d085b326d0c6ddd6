"""Whoever obeys the walk of a valid plan finds every operand where it looks for it, byte by byte."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import count, permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from memplan.base.errors import ExecutionError
from memplan.ir.graph import Graph
from memplan.judge.actions import Copied, Executed, Finished, Given, Location, Voided
from memplan.judge.check.check import check
from memplan.judge.plan_view import PlanView
from memplan.judge.walk import walk
from memplan.problem.plan import Plan, Residency
from tests.generate_wide import wide_graph, wide_plan
from tests.wide_mutations import WIDE_MUTATIONS

Bytes = NDArray[np.int64]


class Machine:
    """Memories whose bytes say what they hold: which byte of which storage, by numbers; 0 is nothing."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan, self.view = graph, plan, PlanView(graph, plan)
        self.memories: dict[str, Bytes] = {}
        self.own: dict[tuple[str, str | None], Bytes] = {}
        self.read: dict[Location, list[float]] = defaultdict(list)
        self.number = {t.name: i + 1 for i, t in enumerate(graph.tensors)}

    def told(self, storage: str) -> Bytes:
        """What a storage looks like: joined ones like their parts side by side."""
        nbytes = self.graph.tensor[storage].nbytes
        parts = next(
            (op.joins for op in self.graph.ops if storage in op.outputs and op.name in self.plan.joined), ()
        )
        if parts:
            return np.concatenate([self.told(name) for name, _ in parts])
        return self.number[storage] * 1000 + np.arange(nbytes)

    def at(self, location: Location) -> Bytes:
        nbytes = self.graph.tensor[location.storage].nbytes
        if location.memory is not None and location.offset is not None:
            return self.memories[location.memory][location.offset : location.offset + nbytes]
        fresh = np.zeros(nbytes, np.int64)
        if location.memory is None and self.view.is_given(location.storage):
            fresh = self.told(location.storage)
        return self.own.setdefault((location.storage, location.memory), fresh)

    def obey(self) -> bool:
        """Whether everything is read as it was written."""
        happening = walk(self.graph, self.plan)
        self.memories = {name: np.zeros(end, np.int64) for name, end in self.plan.peaks.items()}
        for action in happening:
            match action:
                case Given(location):
                    self.at(location)[:] = self.told(location.storage)
                case Copied(move, source, destination):
                    if not self.holds(source, move.due - 0.5):
                        return False
                    self.at(destination)[:] = self.at(source)
                case Voided(_, location, size):
                    assert location.memory is not None and location.offset is not None
                    self.memories[location.memory][location.offset : location.offset + size] = 0
                case Executed(step, op, reads, writes):
                    if not all(self.holds(location, step) for location in reads.values()):
                        return False
                    for name, location in writes.items():
                        if op.name in self.plan.joined and not self.holds(location, step):
                            return False
                        if name != op.workspace:
                            self.at(location)[:] = self.told(name)
                case Finished(outputs):
                    return all(self.holds(location, self.view.n) for location in outputs.values())
        return False

    def holds(self, location: Location, at: float) -> bool:
        """Whether what is read there at a step, or by a move half a step sooner, is what was written."""
        self.read[location].append(at)
        return bool((self.at(location) == self.told(location.storage)).all())


@cache
def valid(seed: int) -> tuple[Graph, Plan] | None:
    rng = random.Random(seed)
    graph = wide_graph(rng, rng.randint(1, 9))
    plan = wide_plan(rng, graph)
    return None if check(graph, plan, claims=False) else (graph, plan)


@pytest.mark.slow(reason="walks through many plans")
def test_valid_plans_read_what_was_written() -> None:
    found = [case for seed in range(400) if (case := valid(seed))]
    assert len(found) > 200
    for graph, plan in found:
        assert Machine(graph, plan).obey(), plan
    assert any(plan.joined for _, plan in found)
    assert any(plan.inplace for _, plan in found)
    assert any(len(set(plan.schedule)) < len(plan.schedule) for _, plan in found)
    assert any(m.issue < m.due for _, plan in found for m in plan.moves)


def noticed(graph: Graph, plan: Plan) -> bool:
    try:
        return not Machine(graph, plan).obey()
    except ExecutionError as error:
        return error.hint == "run `check` first"


NOTICED = (
    "memory_without_addresses", "written_to_another_memory", "written_to_two_memories", "readonly_memory_written",
    "moved_within_a_memory", "workspace_moved", "workspace_missing_at_one_execution", "overwritten_while_it_is_copied",
    "source_without_a_copy", "source_not_ready", "queue_that_the_pair_has_not", "moved_where_nothing_moves",
    "joined_without_being_asked", "joined_though_nothing_can_be", "joined_twice", "part_with_a_place_of_its_own",
    "part_moved", "part_written_twice", "joined_storage_leaves_early", "joined_storage_moved_before_it_is_whole", "output_not_at_home",
)  # fmt: skip
"""Ways to break a plan that whoever obeys it cannot miss; others change what was asked for, not what happens."""


@pytest.mark.parametrize("name", NOTICED)
def test_broken_plans_are_refused_or_read_something_else(name: str) -> None:
    tried, seeds = 0, count()
    while tried < 10:
        seed = next(seeds)
        if (case := valid(seed)) is None:
            continue
        graph, plan = case
        broken = WIDE_MUTATIONS[name](random.Random(seed), graph, plan)
        if broken is not None and check(graph, broken, claims=False):
            tried += 1
            assert noticed(graph, broken), broken


@pytest.mark.slow(reason="a long loop over seeds")
def filled(plan: Plan, row: Residency) -> int:
    """The boundary at which a residency has its bytes: what is copied there arrives when it is due."""
    arriving = [
        m.due for m in plan.moves if (m.tensor, m.destination, m.issue) == (row.tensor, row.memory, row.start)
    ]
    return max(arriving, default=row.start)


@pytest.mark.slow(reason="walks through many plans")
def test_places_that_overlap_are_seen() -> None:
    """Where one of them is read once the other, by then filled, has been written or has ended."""
    tried = 0
    for seed in range(250):
        if (case := valid(seed)) is None:
            continue
        graph, plan = case
        whole = Machine(graph, plan)
        assert whole.obey()
        rows = [
            r
            for r in plan.residencies
            if r.size and not any(r.tensor in op.outputs for op in graph.ops if op.joins)
        ]
        for a, b in permutations(rows, 2):
            if a.memory != b.memory or not a.start < b.start < a.stop or b.offset == a.offset:
                continue
            late = filled(plan, a) <= b.start and any(
                at > b.start for at in whole.read[Location(a.tensor, a.memory, a.offset)] if at < a.stop
            )
            last = filled(plan, b) <= a.stop and any(
                at >= a.stop for at in whole.read[Location(b.tensor, b.memory, b.offset)] if at < b.stop
            )
            rest = tuple(r for r in plan.residencies if r is not b)
            wrong = replace(plan, residencies=(*rest, b._replace(offset=a.offset)), inplace=())
            if (late or last) and check(graph, wrong, claims=False):
                tried += 1
                assert noticed(graph, wrong), (a, b)
    assert tried > 100
