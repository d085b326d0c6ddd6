"""memplan plans where and when the tensors of a neural network live in memory.

>>> import memplan
>>> model = memplan.load("resnet8_int8")
>>> plan = memplan.plan(model, scratchpad="MR")  # the least memory that any plan needs
>>> memplan.check(model, plan)
[]
>>> print(plan.status, plan.value)
optimal 0

Everything a user needs is a name of this package, none of which is a module too; `testing` alone is one, the
conformance suite for solvers. Importing it takes nothing but the standard library.
"""

import os
import sys

if sys.orig_argv[1:3] == ["-m", "memplan"]:  # the program, of which this package is imported first
    if sys.path[:1] == [os.getcwd()]:
        del sys.path[0]  # the working folder, where anybody's files may lie
    from memplan_start import leave_when_interrupted

    leave_when_interrupted()

from memplan.api import (
    check,
    emit,
    emit_fx,
    from_exported,
    from_fx,
    fx_pass,
    load,
    measure,
    run,
    simulate,
    torch_backend,
)
from memplan.base.clock import Clock
from memplan.base.errors import (
    BoundError,
    DimensionError,
    ExecutionError,
    GraphError,
    InvalidPlanError,
    MemplanError,
    OptionError,
    PlanError,
    TargetError,
)
from memplan.base.version import __version__
from memplan.io.graph_json import read_graph, write_graph
from memplan.io.ops_toml import declare_ops
from memplan.io.plan_json import read_plan, write_plan
from memplan.ir.declarations import declare_op
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.parts import Access, Op, Tensor
from memplan.judge.check.violation import Violation
from memplan.library.zoo import ZooEntry, zoo_index, zoo_names
from memplan.machine.load import load_target, preset_names
from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.target import Target
from memplan.packing.buffers import Buffer, Gap, Packing, Segment
from memplan.packing.check import check_packing
from memplan.packing.packer import Packer, pack, pack_buffers
from memplan.problem.joins import Hosted
from memplan.problem.options import Options
from memplan.problem.pins import Pin
from memplan.problem.placeable import Parts, Place, Placeable
from memplan.problem.plan import InPlace, Metrics, Move, Plan, Residency, Status
from memplan.problem.problem import Problem
from memplan.problem.storage import Storage
from memplan.runtimes.obedience import Obedience
from memplan.runtimes.report import OutputReport, RunReport
from memplan.solving import testing
from memplan.solving.capabilities import Capabilities
from memplan.solving.capacities import ReferenceCapacities
from memplan.solving.front import TilingFront, TilingPoint
from memplan.solving.limits import Limits, Progress
from memplan.solving.planning import PlanOptions, make_problem, plan
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from memplan.solving.tiler import Tiler
from memplan.solving.tiling import FrontOptions, tile, tile_front
from memplan.studies.curve import SweepPoint
from memplan.studies.sweep import Sweep, sweep
from memplan.tiling.record import Region

__all__ = [
    "Access", "BoundError", "Buffer", "Capabilities", "Channel", "Clock", "Compute", "DimensionError", "ExecutionError",
    "FrontOptions", "Gap", "Graph", "GraphError", "Hosted", "InPlace", "InvalidPlanError", "Limits", "Memory", "MemplanError", "Metrics", "Model", "Move",
    "Obedience", "Op", "OptionError", "Options", "OutputReport", "Packer", "Packing", "Parts", "Pin", "Place", "Placeable", "Plan", "PlanError",
    "PlanOptions", "Problem", "Progress", "ReferenceCapacities", "Region", "Residency", "RunReport", "Segment",
    "Solver", "Status", "Storage", "Sweep", "SweepPoint", "Target", "TargetError", "Tensor", "Tiler", "TilingFront", "TilingPoint", "Violation", "ZooEntry",
    "__version__", "check", "check_packing", "declare_op", "declare_ops", "emit", "emit_fx", "from_exported", "from_fx", "fx_pass", "load",
    "load_target", "make_problem", "measure", "pack", "pack_buffers", "parse_spec", "plan", "preset_names", "read_graph",
    "read_plan", "run", "simulate", "sweep", "testing", "tile", "tile_front", "torch_backend", "write_graph", "write_plan", "zoo_index", "zoo_names",
]  # fmt: skip
