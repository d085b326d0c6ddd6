"""onnxruntime's session options: those that keep a plan, and its own."""

from __future__ import annotations

from typing import Any

from memplan.base.errors import OptionError, PlanError
from memplan.problem.plan import Plan

LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
"""How far onnxruntime may rewrite a graph, and its own names for it."""


def session_options(plan: Plan | None = None, *, arena: int | None = None) -> Any:
    """`onnxruntime.SessionOptions` under which a model that `emit` wrote runs as the plan says; the defaults without a plan.

    Nodes are executed in the file's order (but for `Shape` and `Size`, which onnxruntime executes as soon as it can), no
    graph is rewritten, and each tensor has bytes of its own from its producer to its last reader.

    Args:
        plan: a plan for runtime "onnxruntime".
        arena: bytes that the allocator of the CPU may hold at most, weights included. It is one allocator for all
            sessions of the process that have asked for one.

    Raises:
        PlanError: the plan was made for another runtime, or for none.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    if plan is not None:
        if plan.runtime != "onnxruntime":
            raise PlanError(
                f"the plan for '{plan.graph}' was made for {plan.runtime or 'no runtime'}",
                "plan with --runtime onnxruntime",
            )
        options.graph_optimization_level = optimization_level("disable")
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
        options.enable_mem_reuse = options.enable_mem_pattern = False
    if arena is not None:
        _register_arena(arena)
        options.add_session_config_entry("session.use_env_allocators", "1")
    return options


def optimization_level(level: str) -> Any:
    """onnxruntime's own value for one of `LEVELS`; OptionError for another word."""
    import onnxruntime as ort

    if level not in LEVELS:
        raise OptionError(f"unknown optimisation level '{level}'", f"known: {', '.join(LEVELS)}")
    return getattr(ort.GraphOptimizationLevel, LEVELS[level])


def _register_arena(nbytes: int) -> None:
    """Let the allocator that sessions share hold so many bytes: weights, and one region of all that they leave."""
    import onnxruntime as ort

    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    region = min(nbytes, 2**31 - 1)
    limits = {"max_mem": nbytes, "initial_chunk_size_bytes": region, "arena_extend_strategy": 0}
    ort.create_and_register_allocator(info, ort.OrtArenaCfg(limits))
