"""From a plan to the C files that carry it out on a device, and prove on the host that they do."""

from __future__ import annotations

from memplan.base.errors import InvalidPlanError, PlanError
from memplan.firmware.header import header
from memplan.firmware.host_test import host_test
from memplan.firmware.identifiers import file_stem
from memplan.firmware.lowering import program_of
from memplan.firmware.names import Names
from memplan.firmware.source import source
from memplan.ir.model import Model
from memplan.judge.check.check import check
from memplan.problem.plan import Plan, refuse_tiles


def c_file_names(stem: str) -> tuple[str, str, str]:
    """The names of header, source and host test made from a model of this stem."""
    name = file_stem(stem)
    return f"{name}_plan.h", f"{name}_plan.c", f"{name}_plan_test.c"


def c_files(model: Model, plan: Plan) -> tuple[str, str, str]:
    """Header, source and host test of the plan in C99; the same plan gives the same text.

    Args:
        model: what was planned; its stem names functions and files.
        plan: a valid plan of it, for any target.

    Raises:
        PlanError: the plan was made for another graph, has no steps, or an alignment that C cannot give.
        InvalidPlanError: the plan breaks a rule: a device would not notice.
    """
    refuse_tiles(model.graph, plan)
    if not plan.schedule:
        raise PlanError(f"there is no plan to write: {plan.reason or 'it has no steps'}", "emit a valid plan")
    broken = check(model.graph, plan, claims=False)
    if broken:
        raise InvalidPlanError(f"the plan breaks a rule: {broken[0]}", "run `check`, and emit a valid plan")
    program = program_of(model.graph, plan)
    if not program.places:
        raise PlanError("there is nothing to write: no op of the plan has an operand", "emit json")
    names = Names(model.stem, program)
    return header(names), source(names), host_test(names)
