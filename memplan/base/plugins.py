"""What other packages add to memplan through entry points: solvers, packers, tilers, targets, models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from memplan.base.errors import MemplanError

SOLVERS = "memplan.solvers"
"""Each a subclass of `Solver`."""

KERNELS = "memplan.kernels"
"""Each a mapping of `KernelGroup`s by name: what the package's solvers compile once on a machine."""

PACKERS = "memplan.packers"
"""Each a subclass of `Packer`."""

TILERS = "memplan.tilers"
"""Each a subclass of `Tiler`."""

TARGETS = "memplan.targets"
"""Each a `Target`, or a function that makes one."""

MODELS = "memplan.models"
"""Each a function that makes a `Graph` or a `Model`."""


@cache
def plugins(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of a group by name, sorted, none of them imported; read once a process."""
    return {point.name: point for point in sorted(entry_points(group=group))}


def load_plugin(point: EntryPoint) -> Any:
    """The object behind an entry point; MemplanError says whose it is where it cannot be imported."""
    try:
        return point.load()
    except Exception as error:  # another package's code may raise anything
        owner = f" of package '{point.dist.name}'" if point.dist else ""
        raise MemplanError(
            f"'{point.name}'{owner} cannot be loaded: {type(error).__name__}: {error}",
            f"its entry point in the group '{point.group}' is '{point.value}'",
        ) from error
