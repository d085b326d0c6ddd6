"""What a runtime did with a plan, by its own count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from memplan.base.units import format_size


@dataclass(frozen=True)
class Obedience:
    """A plan beside what the runtime measured, and beside the runtime's own plan of the same model.

    Args:
        model: the graph's name.
        runtime: which one, as `--runtime` calls it.
        predicted: bytes of the plan's arena.
        measured: the same as the runtime counts it, running the planned model.
        own: bytes that the runtime's own planner takes for the unplanned model.
        beside: bytes that the runtime needs besides, which no plan decides.
        outputs: how many outputs were compared, over all runs.
        different: how many of them differ in a bit from the unplanned model's.
        ways: the same as `own` by each way in which the runtime plans itself, where it has several; `own` is the least.
        faults: how else it did otherwise than the plan says, a clause each.
        notes: what else is to be known, a sentence each.
    """

    model: str
    runtime: str
    predicted: int
    measured: int
    own: int
    beside: int
    outputs: int
    different: int
    ways: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def obeys(self) -> bool:
        """Whether the runtime used exactly what the plan says, and computed the same, as the plan says it."""
        return self.predicted == self.measured and not self.different and not self.faults

    @property
    def kept(self) -> str:
        """Whose plan to keep: "plan", or "own" where the runtime's own planner takes fewer bytes."""
        return "plan" if self.measured <= self.own else "own"

    def to_dict(self) -> dict[str, object]:
        """The comparison as JSON types."""
        return asdict(self) | {"ways": dict(self.ways), "obeys": self.obeys, "kept": self.kept}

    def __str__(self) -> str:
        own = self.ways or {"without a plan": self.own}
        rows = [
            ("predicted", self.predicted, "by the plan"),
            ("measured", self.measured, f"by {self.runtime}, running the plan"),
            *(("own plan", nbytes, f"{self.runtime}, {way}") for way, nbytes in own.items()),
            ("beside", self.beside, "which no plan decides"),
        ]
        table = "\n".join(f"{name:<10} {nbytes:>14,} B  {what}" for name, nbytes, what in rows)
        same = f"all {self.outputs} outputs bit-identical to the unplanned model's"
        if self.different:
            same = f"{self.different} of {self.outputs} outputs differ from the unplanned model's"
        verdict = f"the plan saves {format_size(self.own - self.measured)}"
        if self.kept == "own":
            verdict = f"{self.runtime}'s own plan takes less: keep the model as it was"
        elif self.own == self.measured:
            verdict = f"the plan saves nothing: {self.runtime}'s own takes as little"
        lines = [
            table,
            f"outputs    {same}",
            f"kept       {verdict}",
            *(f"note       {note}" for note in self.notes),
        ]
        return "\n".join(lines)
