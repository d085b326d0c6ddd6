"""What can go wrong, as exceptions that carry their own exit status."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MemplanError(Exception):
    """Something a user can mend: `message` says what and where, `hint` how.

    `exit_status` is what the command line leaves with when it meets the error.
    """

    exit_status = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class GraphError(MemplanError):
    """A graph or model file that cannot be planned: malformed, cyclic, unshaped."""


class TargetError(MemplanError):
    """A target description that is unknown, incomplete or out of range."""


class OptionError(MemplanError):
    """An option, solver spec, unit or capacity name that memplan does not know."""


class DimensionError(OptionError):
    """A size for a dimension that the model does not leave free."""


class BoundError(OptionError):
    """A bound for a tensor that has none, or that contradicts what is known of the tensor."""


class PlanError(MemplanError):
    """A plan file that cannot be read: not JSON, a newer version, a missing field."""


class InvalidPlanError(MemplanError):
    """A plan that breaks a rule of the model, or whose claims do not recompute."""

    exit_status = 5


class ExecutionError(MemplanError):
    """A plan that could not be executed, or whose outputs differ from the reference."""

    exit_status = 5


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word that `word` begins, or the closest to it, else all of them."""
    options = sorted(known)
    begun = [option for option in options if len(word) > 2 and option.startswith(word)]
    close = begun or difflib.get_close_matches(word, options, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(options) or 'none'}"
