"""What a runtime's profile makes of an op: views, what is written over, what is joined."""

from __future__ import annotations

from typing import Any

from memplan.ir.parts import Op
from memplan.machine.profile import profile_from_dict
from memplan.onnx.executed import as_executed
from tests.onnx_models import model, small_cnn, value
from tests.runtimes.onnxruntime.nets import loaded, node

VIEW = Op("view", "Reshape", ("a", "shape"), ("b",), view=True)
ADD = Op("add", "Add", ("a", "b"), ("c",), overwrites=(("c", "a"), ("c", "b")))
CONCAT = Op("concat", "Concat", ("a", "b"), ("c",), joins=(("a", 0), ("b", 64)))


def executed(op: Op, *, returned: tuple[str, ...] = (), **kernels: Any) -> Op:
    profile = profile_from_dict({"name": "x", "copies_outputs": True, "kernels": kernels})
    return as_executed(op, op.inputs, profile, returned)


def test_what_no_kernel_is_named_for_stays_as_the_importer_has_it() -> None:
    assert as_executed(ADD, ADD.inputs, None, ()) is ADD
    assert [executed(op) for op in (VIEW, ADD, CONCAT)] == [VIEW, ADD, CONCAT]


def test_all_other_kinds_have_a_word_too() -> None:
    nothing = {"view": False, "overwrites": [], "joins": False}
    found = [executed(op, **{"*": nothing, "Reshape": {"view": True}}) for op in (VIEW, ADD, CONCAT)]
    assert [op.view for op in found] == [True, False, False]
    assert [op.overwrites for op in found] == [(), (), ()] and found[2].joins == ()


def test_operands_are_counted_by_the_call_and_one_that_is_there_twice_is_in_use() -> None:
    kernels = {"Add": {"overwrites": [0, 1]}}
    assert executed(ADD, **kernels).overwrites == ADD.overwrites
    assert executed(Op("add", "Add", ("a",), ("c",)), **kernels).overwrites == (("c", "a"),)
    profile = profile_from_dict({"name": "x", "kernels": {"Add": {"overwrites": [0, 1, 5]}}})
    assert as_executed(ADD, ["a", "a"], profile, ()).overwrites == ()
    assert as_executed(ADD, [None, "b"], profile, ()).overwrites == (("c", "b"),)


def test_a_view_that_is_returned_is_a_copy() -> None:
    assert not executed(VIEW, returned=("b",), Reshape={"view": True}).view
    assert executed(VIEW, returned=("c",), Reshape={"view": True}).view


def test_models_are_loaded_for_a_runtime() -> None:
    net = loaded(small_cnn())
    ops = {op.name: op for op in net.graph.ops}
    assert net.runtime == "onnxruntime"
    assert ops["add"].overwrites == () and ops["relu1"].overwrites == (("r1", "c1"),) and ops["flat"].view
    nodes = [node("Sin", ["x"], ["a"], name="sin"), node("Identity", ["a"], ["y"], name="end")]
    copied = loaded(model(nodes, [value("x", [4])], [value("y", [4])]))
    assert not copied.graph.ops[1].view and copied.graph.storage_of["y"] == "y"
