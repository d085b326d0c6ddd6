"""Edge programs, lowered by ExecuTorch itself as often as somebody asks what comes out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from executorch.exir import EdgeProgramManager, ExecutorchBackendConfig, ExecutorchProgramManager
from executorch.exir.memory_planning import MemoryAlgoResult, MemoryPlanningAlgorithmSuite
from executorch.exir.passes import MemoryPlanningPass
from executorch.exir.tensor import TensorSpec
from torch.fx import GraphModule

from memplan.base.errors import GraphError, MemplanError

PROFILE = "executorch"
"""The runtime, as `--runtime` calls it."""


@dataclass(frozen=True)
class EdgeSource:
    """An edge program, and what ExecuTorch keeps of each arena beside what is planned.

    Args:
        edge: the program, which no lowering changes.
        method: the method that is planned.
        config: how it is lowered.
        reserved: by arena, the first of which is ExecuTorch's arena 1, the bytes at its start for bodies of control flow.
        padding: bytes added to each arena, which some delegates ask for.
    """

    edge: EdgeProgramManager
    method: str
    config: ExecutorchBackendConfig
    reserved: tuple[int, ...] = ()
    padding: int = 0

    def lowered(self, memory_planning: Any = None) -> ExecutorchProgramManager:
        """What ExecuTorch makes of the program, its method planned by that pass, or by ExecuTorch's own; GraphError where it refuses."""
        passes = {self.method: memory_planning or MemoryPlanningPass()}
        try:
            return copy.deepcopy(self.edge).to_executorch(replace(self.config, memory_planning_pass=passes))
        except MemplanError:
            raise
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            raise GraphError(
                f"ExecuTorch does not lower '{self.method}': {words}", "does it without memplan?"
            ) from error


Algorithm = Callable[[int, Iterable[TensorSpec], GraphModule, Any, int], MemoryAlgoResult]
"""What ExecuTorch asks where to place the specs of a module, their lifetimes known: alignment, specs, module, signature, padding."""


def algorithm_suite(algorithm: Algorithm) -> MemoryPlanningAlgorithmSuite:
    """What writes the answer of this algorithm into the specs."""
    return MemoryPlanningAlgorithmSuite(algo_list=[algorithm])
