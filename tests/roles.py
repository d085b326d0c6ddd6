"""What each storage of a problem is to it: straight from the rules, for the oracles on targets of any memories."""

from __future__ import annotations

from functools import cache

from memplan.problem.problem import Problem


class Roles:
    """The storages of one problem: their kinds, what targets call them, whether they are the plan's, and their homes."""

    def __init__(self, problem: Problem) -> None:
        self.g, self.o, self.target = problem.graph, problem.options, problem.target
        self.root, self.outs = self.g.storage_of, self.g.output_storages
        self.names = [m.name for m in self.target.memories]
        self.addressed = {m.name: m for m in self.target.addressed}

    def kind(self, s: str) -> str:
        return self.g.tensor[s].kind

    def io(self, s: str) -> bool:
        return self.kind(s) == "input" or (self.kind(s) == "activation" and s in self.outs)

    @cache  # noqa: B019 - roles live for one problem
    def role(self, s: str) -> str:
        return "outputs" if self.kind(s) == "activation" and s in self.outs else f"{self.kind(s)}s"

    def ours(self, s: str) -> bool:
        if self.kind(s) == "constant":
            return self.o.weights != "ignore"
        return not (self.o.io == "external" and self.io(s))

    def resident(self, s: str) -> bool:
        return self.o.io == "resident" and self.io(s)

    def home(self, s: str) -> str:
        return self.names[0] if self.resident(s) else self.target.home_of(self.role(s))
