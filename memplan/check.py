"""The rules a plan must obey, decided from the graph, the target, the options and the plan alone."""

from __future__ import annotations

from typing import NamedTuple

from memplan.graph import Graph
from memplan.plan import Plan


class Violation(NamedTuple):
    """One broken rule: its name, what is wrong, and where."""

    rule: str
    message: str
    step: int | None = None
    tensors: tuple[str, ...] = ()
    addresses: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = "" if self.step is None else f" (step {self.step})"
        return f"{self.rule}: {self.message}{where}"


def check(graph: Graph, plan: Plan, *, claims: bool = True) -> list[Violation]:
    """Everything that is wrong with the plan; with `claims`, also numbers that do not recompute."""
    return []
