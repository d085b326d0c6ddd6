"""Tiles that a derivation makes are accepted; those that are made wrong by hand are refused, each for its own reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from onnx import ModelProto

import memplan
from memplan import Graph, Op, Region
from memplan.ir.boxes import whole
from memplan.ir.parts import Access
from memplan.judge.check.tiles import tiles
from memplan.onnx.read import model_from_proto
from memplan.tiling.derive import derive
from tests.tiling import models
from tests.tiling.test_derive import TILINGS, reference

CNN = model_from_proto(models.residual_cnn(24), "net", ".", {}).graph
ATTENTION = reference(models.attention).graph
KEPT = derive(CNN, (Region(("conv1", "mean"), (2,), (2,), 2),))
TWICE = derive(CNN, (Region(("conv1", "mean"), (2,), (2,)),))
STATES = derive(ATTENTION, (Region(("scores", "residual2"), (1,), (5,)),))


@pytest.mark.parametrize(("make", "tiling"), TILINGS)
def test_what_is_derived_is_accepted(make: Callable[[], ModelProto], tiling: list[Region]) -> None:
    graph = reference(make).graph
    assert tiles(graph, derive(graph, tuple(tiling))) == []


def changed(graph: Graph, name: str, **fields: object) -> Graph:
    """The graph with other fields of the op of that name, and without what nobody writes any more."""
    ops = tuple(replace(op, **fields) if op.name == name else op for op in graph.ops)  # type: ignore[arg-type]
    written = {name for op in ops for name in op.outputs}
    tensors = tuple(t for t in graph.tensors if t.name in written or t.kind in ("input", "constant"))
    return replace(graph, ops=ops, tensors=tensors)


def op(graph: Graph, name: str) -> Op:
    return next(op for op in graph.ops if op.name == name)


def without(graph: Graph, name: str, *operands: str) -> Graph:
    """The graph in which an op does not read these."""
    return changed(graph, name, inputs=tuple(x for x in op(graph, name).inputs if x not in operands))


def said(graph: Graph, derived: Graph) -> str:
    found = tiles(graph, derived)
    assert [v.rule for v in found] == ["tiles"]
    return found[0].message


def reader(graph: Graph, of: str, several: bool = True) -> Op:
    """A tile of that op in the midst of its region that reads several tensors."""
    return next(o for o in graph.ops if o.tile and o.tile[0] == of and len(o.inputs) > (3 if several else 0))


def test_a_missing_halo_row_is_refused() -> None:
    tile = reader(KEPT, "depthwise")
    assert "it reads" in said(CNN, without(KEPT, tile.name, tile.inputs[0]))


def test_a_chunk_that_is_read_twice_is_refused() -> None:
    tile = reader(KEPT, "depthwise")
    doubled = changed(KEPT, tile.name, inputs=(tile.inputs[0], *tile.inputs))
    assert f"reads elements of 'r1' twice, again from '{tile.inputs[0]}'" in said(CNN, doubled)


def test_a_chunk_of_another_place_is_refused() -> None:
    tile = [o for o in KEPT.ops if o.tile and o.tile[0] == "depthwise"][-1]
    other = next(o for o in KEPT.ops if o.tile and o.tile[0] == "relu1" and o.results[0] not in tile.inputs)
    wrong = changed(KEPT, tile.name, inputs=(other.results[0], *tile.inputs[1:]))
    assert "which holds nothing that it needs of 'r1'" in said(CNN, wrong)


def test_a_state_that_is_read_too_early_is_refused() -> None:
    derived = derive(
        CNN, (Region(("conv1", "relu1"), (2,), (4,), 2), Region(("depthwise", "mean"), (1,), (4,)))
    )
    early = changed(
        derived, "depthwise", inputs=("r1.2", "w2"), tile=("depthwise", whole(CNN.tensor["c2"].shape or ()))
    )
    assert "needs ((0, 1), (0, 4), (0, 12), (0, 12)) of 'r1', it reads" in said(CNN, early)


def test_a_chunk_that_is_read_before_its_last_slice_is_refused() -> None:
    derived = derive(CNN, (Region(("conv1", "mean"), (2,), (2,), 2, slices=4),))
    slices = [o for o in derived.ops if o.tile and o.tile[0] == "depthwise"]
    last = next(
        o
        for o in slices
        if any(o.results[0] in later.inputs for later in derived.ops if later.kind == "Clip")
    )
    reads = next(o for o in derived.ops if o.kind == "Clip" and last.results[0] in o.inputs)
    early = changed(derived, reads.name, inputs=(last.inputs[-1], *reads.inputs[1:]), overwrites=())
    assert "of 'c2', it reads" in said(CNN, early)


@pytest.mark.parametrize("before", [0, 2])
def test_wrong_padding_is_refused(before: int) -> None:
    """Tiles are derived as if there were more or less padding above the image than there is."""
    conv = op(CNN, "conv1")
    needs = ((*conv.needs[0][:2], Access(2, 2, before, 2), conv.needs[0][3]), *conv.needs[1:])
    shifted = changed(CNN, "conv1", needs=needs)
    region = (Region(("conv1", "relu1"), (2,), (4,)), Region(("depthwise", "mean"), (2,), (2,), 2))
    assert "bytes of workspace, it gathers" in said(CNN, derive(shifted, region))


def test_an_output_that_is_covered_twice_is_refused() -> None:
    last = [o for o in STATES.ops if o.tile and o.tile[0] == "residual2"]
    again = changed(STATES, last[1].name, tile=("residual2", last[0].tile[1] if last[0].tile else ()))
    assert "residual2" in said(ATTENTION, again)


def test_an_output_of_which_a_part_is_missing_is_refused() -> None:
    last = [o for o in STATES.ops if o.tile and o.tile[0] == "residual2"]
    skipped = changed(STATES, last[2].name, inputs=(*last[2].inputs[:-1], "y.1"), overwrites=())
    assert "'net' needs all of 'y', of which" in said(ATTENTION, skipped)


def test_flops_that_are_not_those_of_the_box_are_refused() -> None:
    tile = reader(KEPT, "depthwise")
    assert f"of {(tile.flops or 0) - 1} flops" in said(
        CNN, changed(KEPT, tile.name, flops=(tile.flops or 0) - 1)
    )


def test_a_gathered_operand_without_workspace_is_refused() -> None:
    tile = reader(KEPT, "depthwise")
    assert "0 bytes of workspace" in said(CNN, changed(KEPT, tile.name, outputs=tile.results, workspace=None))


def test_a_chunk_that_is_smaller_than_its_box_is_refused() -> None:
    tile = reader(TWICE, "relu1", several=False)
    smaller = tuple(
        replace(t, nbytes=t.nbytes - 4) if t.name == tile.results[0] else t for t in TWICE.tensors
    )
    ops = tuple(replace(o, overwrites=()) for o in TWICE.ops)
    assert "which has" in said(CNN, replace(TWICE, tensors=smaller, ops=ops))


def test_a_tile_of_what_cannot_be_cut_is_refused() -> None:
    uncut = replace(CNN, ops=tuple(replace(o, needs=()) if o.name == "relu1" else o for o in CNN.ops))
    assert "is cut along axis 2, along which 'relu1' cannot be cut" in said(uncut, KEPT)


def test_an_op_that_is_no_tile_and_not_the_models_is_refused() -> None:
    derived = derive(CNN, (Region(("conv1", "relu1"), (2,), (2,), 2),))
    assert "neither a tile nor an op" in said(CNN, changed(derived, "pool", flops=1))


def test_another_output_is_refused() -> None:
    extra = replace(STATES, outputs=("y", "x"))
    assert "what goes into 'net' and comes out" in said(ATTENTION, extra)


def test_a_plan_with_tiles_is_checked_on_what_they_make_of_its_own_model() -> None:
    tiling = (Region(("scores", "residual2"), (1,), (5,)),)
    plan = memplan.plan(ATTENTION, scratchpad="max", objective="peak", tiling=tiling)
    assert plan.graph_sha256 == ATTENTION.sha256 and memplan.check(ATTENTION, plan) == []
    assert memplan.simulate(ATTENTION, plan) == plan.metrics
    assert memplan.check(CNN, plan)[0].rule == "graph"
    other = replace(plan, tiling=(Region(("scores", "residual2"), (1,), (4,)),))
    assert "schedule" in {v.rule for v in memplan.check(ATTENTION, other)}
    nowhere = replace(plan, tiling=(Region(("scores", "residual3"), (1,), (4,)),))
    assert [v.rule for v in memplan.check(ATTENTION, nowhere)] == ["tiles"]
