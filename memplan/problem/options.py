"""The call's options: what to minimise, and how weights, inputs and outputs are treated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from memplan.base.errors import OptionError, nearest
from memplan.machine.policies import POLICIES
from memplan.problem.pins import parse_pin

CHOICES: dict[str, tuple[str, ...]] = {
    "objective": ("traffic", "peak", "latency"),
    "weights": POLICIES["weights"],
    "io": POLICIES["io"],
    "order": ("free", "program"),
}


@dataclass(frozen=True)
class Options:
    """How a graph is to be planned; recorded in every plan.

    Args:
        objective: what is minimised: "traffic" (bytes spilled and loaded again), "peak" (bytes) or "latency"
            (seconds).
        weights: constants are not placed ("ignore"), placed like all else ("tensor"), or loaded for each use
            and dropped ("stream").
        io: inputs are loaded and outputs stored ("host"), or lie in the arena ("resident").
        inplace: an elementwise op may write its output over its dying input.
        order: "free", or the graph's own ("program").
        dims: sizes that the importer gave to free dimensions.
        bounds: the largest shapes that tensors were planned at whose sizes only a run decides.
        donate: inputs whose storage an output may take over: the op that makes it writes over them.
        pins: by storage: "keep" (never spilled), "host" (never placed), "@OFFSET" or "keep@OFFSET", in bytes.

    Raises:
        OptionError: a word is unknown.
    """

    objective: str = "traffic"
    weights: str = "ignore"
    io: str = "host"
    inplace: bool = False
    order: str = "free"
    dims: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    donate: tuple[str, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, known in CHOICES.items():
            value = getattr(self, key)
            if value not in known:
                raise OptionError(f"unknown {key} '{value}'", nearest(str(value), known))
        if not isinstance(self.inplace, bool):
            raise OptionError(f"inplace = {self.inplace!r}", "it is true or false")
        for word in self.pins.values():
            parse_pin(word)

    def to_dict(self) -> dict[str, object]:
        """The options as plan files record them; bounds, pins and donated inputs where there are any."""
        recorded = asdict(self) | {
            "dims": dict(self.dims),
            "bounds": {name: list(shape) for name, shape in self.bounds.items()},
            "donate": list(self.donate),
            "pins": dict(self.pins),
        }
        return {
            key: value for key, value in recorded.items() if value or key not in ("bounds", "donate", "pins")
        }
