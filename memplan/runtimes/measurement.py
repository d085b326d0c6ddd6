"""What a runtime itself says of a plan that it executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Measurement:
    """What a runtime itself says of a plan that it executed; all sizes in bytes.

    Args:
        runtime: its name.
        model: the graph's name.
        ops: how many the plan executes.
        predicted: what the plan says that its tensors need.
        measured: what they needed, by the runtime's own count.
        own: what they need as the runtime plans them itself, by the way it was asked to.
        equal: whether every output has the same bits as without the plan.
        faults: how the runtime did otherwise than the plan says, a sentence each.
        notes: what else is to be known, a sentence each.
        arena: the least that the runtime's allocator must be allowed to hold, weights included, with the plan.
        own_arena: the same as the runtime plans itself.
    """

    runtime: str
    model: str
    ops: int
    predicted: int
    measured: int
    own: Mapping[str, int] = field(default_factory=dict)
    equal: bool = True
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    arena: int | None = None
    own_arena: int | None = None

    @property
    def obeyed(self) -> bool:
        """Whether the runtime did what the plan says, to the byte, and nothing else came of it."""
        return self.equal and self.measured == self.predicted and not self.faults

    @property
    def better(self) -> str | None:
        """The way in which the runtime's own planner needs less than the plan, None where the plan is to be kept."""
        least = min(self.own, key=self.own.__getitem__, default=None)
        return least if least is not None and self.own[least] < self.measured else None

    def to_dict(self) -> dict[str, object]:
        """The measurement as JSON types."""
        return asdict(self) | {"own": dict(self.own), "obeyed": self.obeyed, "better": self.better}

    def __str__(self) -> str:
        lines = [
            f"runtime    {self.runtime}, {self.model}, {self.ops} ops",
            f"predicted  {self.predicted:,} B",
            f"measured   {self.measured:,} B",
        ]
        lines += [f"own plan   {nbytes:,} B ({way})" for way, nbytes in self.own.items()]
        if self.arena is not None:
            own = "" if self.own_arena is None else f" ({self.own_arena:,} B as it plans itself)"
            lines.append(f"arena      {self.arena:,} B at least{own}")
        lines.append("outputs    " + ("bit-identical" if self.equal else "differ"))
        if self.better:
            lines.append(
                f"keep       {self.runtime}'s own plan ({self.better}), which needs less than this one"
            )
        else:
            lines.append("keep       this plan")
        return "\n".join([*lines, *(f"note       {note}" for note in self.notes)])
