"""The call's options: what to minimise, and how weights, inputs and outputs are treated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf

from memplan.base.errors import OptionError, nearest
from memplan.ir.ranges import Dims, check_size
from memplan.machine.policies import POLICIES
from memplan.problem.pins import parse_pin

CHOICES: dict[str, tuple[str, ...]] = {
    "objective": ("traffic", "peak", "latency", "compute"),
    "weights": POLICIES["weights"],
    "io": POLICIES["io"],
    "order": ("free", "program"),
}
"""What may be written for each."""

COST_FACTOR = 1.2
"""By how much recomputation may raise the cost of all executions where nothing else is asked."""


@dataclass(frozen=True)
class Options:
    """How a graph is to be planned; recorded in every plan.

    Args:
        objective: what is minimised: "traffic" (bytes spilled and loaded again), "peak" (bytes) or "latency"
            (seconds), or what executing ops again costs ("compute").
        weights: constants are not placed ("ignore"), placed like all else ("tensor"), or loaded for each use
            and dropped ("stream").
        io: inputs are loaded and outputs stored ("host"), lie in the first memory ("resident"), or in buffers
            of the caller's ("external").
        inplace: an op may write its output over one of its operands.
        order: "free", or the graph's own ("program").
        dims: sizes that the importer gave to free dimensions, or ranges of sizes that the plan holds for.
        bounds: the largest shapes that tensors were planned at whose sizes only a run decides.
        donate: inputs whose storage an output may take over: the op that makes it writes over them.
        pins: by storage: "keep" (never spilled), "host" (never placed), "MEMORY" (placed there alone),
            "@OFFSET" (in the first memory) or "MEMORY@OFFSET" in bytes, or "keep" before such a place.
        join: ops whose operands lie side by side in their output need not run.
        recompute: how often an op may be executed at most, None without a limit.
        compute_limit: how much all executions may cost at most, as a multiple of what executing each op once
            costs; None for what `cost_factor` says.

    Raises:
        OptionError: a word is unknown.
    """

    objective: str = "traffic"
    weights: str = "ignore"
    io: str = "host"
    inplace: bool = False
    order: str = "free"
    dims: Dims = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    donate: tuple[str, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    join: bool = False
    recompute: int | None = 1
    compute_limit: float | None = None

    def __post_init__(self) -> None:
        for key, known in CHOICES.items():
            value = getattr(self, key)
            if value not in known:
                raise OptionError(f"unknown {key} '{value}'", nearest(str(value), known))
        for key in ("inplace", "join"):
            if not isinstance(getattr(self, key), bool):
                raise OptionError(f"{key} = {getattr(self, key)!r}", "it is true or false")
        if self.recompute is not None and not (type(self.recompute) is int and self.recompute >= 1):
            raise OptionError(f"recompute = {self.recompute!r}", "it is a number of executions from 1")
        limit = self.compute_limit
        if limit is not None and not (isinstance(limit, int | float) and 1 <= limit < inf):
            raise OptionError(f"compute_limit = {limit!r}", "it is a factor from 1")
        for word in self.pins.values():
            parse_pin(word)
        for name, size in self.dims.items():
            check_size(name, size)

    @property
    def cost_factor(self) -> float | None:
        """The multiple of the cost of executing each op once within which all executions stay; None without one."""
        if self.compute_limit is not None or self.recompute == 1 or self.objective == "compute":
            return self.compute_limit
        return COST_FACTOR

    def to_dict(self) -> dict[str, object]:
        """The options as plan files record them; what is at its default is left out where older files lack it."""
        recorded = asdict(self) | {
            "dims": {n: list(size) if isinstance(size, tuple) else size for n, size in self.dims.items()},
            "bounds": {name: list(shape) for name, shape in self.bounds.items()},
            "donate": list(self.donate),
            "pins": dict(self.pins),
            "recompute": "any" if self.recompute is None else self.recompute,
        }
        default = {
            "bounds": {},
            "donate": [],
            "pins": {},
            "join": False,
            "recompute": 1,
            "compute_limit": None,
        }
        return {key: value for key, value in recorded.items() if key not in default or value != default[key]}


def parse_recompute(word: str | int) -> int | None:
    """How often an op may be executed: once for "off", a whole number, or None, without a limit, for "any"."""
    if word in ("off", "any"):
        return 1 if word == "off" else None
    if type(word) is str and word.isdecimal() and len(word) < 10:
        word = int(word)
    if type(word) is not int or word < 1:
        raise OptionError(f"recompute '{word}'", "it is off, any, or a number of executions from 1")
    return word
