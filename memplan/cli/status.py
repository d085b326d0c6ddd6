"""Exit statuses of the program."""

from __future__ import annotations

from memplan.problem.plan import Status

EXIT_STATUS = {Status.INFEASIBLE: 3, Status.UNKNOWN: 4}
