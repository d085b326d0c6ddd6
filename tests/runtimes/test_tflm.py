"""TensorFlow Lite Micro's own interpreter runs what memplan plans, and counts."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from memplan.base.errors import ExecutionError
from memplan.runtimes.tflm import invoke, measure
from memplan.tflite.emit import (
    METADATA,
    offsets,
    offsets_entry,
    planned_tflite,
    source_program,
    without_offsets,
)
from memplan.tflite.rewrite import Changes, rewritten
from memplan.tflite.scratch import ALIGNMENT, SCRATCH
from tests.cli.program import memplan as program_run
from tests.pages import blocks, walk
from tests.tflite.test_emit import planned
from tests.tflite_models import (
    Sub,
    branching,
    conditional,
    counting,
    halved,
    random_net,
    sparse_halved,
    stateful,
    tflite,
)

pytestmark = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="the extra [tflm] is not installed")


@pytest.mark.parametrize(
    "make",
    [
        branching,
        *(
            pytest.param(make, marks=pytest.mark.slow(reason="starts several programs"))
            for make in (stateful, conditional, counting, halved, sparse_halved)
        ),
    ],
)
def test_the_interpreter_obeys(make: object, tmp_path: Path) -> None:
    found = measure(*planned(make(), tmp_path))  # type: ignore[operator]
    assert found.obeys and found.measured == found.predicted <= found.own and found.outputs == 3


def test_tensors_that_nothing_touches_take_bytes(tmp_path: Path) -> None:
    main = Sub()
    main.inputs += [main.tensor((1, 8)), main.tensor((1, 80))]
    main.tensor((1000,))
    main.outputs.append(main.op("RELU", [0], (1, 8)))
    found = measure(*planned(tflite(main), tmp_path))
    assert found.obeys and found.measured == 4000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_the_interpreter_obeys_plans_of_random_networks(seed: int, tmp_path: Path) -> None:
    found = measure(*planned(random_net(seed), tmp_path))
    assert found.obeys and found.measured <= found.own


@pytest.mark.slow(reason="starts several programs")
def test_an_arena_of_head_and_tail_is_enough_and_one_alignment_less_is_not(tmp_path: Path) -> None:
    model, plan = planned(branching(), tmp_path)
    program, made = source_program(model), planned_tflite(model, plan)
    used = invoke(program, made)
    exact = used.head + used.tail
    assert invoke(program, made, exact).digests == used.digests
    with pytest.raises(ExecutionError, match="does not run the model"):
        invoke(program, made, exact - ALIGNMENT)
    with pytest.raises(ExecutionError, match="does not run the model"):
        invoke(program, without_offsets(program), exact)


def test_two_live_tensors_in_one_place_change_the_outputs(tmp_path: Path) -> None:
    model, plan = planned(branching(), tmp_path)
    program = source_program(model)
    moved = offsets(model, plan)
    concatenated = program.subgraphs[0].operators[-1].inputs
    moved[concatenated[0]] = moved[concatenated[1]]
    number = {op.name: i for i, op in enumerate(model.graph.ops)}
    order = {0: [number[name] for name in plan.schedule]}
    sabotaged = rewritten(program, Changes(order, metadata={METADATA: offsets_entry(moved)}))
    honest = invoke(program, planned_tflite(model, plan))
    assert invoke(program, sabotaged).digests != honest.digests


def test_operators_run_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Two write to one place, where the later result stays: the interpreter itself does not tell its order."""
    main = Sub()
    x = main.input((1, 8))
    main.outputs += [main.op(kind, [x], (1, 8)) for kind in ("NEG", "ABS")]
    model, plan = planned(tflite(main), tmp_path)
    program = source_program(model)
    negative, absolute = invoke(program, planned_tflite(model, plan)).digests[:2]
    shared = {METADATA: offsets_entry([0, 32, 32])}
    for order, later in (([0, 1], absolute), ([1, 0], negative)):
        found = invoke(program, rewritten(program, Changes({0: order}, metadata=shared)))
        assert found.digests[:2] == (later, later)


@pytest.mark.slow(reason="starts several programs")
def test_two_live_tensors_of_a_subgraph_in_one_place_change_the_outputs(tmp_path: Path) -> None:
    model, plan = planned(counting(), tmp_path)
    program = source_program(model)
    moved = offsets(model, plan)
    first = len(program.subgraphs[0].tensors) + len(program.subgraphs[1].tensors)
    body = program.subgraphs[2]
    moved[first + body.operators[0].outputs[0]] = moved[first + body.inputs[0]]
    sabotaged = rewritten(program, Changes(metadata={METADATA: offsets_entry(moved)}))
    assert invoke(program, sabotaged).digests != invoke(program, planned_tflite(model, plan)).digests


def test_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    main = Sub()
    main.outputs.append(main.op("MATRIX_DIAG", [main.input((4,))], (4, 4)))
    with pytest.raises(ExecutionError, match="MATRIX_DIAG"):
        measure(*planned(tflite(main), tmp_path))


@pytest.mark.slow(reason="starts several programs")
def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "net.tflite"
    file.write_bytes(branching())
    done = program_run("plan", file, "--runtime", "tflm", "--solver", "greedy", "-o", tmp_path)
    assert done.returncode == 0
    plan = tmp_path / "net.plan.json"
    assert json.loads(plan.read_text())["runtime"] == "tflm"
    done = program_run("measure", file, plan, "--on", "tflm")
    assert done.returncode == 0 and "measured" in done.stdout and "bit-identical" in done.stdout
    done = program_run("measure", file, plan, "--on", "tflm", "--json")
    assert json.loads(done.stdout)["obeys"] is True


@pytest.mark.slow(reason="starts several programs")
def test_the_walk_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.tflite").write_bytes(branching())
    monkeypatch.chdir(tmp_path)
    assert walk("tflm.md", tmp_path) == 2
    commanded = (tmp_path / "out" / "model.memplan.tflite").read_bytes()
    (block,) = blocks("tflm.md", "python")
    exec(block, {})
    assert (tmp_path / "out" / "model.memplan.tflite").read_bytes() == commanded


def test_a_kernel_that_takes_more_is_no_obedience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SCRATCH, "ADD_N")  # as if its kernel were another one
    main = Sub()
    main.outputs.append(main.op("ADD_N", [main.input((1, 64)) for _ in range(3)], (1, 64)))
    file = tmp_path / "net.tflite"
    file.write_bytes(tflite(main))
    assert (
        program_run("plan", file, "--runtime", "tflm", "--solver", "greedy", "-o", tmp_path).returncode == 0
    )
    done = program_run("measure", file, tmp_path / "net.plan.json", "--on", "tflm")
    assert done.returncode == 5 and "does not keep to the bytes of the plan" in done.stderr
