"""`Direction`: a subproblem searched from one of its ends.

Both ends lead to the same optimum (`Subproblem.reversed`), at very different cost. What ops read that may run early, as all
blocks of a decoder read what its encoder made, leaves a search from the first op all subsets of these ops to try; a search
from the last op takes each back as soon as that sets space free.
"""

from __future__ import annotations

from functools import cached_property

from memplan.solving.limits import Limits
from memplan_solvers.search.engine import RULES, Engine
from memplan_solvers.search.layered_search import MOST, SearchResult, search_layers
from memplan_solvers.search.lns import PartialPlan
from memplan_solvers.search.state import NONE
from memplan_solvers.search.subproblem import Subproblem


class Direction:
    """One direction through a subproblem, from its first op on or, `backwards`, from its last."""

    def __init__(
        self, subproblem: Subproblem, backwards: bool = False, rules: frozenset[str] = RULES
    ) -> None:
        self.subproblem = subproblem.reversed if backwards else subproblem
        self.backwards, self.rules = backwards, rules
        self.proved = 0  # the bound of the last pass

    @cached_property
    def engine(self) -> Engine:
        """The arrays of what is searched, made when they are first needed."""
        return Engine(self.subproblem, self.rules)

    def search(
        self, below: int, limits: Limits, beam: int = MOST, most: int = NONE
    ) -> tuple[SearchResult, PartialPlan | None]:
        """One pass over the layers (`search_layers`), and the plan that it found, through the subproblem as it is posed."""
        found = search_layers(self.engine, below, limits, beam, most=most)
        self.proved = found.bound
        if found.order is None:
            return found, None
        plan = PartialPlan(self.subproblem, found.order, found.evictions)
        return found, plan.reversed if self.backwards else plan
