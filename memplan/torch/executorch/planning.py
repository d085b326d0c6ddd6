"""A plan carried out by ExecuTorch's memory planning: its order, its arenas, its offsets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from executorch.exir import ExecutorchProgramManager
from executorch.exir.memory_planning import MemoryAlgoResult, update_all_tensors_lifetime
from executorch.exir.passes import MemoryPlanningPass
from executorch.exir.tensor import TensorSpec
from torch.fx import GraphModule

from memplan.base.errors import MemplanError, PlanError
from memplan.ir.model import Model
from memplan.judge.check.check import check
from memplan.judge.evaluate import refuse
from memplan.problem.plan import Plan, refuse_mismatch
from memplan.torch.executorch.graph import RETURN, block, executed
from memplan.torch.executorch.packing import FIRST_ARENA, packed
from memplan.torch.executorch.source import PROFILE, EdgeSource, algorithm_suite

HINT = f"plan with --runtime {PROFILE}"
"""What helps where a plan is not for the runtime."""


@dataclass(frozen=True)
class PlanningPass:
    """What `planning_pass` makes: ExecuTorch runs it on a method as it will be executed, in place of its own planning."""

    model: Model
    plan: Plan

    def run(self, module: GraphModule, signature: Any = None) -> Any:
        """Order the nodes of the module, and place all that it allocates; PlanError where it is not what was planned."""
        nodes = {node.name: node for node in module.graph.nodes}
        end = module.graph.output_node()
        for name in executed_order(self.plan):
            if name not in nodes:
                raise PlanError(f"the program has no op '{name}'", "plan the program that is lowered")
            for node in block(nodes[name]):
                end.prepend(node)
        try:
            module.graph.lint()
        except RuntimeError as error:  # an op that no plan names stands before what it reads
            raise PlanError(
                f"the program is not '{self.model.graph.name}' as it was planned",
                "plan the program that is lowered",
            ) from error

        def planned(
            alignment: int, specs: Iterable[TensorSpec], part: Any, _: Any, padding: int
        ) -> MemoryAlgoResult:
            """The plan's places for the module; places of their own for the bodies in it, which no plan knows."""
            places = self._places(module, signature) if part is module else {}
            return packed(alignment, specs, part.input_mem_buffer_sizes, padding, places)

        return MemoryPlanningPass(algorithm_suite(planned)).run(module, signature)

    def _places(self, module: GraphModule, signature: Any) -> dict[TensorSpec, tuple[int, int]]:
        """The arena and offset of each spec, after what is written in place is known to lie in what it overwrites."""
        found = executed(module, self.model.graph.name)
        if {*found.graph.tensors} != {*self.model.graph.tensors}:
            raise PlanError(
                f"the program is not '{self.model.graph.name}' as it was planned",
                "lower it with the configuration that it was planned with",
            )
        for pair in self.plan.inplace:
            found.spec[pair.output].storage_base = found.spec[pair.operand]
        update_all_tensors_lifetime(module, signature)
        arena = {memory.name: FIRST_ARENA + i for i, memory in enumerate(self.plan.target.addressed)}
        return {found.spec[r.tensor]: (arena[r.memory], r.offset) for r in self.plan.residencies}


def planning_pass(model: Model, plan: Plan) -> PlanningPass:
    """A `memory_planning_pass` for `ExecutorchBackendConfig` that lets ExecuTorch carry out the plan.

    Args:
        model: what `from_edge` made of the program.
        plan: a plan for runtime "executorch". The memories of its target that have addresses are ExecuTorch's arenas 1, 2, ….

    Raises:
        MemplanError: the model was not made of an edge program.
        PlanError: the plan is of another graph, or asks for what the runtime does not do.
        InvalidPlanError: it breaks a rule, which the runtime would not notice.
    """
    source_of(model)
    refuse_mismatch(model.graph, plan)
    if sorted(plan.schedule) != sorted(op.name for op in model.graph.ops):
        why = plan.reason or "it leaves ops out, or repeats them"
        raise PlanError(f"the plan has no schedule that the runtime can keep: {why}", HINT)
    if plan.runtime != PROFILE:
        raise PlanError(f"the plan was made for {plan.runtime or 'no runtime'}", HINT)
    if plan.options.io == "external" or plan.options.weights != "ignore":
        raise PlanError(
            f"the plan has io {plan.options.io} and weights {plan.options.weights}: ExecuTorch's arenas hold inputs and "
            "outputs, and no constants",
            HINT,
        )
    if plan.moves or plan.joined:
        raise PlanError("the plan moves tensors or joins operands, which the runtime does not", HINT)
    placed = {r.tensor for r in plan.residencies}
    storages = (t for t in model.graph.tensors if t.place is None and t.kind != "constant" and t.nbytes)
    if astray := next((t.name for t in storages if t.name not in placed), None):
        raise PlanError(
            f"'{astray}' lies in a memory without addresses", "give every memory of the target addresses"
        )
    refuse(check(model.graph, plan, claims=False))
    return PlanningPass(model, plan)


def planned_program(model: Model, plan: Plan) -> ExecutorchProgramManager:
    """The program lowered as planned; see `planning_pass` for what is raised."""
    return source_of(model).lowered(planning_pass(model, plan))


def executed_order(plan: Plan) -> list[str]:
    """Names of the nodes that ExecuTorch executes, in the plan's order."""
    return [name for name in plan.schedule if name != RETURN]


def arenas(model: Model, plan: Plan) -> tuple[int, ...]:
    """The bytes of ExecuTorch's arenas 1, 2, … that a planned program asks for: the plan's, and what the runtime adds."""
    source = source_of(model)
    reserved = [*source.reserved, *[0] * len(plan.peaks)]
    return tuple(
        first + peak + (source.padding if peak else 0)
        for first, peak in zip(reserved, plan.peaks.values(), strict=False)
    )


def source_of(model: Model) -> EdgeSource:
    """The edge program that the model was made of; MemplanError where it was made of none."""
    if not isinstance(model.source, EdgeSource):
        raise MemplanError(
            f"'{model.stem}' was not made of an edge program of ExecuTorch",
            f"load a .pt2 for the runtime (in Python memplan.load(path, runtime='{PROFILE}')), or use from_edge",
        )
    return model.source
