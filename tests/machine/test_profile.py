"""Runtime profiles: every fact with its source, and what they do to a plan."""

from __future__ import annotations

from dataclasses import fields

import pytest

import memplan
from memplan.base.errors import OptionError
from memplan.machine.profile import Profile, load_profile, profile_from_dict, profile_names
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.runtimes.measure import MEASURED
from memplan.solving.runtimes import refuse_undone


@pytest.mark.parametrize("name", profile_names())
def test_every_fact_has_a_source(name: str) -> None:
    profile = load_profile(name)
    facts = {f.name for f in fields(Profile)} - {"name", "policies", "kernels", "sources"}
    assert facts <= profile.sources.keys()
    assert {f"policies.{key}" for key in profile.policies} <= profile.sources.keys()


def test_what_plans_are_measured_on_has_a_profile() -> None:
    assert MEASURED.keys() <= set(profile_names())


def test_an_unknown_runtime_is_named_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean 'tflm'"):
        load_profile("tflmm")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "x", "alignmnt": 4}, "unknown key 'alignmnt'\nhint: did you mean 'alignment'"),
        ({"name": "x", "kernels": {"ADD": {"overwrite": [0]}}}, "kernel 'ADD': unknown key 'overwrite'"),
        ({"name": "x", "policies": {"io": "inside"}}, "policy io = 'inside'"),
        ({"name": "x", "control_flow": "none"}, "control_flow = 'none'\nhint: known: planned or bounded"),
    ],
)
def test_what_no_profile_has_is_refused(data: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        profile_from_dict(data)
    assert words in str(caught.value)


def test_kernels_that_do_alike_are_described_once() -> None:
    alike = [{"kinds": ["ADD", "SUB"], "overwrites": [0, 1]}]
    kernels = profile_from_dict({"name": "x", "kernels_alike": alike}).kernels
    assert kernels["ADD"] == kernels["SUB"] and kernels["ADD"].overwrites == (0, 1)


def test_a_runtime_sets_alignment_policies_and_objective() -> None:
    graph = memplan.load("resnet8_int8").graph
    plan = memplan.plan(graph, runtime="tflm", solver="greedy")
    assert (plan.runtime, plan.options.objective, plan.options.io) == ("tflm", "peak", "resident")
    assert plan.options.inplace and plan.target.scratchpad.alignment == 16
    assert memplan.check(graph, plan) == []


def test_an_alignment_of_ones_own_is_a_multiple_of_the_runtimes() -> None:
    graph = memplan.load("resnet8_int8").graph
    assert memplan.make_problem(graph, runtime="tflm", alignment=64).target.scratchpad.alignment == 64
    assert memplan.make_problem(graph, runtime="tflm", alignment=24).target.scratchpad.alignment == 48


def test_a_runtime_that_moves_nothing_has_no_plan_that_spills() -> None:
    with pytest.raises(OptionError, match="moves nothing"):
        memplan.plan(memplan.load("resnet8_int8"), runtime="tflm", objective="traffic")


def test_a_runtime_of_one_memory_is_not_planned_for_on_a_target_of_several() -> None:
    graph = memplan.load("resnet8_int8").graph
    for target in (
        "stm32h743",
        "ethos-u65",
    ):  # in the latter ops may leave tensors where no plan gives an address
        with pytest.raises(OptionError, match=f"'tflm' has one memory, and ops on '{target}' use several"):
            memplan.plan(graph, target, runtime="tflm")
    assert memplan.make_problem(graph, "ethos-u55-shared-sram", runtime="tflm")  # whose flash is readonly
    assert memplan.make_problem(graph, "stm32h743", runtime="c", objective="traffic")


def test_what_a_runtime_does_not_do_is_refused_with_what_helps() -> None:
    graph = memplan.load("resnet8_int8").graph
    with pytest.raises(OptionError, match="'tflm' executes each op once\nhint: give --recompute off"):
        memplan.plan(graph, runtime="tflm", recompute="any")
    with pytest.raises(OptionError, match="'onnxruntime' places 'stage0/add.out' itself"):
        memplan.plan(graph, runtime="onnxruntime", pins={"stage0/add.out": "@64"})
    obstinate = Profile("obstinate", keeps_order=False)
    with pytest.raises(OptionError, match="keeps the order of the model\nhint: give --order program"):
        refuse_undone(obstinate, Target(), Options())
    refuse_undone(obstinate, Target(), Options(order="program"))


def test_only_a_runtime_of_several_memories_is_asked_for_traffic_where_nothing_moves() -> None:
    graph = memplan.load("resnet8_int8").graph
    fast = memplan.Memory("fast", 1 << 17, alignment=16)
    slow = memplan.Memory("slow", alignment=16, addresses=True)
    target = memplan.Target("two", (fast, slow), {"default": ("fast", "slow")}, queues=0)
    plan = memplan.plan(graph, target, runtime="executorch", solver="greedy")
    assert plan.options.objective == "traffic" and not plan.moves and plan.peaks["slow"]
    for runtime, machine in (("tflm", target), ("executorch", "scratchpad")):
        with pytest.raises(OptionError, match="moves nothing"):
            memplan.plan(graph, machine, runtime=runtime, objective="traffic")
