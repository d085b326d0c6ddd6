"""What a comparison asks: the setting, its models with their reference capacities, and the cases they make."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from memplan.base.errors import OptionError, nearest
from memplan.ir.ranges import Dims
from memplan.machine.load import load_target
from memplan.machine.policies import POLICIES
from memplan.machine.target import Target
from memplan.machine.target_file import target_dict
from memplan.problem.options import CHOICES, parse_recompute
from memplan.solving.capacities import (
    ReferenceCapacities,
    parse_capacity,
    refuse_names,
    with_capacities,
)
from memplan.solving.registry import parse_spec

OWN = "own models"
"""The family of models that are not of the zoo."""


@dataclass(frozen=True)
class Setting:
    """A comparison: the product of its lists, and what each case may spend.

    models     files or zoo names        targets    presets or .toml files
    solvers    spec strings              budgets    MR, MH, 0.9MP, 256KiB, max
    weights, io, inplace, join  policies as written; an empty list means the target's default
    recompute  off, any, or numbers of executions
    compute_limit  of the cases that execute ops again
    capacities  of other memories than the first, as `memplan.plan` takes them
    dims, bounds  sizes that every model is loaded with, as `memplan.load` takes them
    workers    cores of each case        time_limit_s  of each solve
    memory     bytes a case may keep resident, all its processes together
    ops        a file that declares kinds of ops
    trust      whether a .pt2 may hold what can run code
    """

    models: tuple[str, ...]
    solvers: tuple[str, ...] = ("portfolio",)
    budgets: tuple[str, ...] = ("MR", "MH", "MP")
    targets: tuple[str, ...] = ("scratchpad",)
    objectives: tuple[str, ...] = ("traffic",)
    weights: tuple[str, ...] = ()
    io: tuple[str, ...] = ()
    inplace: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    recompute: tuple[str, ...] = ("off",)
    compute_limit: float | None = None
    capacities: Mapping[str, str] = field(default_factory=dict)
    dims: Dims = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    time_limit_s: float = 10.0
    workers: int = 1
    seed: int = 0
    memory: int = 2**62
    ops: str | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        """Refuse what no model could make right, before anything runs."""
        for name in ("models", "solvers", "budgets", "targets", "objectives", "recompute"):
            if not getattr(self, name):
                raise OptionError(f"no {name} to compare", f"name at least one of the {name}")
        known = POLICIES | {"objectives": CHOICES["objective"]}
        for name in ("objectives", "weights", "io", "inplace", "join"):
            singular = "objective" if name == "objectives" else name
            for word in getattr(self, name):
                if word not in known[name]:
                    raise OptionError(f"unknown {singular} '{word}'", nearest(word, known[name]))
        executions = [parse_recompute(word) for word in self.recompute]
        if self.compute_limit is not None and all(most == 1 for most in executions):
            raise OptionError(
                f"compute_limit {self.compute_limit:g} where no op is executed again",
                "give --recompute any, or do without --compute-limit",
            )
        for spec in self.solvers:
            parse_spec(spec)
        for budget in self.budgets:
            parse_capacity(budget)

    @property
    def fair(self) -> dict[str, Any]:
        """What must be the same for every case of one comparison."""
        return {"time_limit_s": self.time_limit_s, "workers": self.workers, "seed": self.seed}

    def machines(self) -> list[Target]:
        """The targets with the capacities given; OptionError where two carry one name, or a budget says nothing there."""
        loaded = [with_capacities(load_target(spec), self.capacities) for spec in dict.fromkeys(self.targets)]
        names = [target.name for target in loaded]
        for name in names:
            if names.count(name) > 1:
                raise OptionError(
                    f"two targets are called '{name}'", "give one of them another name in its file"
                )
        for target, budget in product(loaded, self.budgets):
            refuse_names(budget, target)
        return loaded


@dataclass(frozen=True)
class CaseOptions:
    """Options of a case beside its objective, as written; the target's default where none was asked for."""

    weights: str
    io: str
    inplace: str
    join: str = "off"
    recompute: str = "off"
    compute_limit: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What tells it from others: what is rarely asked for only where it is."""
        rare = {"join": self.join, "recompute": self.recompute, "compute_limit": self.compute_limit}
        asked = [f"{key} {word}" for key, word in rare.items() if word not in ("off", "")]
        return (self.weights, self.io, f"inplace {self.inplace}", *asked)


@dataclass(frozen=True)
class Subject:
    """A prepared model: its graph as JSON types, the sizes it was loaded with, and M_R, M_P and M_H by `reference_key`."""

    name: str
    family: str
    graph: Mapping[str, Any]
    sha256: str
    ops: int
    dims: Dims
    bounds: Mapping[str, Sequence[int]]
    reference: Mapping[str, ReferenceCapacities]


@dataclass(frozen=True)
class Case:
    """One solver on one model at one capacity, the `budget`, as written: equal bytes or not."""

    model: str
    target: Target
    objective: str
    policy: CaseOptions
    budget: str
    solver: str

    @property
    def words(self) -> tuple[str, ...]:
        """What tells the case from every other of its comparison."""
        return (
            self.model,
            self.target.name,
            self.objective,
            *self.policy.words,
            self.budget,
            self.solver,
        )

    @property
    def label(self) -> str:
        """The case in a few words, for people who watch."""
        return f"{Path(self.model).stem} {self.objective} {self.budget} {self.solver}"

    def ident(self, sha256: str) -> str:
        """A file name that says what the case is, ending in a digest of all that decides its answer."""
        full = json.dumps([*self.words, sha256, target_dict(self.target)], sort_keys=True)
        slug = re.sub(
            r"[^\w.=+-]+", "_", "-".join((Path(self.model).stem, *self.words[1:])), flags=re.ASCII
        ).strip("_.")[:150]
        return f"{slug}-{hashlib.sha256(full.encode()).hexdigest()[:10]}"


def policies(setting: Setting, target: Target) -> list[CaseOptions]:
    """The distinct policies on one target."""
    usual, limit = target.policies, setting.compute_limit
    asked = [getattr(setting, key) or (usual[key],) for key in POLICIES]
    found: dict[CaseOptions, None] = {}
    for words in product(*asked, setting.recompute):
        limited = parse_recompute(words[-1]) != 1 and limit is not None
        found[replace(CaseOptions(*words), compute_limit=f"{limit:g}" if limited else "")] = None
    return list(found)


def cases_of(setting: Setting, model: str) -> Iterator[Case]:
    """The cases of one model, those that share an instance side by side."""
    for target in setting.machines():
        for policy in policies(setting, target):
            for objective in dict.fromkeys(setting.objectives):
                for budget in dict.fromkeys(setting.budgets):
                    for solver in dict.fromkeys(setting.solvers):
                        yield Case(model, target, objective, policy, budget, solver)


def reference_key(alignment: int, policy: CaseOptions) -> str:
    """The name under which a subject keeps the reference capacities of an alignment and a policy."""
    return f"{alignment} {policy.weights} {policy.io}"
