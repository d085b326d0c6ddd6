"""Planned files: order, offsets, and what is refused."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

import memplan
from memplan.base.errors import InvalidPlanError, MemplanError, OptionError, PlanError
from memplan.problem.plan import Move
from memplan.tflite.emit import METADATA, head_nbytes, offsets, planned_tflite, without_offsets
from memplan.tflite.program import parse
from tests.tflite.test_read import loaded
from tests.tflite_models import Sub, branching, conditional, random_net, stateful, tflite


def planned(made: bytes, folder: Path) -> tuple[memplan.Model, memplan.Plan]:
    model = loaded(made, folder)
    return model, memplan.plan(model, runtime="tflm", solver="greedy")


@pytest.mark.parametrize("made", [branching(), conditional(), stateful(), random_net(5)], ids=len)
def test_order_and_offsets_are_the_plans(made: bytes, tmp_path: Path) -> None:
    model, plan = planned(made, tmp_path)
    before, after = parse(made, "x"), parse(planned_tflite(model, plan), "x")
    position = {op.name: i for i, op in enumerate(model.graph.ops)}
    wanted = [before.subgraphs[0].operators[position[name]] for name in plan.schedule]
    assert list(after.subgraphs[0].operators) == wanted
    held = after.buffers[dict(after.metadata)[METADATA]]
    found = struct.unpack(f"<{len(held) // 4}i", after.data[held.start : held.stop])
    count = sum(len(s.tensors) for s in before.subgraphs)
    assert found[:3] == (1, 0, count) and list(found[3:]) == offsets(model, plan)
    place = {r.tensor: r.offset for r in plan.residencies}
    for value, offset in zip(before.subgraphs[0].tensors, found[3:], strict=False):
        root = model.graph.storage_of.get(value.name, value.name)
        assert offset == (-1 if value.constant or not value.nbytes else place.get(root, 0))


def test_a_planned_file_is_planned_again(tmp_path: Path) -> None:
    model, plan = planned(branching(), tmp_path)
    again, anew = planned(planned_tflite(model, plan), tmp_path)
    assert anew.value == plan.value
    names = [name for name, _ in parse(planned_tflite(again, anew), "x").metadata]
    assert names == [METADATA]


def test_without_offsets_the_runtime_decides(tmp_path: Path) -> None:
    model, plan = planned(branching(), tmp_path)
    program = parse(planned_tflite(model, plan), "x")
    bare = parse(without_offsets(program), "x")
    held = bare.buffers[dict(bare.metadata)[METADATA]]
    words = struct.unpack(f"<{len(held) // 4}i", bare.data[held.start : held.stop])
    assert set(words[3:]) == {-1} and without_offsets(parse(branching(), "x")) == branching()


def test_what_the_runtime_does_not_do_is_refused(tmp_path: Path) -> None:
    model, plan = planned(branching(), tmp_path)
    move = Move(plan.residencies[0].tensor, "scratchpad", "host", 1, 1)
    odd = replace(plan, residencies=(plan.residencies[0]._replace(offset=8), *plan.residencies[1:]))
    for wrong, words in (
        (memplan.plan(model, solver="greedy"), "io host"),
        (replace(plan, moves=(move,)), "moves tensors"),
        (replace(plan, schedule=(*plan.schedule, plan.schedule[-1])), "repeats"),
        (memplan.plan(model, runtime="tflm", weights="tensor", solver="greedy"), "weights tensor"),
        (odd, "no multiple of 16"),
        (memplan.plan(model, runtime="tflm", scratchpad=64), "bytes are missing"),
        (replace(plan, schedule=plan.schedule[1:]), "leaves ops out"),
        (planned(conditional(), tmp_path)[1], "another graph"),
    ):
        with pytest.raises(PlanError, match=words):
            planned_tflite(model, wrong)


def test_a_plan_whose_tensors_lie_in_several_memories_is_refused(tmp_path: Path) -> None:
    """Those without an offset would lie at the start of the arena."""
    model = loaded(branching(), tmp_path)
    for target, objective in (("ethos-u65", "peak"), ("stm32h743", "traffic")):
        options = {"objective": objective, "io": "resident", "weights": "ignore", "alignment": 16}
        plan = memplan.plan(model, target, solver="greedy", **options)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="has one memory"):
            planned_tflite(model, plan)


def test_a_plan_that_lays_tensors_over_one_another_is_refused(tmp_path: Path) -> None:
    model, plan = planned(branching(), tmp_path)
    flat = replace(plan, residencies=tuple(r._replace(offset=0) for r in plan.residencies))
    with pytest.raises(InvalidPlanError, match="overlap"):
        planned_tflite(model, flat)
    with pytest.raises(InvalidPlanError):
        planned_tflite(model, replace(plan, residencies=plan.residencies[1:]))


def test_another_model_has_no_file_to_change() -> None:
    model = memplan.load("resnet8_int8")
    plan = memplan.plan(model, runtime="tflm", solver="greedy")
    with pytest.raises(MemplanError, match="not read from a .tflite file"):
        planned_tflite(model, plan)


def test_files_are_written_beside_others(tmp_path: Path) -> None:
    model, plan = planned(branching(), tmp_path)
    written = memplan.emit(model, plan, "json,tflite", tmp_path)
    assert [path.name for path in written] == ["net.plan.json", "net.memplan.tflite"]
    assert written[1].read_bytes() == planned_tflite(model, plan)


def test_what_nothing_touches_has_a_place_too(tmp_path: Path) -> None:
    main = Sub()
    x, unread = main.input((1, 8)), main.input((1, 80))
    untouched = main.tensor((1000,))
    main.outputs.append(main.op("RELU", [x], (1, 8)))
    model, plan = planned(tflite(main), tmp_path)
    found = offsets(model, plan)
    first = found[x]
    assert found[untouched] == 0 and (found[unread] >= first + 32 or found[unread] + 320 <= first)
    assert plan.metrics.peak == 64 and head_nbytes(model, plan) == 4000


def test_a_model_without_operators_is_planned(tmp_path: Path) -> None:
    main = Sub()
    main.outputs.append(main.input((1, 8)))
    model, plan = planned(tflite(main), tmp_path)
    assert (
        head_nbytes(model, plan) == 32
        and parse(planned_tflite(model, plan), "x").subgraphs[0].operators == ()
    )


def test_offsets_have_31_bits(tmp_path: Path) -> None:
    main = Sub()
    x = main.input((2**15, 2**15))
    main.outputs.append(main.op("RELU", [main.op("TANH", [x], (2**15, 2**15))], (2**15, 2**15)))
    model, plan = planned(tflite(main), tmp_path)
    moved = replace(plan, residencies=tuple(r._replace(offset=r.offset + 2**32) for r in plan.residencies))
    with pytest.raises(PlanError, match="31 bits"):
        planned_tflite(model, moved)
