"""memplan plans where and when the tensors of a neural network live in memory."""

import os
import sys

if sys.orig_argv[1:3] == ["-m", "memplan"]:  # the program, of which this package is imported first
    if sys.path[:1] == [os.getcwd()]:
        del sys.path[0]  # the working folder, where anybody's files may lie
    from memplan_start import leave_when_interrupted

    leave_when_interrupted()

from memplan.api import check, emit, emit_fx, from_exported, from_fx, fx_pass, load, run, simulate
from memplan.base.errors import MemplanError
from memplan.base.version import __version__
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.parts import Op, Tensor
from memplan.machine.target import Target, load_target
from memplan.packing.buffers import Buffer, Packing
from memplan.packing.packer import pack
from memplan.problem.options import Options
from memplan.problem.plan import Metrics, Move, Plan, Residency, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Budget, Progress
from memplan.solving.planning import plan
from memplan.solving.solver import Solver

__all__ = [
    "__version__", "Budget", "Buffer", "Graph", "MemplanError", "Metrics", "Model", "Move", "Op", "Options", "Packing", "Plan",
    "Problem", "Progress", "Residency", "Solver", "Status", "Target", "Tensor", "check", "emit",
    "emit_fx", "from_exported", "from_fx", "fx_pass", "load", "load_target", "pack", "plan", "run", "simulate",
]  # fmt: skip
