"""Results by instance: what the solvers answered to one problem, and the best that is known of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from memplan.studies.compare.results import Record

POLICY = ("weights", "io", "inplace", "join", "recompute", "compute_limit")
INSTANCE = ("model", "target", "objective", *POLICY, "budget")
UNSAID = {"join": "off", "recompute": "off", "compute_limit": ""}
"""What older lines do not say."""

CURVE = INSTANCE[:-1]
"""What the instances of one capacity curve share."""


@dataclass(frozen=True)
class Instance:
    """One model at one budget under one objective and policy, with the records by solver."""

    key: tuple[str, ...]
    records: dict[str, Record]

    @property
    def one(self) -> Record:
        """Any record, for what all share."""
        return next(iter(self.records.values()))

    @cached_property
    def best(self) -> float | None:
        """The least value any solver found."""
        return min((r["value"] for r in self.records.values() if r["value"] is not None), default=None)

    @cached_property
    def bound(self) -> float | None:
        """The greatest bound any solver proved; all hold, whoever proved them."""
        return max((r["bound"] for r in self.records.values() if r["bound"] is not None), default=None)

    @cached_property
    def proved(self) -> bool:
        """Whether the best value is proved least."""
        return self.best is not None and self.bound is not None and self.best <= self.bound

    @cached_property
    def contradictions(self) -> list[str]:
        """Solvers whose bound is above a value that somebody found, or who called infeasible what has a plan."""
        if self.best is None:
            return []
        most = self.best * (1 + 1e-9)
        return [
            spec
            for spec, r in self.records.items()
            if (r["bound"] is not None and r["bound"] > most) or r["status"] == "infeasible"
        ]

    @property
    def capacity(self) -> int | None:
        """Bytes of scratchpad, None without a limit."""
        return next((r["capacity"] for r in self.records.values() if r["capacity"] is not None), None)

    @property
    def label(self) -> str:
        """What tells it from the other instances of its model."""
        r = self.one
        words = [r["objective"], f"weights {r['weights']}", f"io {r['io']}"]
        words += ["in place"] if r["inplace"] == "on" else []
        words += ["joined"] if r["join"] == "on" else []
        words += [f"recompute {r['recompute']}"] if r["recompute"] != "off" else []
        words += [f"compute limit {r['compute_limit']}"] if r["compute_limit"] else []
        words += [r["target"]] if r["target"] != "scratchpad" else []
        return ", ".join(words)


def instances_of(records: Iterable[Record]) -> list[Instance]:
    """The instances in order of family, model, capacity and solver; of a case that was run twice the last
    result counts.
    """
    grouped: dict[tuple[str, ...], dict[str, Record]] = {}
    for record in ({**UNSAID, **line} for line in records):
        grouped.setdefault(tuple(record[name] for name in INSTANCE), {})[record["solver"]] = record
    found = [Instance(key, dict(sorted(rows.items()))) for key, rows in grouped.items()]
    return sorted(found, key=lambda i: (i.one["family"], i.key[:-1], i.capacity or 2**63, i.key[-1]))


def solvers_of(instances: Iterable[Instance]) -> list[str]:
    """Every solver's spec, sorted."""
    return sorted({spec for instance in instances for spec in instance.records})


def curves(instances: Iterable[Instance]) -> list[list[Instance]]:
    """Instances that differ by their budget alone, by rising capacity; those with one capacity only are left out."""
    grouped: dict[tuple[str, ...], list[Instance]] = {}
    for instance in instances:
        if instance.capacity is not None and instance.best is not None:
            grouped.setdefault(instance.key[: len(CURVE)], []).append(instance)
    return [group for group in grouped.values() if len({i.capacity for i in group}) > 1]
