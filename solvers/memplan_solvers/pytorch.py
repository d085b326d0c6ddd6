"""`pytorch`: what OLLA (arXiv 2210.12924) is compared with: the program's order and PyTorch's allocator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.offsets.caching import place_caching
from memplan_solvers.replace.evict import without_spills
from memplan_solvers.residency import Walk, blocks_of, materialise


@dataclass(frozen=True)
class PyTorch(Solver):
    """The ops as they come, each buffer allocated when it is written and freed after its last use; its bound is the
    free one."""

    name: ClassVar[str] = "pytorch"
    summary: ClassVar[str] = (
        "a baseline: the program's order, addresses as PyTorch's caching allocator gives them"
    )
    supports: ClassVar[Capabilities] = Capabilities(("peak",), pins=("keep", "host"))

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The one plan there is; unknown where it does not fit or pinned offsets ask for other places."""
        walk = Walk(problem, tuple(range(problem.n)))
        blocks = blocks_of(walk, without_spills(walk))
        if any(block.offset is not None for block in blocks):
            return self.no_answer(
                problem, limits, Status.UNKNOWN, "the allocator cannot honour pinned offsets"
            )
        offsets = place_caching(
            [b.start for b in blocks],
            [b.stop for b in blocks],
            [b.size for b in blocks],
            problem.target.scratchpad.alignment,
        )
        peak = max((offset + block.size for offset, block in zip(offsets, blocks, strict=True)), default=0)
        if problem.capacity is not None and peak > problem.capacity:
            why = f"the allocator needs {peak} bytes, the scratchpad has {problem.capacity}"
            return self.no_answer(problem, limits, Status.UNKNOWN, why)
        residencies, moves, inplace = materialise(walk, blocks, offsets)
        return self.answer(
            problem, limits, order=walk.order, residencies=residencies, moves=moves, inplace=inplace
        )
