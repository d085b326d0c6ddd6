"""ExecuTorch's runtime carries out what memplan plans: order, places, arenas; and what no plan may ask of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from executorch.exir import ExecutorchBackendConfig
from executorch.exir.memory_planning import Verifier
from executorch.exir.passes import MemoryPlanningPass
from torch import Tensor

import memplan
from memplan import Memory, Model, Plan, Target
from memplan.base.errors import MemplanError, PlanError
from memplan.torch.executorch.packing import packed
from memplan.torch.executorch.planning import arenas, executed_order, planned_program, planning_pass
from memplan.torch.executorch.source import algorithm_suite
from tests.torch.executorch.nets import IMAGE, NETS, Cell, edge, model_of, net, outputs, unplanned

FAST, SLOW = Memory("sram", 6144, alignment=16), Memory("dram", alignment=16, addresses=True)
TWO = Target("two", (FAST, SLOW), {"default": ("sram", "dram")}, queues=0)


def planned(model: Model, **options: Any) -> Plan:
    return memplan.plan(model, solver=options.pop("solver", "greedy"), time_limit_s=5, **options)


@pytest.mark.parametrize("name", NETS)
def test_a_planned_program_computes_the_same_in_the_bytes_of_the_plan(name: str) -> None:
    model = model_of(name)
    plan = planned(model)
    assert memplan.check(model, plan) == []
    program = planned_program(model, plan)
    module = program.exported_program().graph_module
    assert module.meta["non_const_buffer_sizes"] == [0, *arenas(model, plan)]
    wanted = executed_order(plan)
    assert [n.name for n in module.graph.nodes if n.name in {*wanted}] == wanted
    assert Verifier(module, True, True, True, None).verify_storage_reuse() >= 0
    inputs = [torch.rand(x.shape) for x in NETS[name][1]]
    ours, theirs = (outputs(p, inputs) for p in (program, unplanned(name)))
    assert len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def test_the_order_and_writing_in_place_save_bytes() -> None:
    model = model_of("cell")
    own = unplanned("cell").exported_program().graph_module.meta["non_const_buffer_sizes"]
    assert planned(model).metrics.peak < planned(model, inplace=False).metrics.peak < sum(own)


def test_arenas_are_the_memories_of_the_target() -> None:
    model = model_of("cell")
    plan = planned(model, target=TWO, objective="traffic")
    program = planned_program(model, plan)
    sizes = program.exported_program().graph_module.meta["non_const_buffer_sizes"]
    assert sizes == [0, *arenas(model, plan)] and 0 < sizes[1] <= 6144 and sizes[2] > 0
    x = [torch.rand(1, 4, 8, 8)]
    assert all(map(torch.equal, outputs(program, x), outputs(unplanned("cell"), x)))


def test_the_pass_serves_any_lowering_of_the_same_program() -> None:
    model = model_of("cell")
    plan = planned(model)
    lowered = copy.deepcopy(net("cell")).to_executorch(
        ExecutorchBackendConfig(memory_planning_pass=planning_pass(model, plan))
    )
    sizes = lowered.exported_program().graph_module.meta["non_const_buffer_sizes"]
    assert sizes == [0, plan.metrics.peak]


def test_two_live_tensors_in_one_place_change_the_outputs() -> None:
    model = model_of("cell")
    plan = planned(model)

    def sabotaged(alignment: int, specs: Any, module: Any, _: Any, padding: int) -> Any:
        answer = packed(alignment, specs, module.input_mem_buffer_sizes, padding, {})
        joined = next(n for n in module.graph.nodes if n.name == "aten_cat_default").args[0]
        first, second = (answer.spec_dict[n.meta["spec"]] for n in joined[:2])
        second.mem_offset = first.mem_offset
        return answer

    program = model.source.lowered(MemoryPlanningPass(algorithm_suite(sabotaged)))  # type: ignore[attr-defined]
    x = [torch.rand(1, 4, 8, 8)]
    honest = outputs(planned_program(model, plan), x)
    assert not torch.equal(outputs(program, x)[0], honest[0])


def test_a_plan_that_is_not_for_the_runtime_is_refused() -> None:
    model = model_of("cell")
    plan = planned(model)
    with pytest.raises(PlanError, match="made for no runtime"):
        planning_pass(model, replace(plan, runtime=None))
    with pytest.raises(PlanError, match="io external"):
        planning_pass(model, planned(model, io="external"))
    with pytest.raises(PlanError, match="no schedule"):
        planning_pass(model, planned(model, scratchpad=64))
    with pytest.raises(memplan.InvalidPlanError):
        first, *rest = plan.residencies
        moved = first._replace(offset=first.offset + 16)
        planning_pass(model, replace(plan, residencies=(moved, *rest)))
    with pytest.raises(MemplanError, match="not made of an edge program"):
        planning_pass(memplan.load("resnet8_int8"), plan)
    memories = (FAST, Memory("dram", alignment=16), Memory("host"))
    bare = Target("bare", memories, {"default": ("sram", "dram", "host")}, queues=0)
    with pytest.raises(PlanError, match="without addresses"):
        planning_pass(model, planned(model, target=bare, objective="traffic", io="host"))
    with pytest.raises(memplan.OptionError, match="spills"):
        planned(model, objective="traffic")


def test_another_program_than_the_one_planned_is_refused() -> None:
    model = model_of("cell")

    class Larger(Cell):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    class Unlike(Cell):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    config = ExecutorchBackendConfig(memory_planning_pass=planning_pass(model, planned(model)))
    with pytest.raises(PlanError, match="as it was planned"):
        edge(Unlike, (torch.zeros(2, 4, 8, 8),)).to_executorch(config)
    with pytest.raises(PlanError):
        edge(Larger, IMAGE).to_executorch(config)
