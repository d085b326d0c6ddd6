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
        own: bytes that the runtime's own planner takes for the unplanned model, None where it has none.
        beside: bytes that the runtime needs besides, which no plan decides.
        outputs: how many outputs were compared, over all runs.
        different: how many of them differ in a bit from the unplanned model's.
        ways: the same as `own` by each way in which the runtime plans itself, where it has several; `own` is the least.
        ordered: whether the ops were executed in the plan's order; None where the runtime does not tell.
        at_most: `predicted` is a bound, since the runtime plans the bodies of control flow itself.
        faults: how else it did otherwise than the plan says, a clause each.
        notes: what else is to be known, a sentence each.
    """

    model: str
    runtime: str
    predicted: int
    measured: int
    own: int | None
    beside: int
    outputs: int
    different: int
    ways: Mapping[str, int] = field(default_factory=dict)
    ordered: bool | None = None
    at_most: bool = False
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def obeys(self) -> bool:
        """Whether the runtime used exactly what the plan says (where that is a bound: no more), in its order, and computed the same."""
        exact = self.predicted == self.measured or (self.at_most and self.measured < self.predicted)
        return exact and self.ordered is not False and not self.different and not self.faults

    @property
    def kept(self) -> str:
        """Whose plan to keep: "plan", or "own" where the runtime's own planner takes fewer bytes."""
        return "plan" if self.own is None or self.measured <= self.own else "own"

    def to_dict(self) -> dict[str, object]:
        """The comparison as JSON types."""
        return asdict(self) | {"ways": dict(self.ways), "obeys": self.obeys, "kept": self.kept}

    def __str__(self) -> str:
        own = self.ways or ({} if self.own is None else {"without a plan": self.own})
        rows = [
            ("predicted", self.predicted, "by the plan" + ", at most" * self.at_most),
            ("measured", self.measured, f"by {self.runtime}, running the plan"),
            *(("own plan", nbytes, f"{self.runtime}, {way}") for way, nbytes in own.items()),
            ("beside", self.beside, "which no plan decides"),
        ]
        table = "\n".join(f"{name:<10} {nbytes:>14,} B  {what}" for name, nbytes, what in rows)
        same = f"all {self.outputs} outputs bit-identical to the unplanned model's"
        if self.different:
            same = f"{self.different} of {self.outputs} outputs differ from the unplanned model's"
        if self.own is None:
            verdict = f"the plan: {self.runtime} has no planner of its own"
        elif self.kept == "own":
            verdict = f"{self.runtime}'s own plan takes less: keep the model as it was"
        elif self.own == self.measured:
            verdict = f"the plan saves nothing: {self.runtime}'s own takes as little"
        else:
            verdict = f"the plan saves {format_size(self.own - self.measured)}"
        order = {True: ["order      the plan's"], False: ["order      not the plan's"], None: []}[
            self.ordered
        ]
        lines = [
            table,
            f"outputs    {same}",
            *order,
            f"kept       {verdict}",
            *(f"note       {note}" for note in self.notes),
        ]
        return "\n".join(lines)
