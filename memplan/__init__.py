"""memplan plans where and when the tensors of a neural network live in memory."""

import os
import sys

if sys.path[:1] == [os.getcwd()] and sys.orig_argv[1:3] == ["-m", "memplan"]:
    del sys.path[
        0
    ]  # `python -m` looks for modules in the working folder first, where anybody's files may lie

from memplan.api import check, emit, emit_fx, from_exported, from_fx, fx_pass, load, plan, run, simulate
from memplan.base.errors import MemplanError
from memplan.ir.graph import Graph, Op, Tensor
from memplan.ir.model import Model
from memplan.machine.target import Target, load_target
from memplan.packing.buffers import Buffer, Packing
from memplan.packing.packer import pack
from memplan.problem.options import Options
from memplan.problem.plan import Metrics, Move, Plan, Residency, Status
from memplan.problem.problem import Problem
from memplan.solving.solver import Budget, Progress, Solver

__version__ = "0.1.0"

__all__ = [
    "Budget", "Buffer", "Graph", "MemplanError", "Metrics", "Model", "Move", "Op", "Options", "Packing", "Plan",
    "Problem", "Progress", "Residency", "Solver", "Status", "Target", "Tensor", "check", "emit",
    "emit_fx", "from_exported", "from_fx", "fx_pass", "load", "load_target", "pack", "plan", "run", "simulate",
]  # fmt: skip
