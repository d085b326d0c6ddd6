"""The files of a plan in C: what the compiler says to them, what they weigh, and plans that have none."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import memplan
from memplan.base.errors import InvalidPlanError, PlanError
from memplan.firmware.emit import c_file_names, c_files
from memplan.firmware.lowering import program_of
from memplan.firmware.tables import table_bytes
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.parts import Op, Tensor
from tests.cli.program import memplan as program
from tests.firmware.compiler import COMPILERS, compiled, replayed
from tests.firmware.test_identifiers import HOSTILE
from tests.programs import program as graph_of


def spilling() -> tuple[Model, memplan.Plan]:
    model = Model(memplan.load("matmul_222_rank7_strassen").graph, "net")
    return model, memplan.plan(model, scratchpad="MR", solver="greedy", workers=1)


def hostile() -> Graph:
    """A chain through tensors, and by ops, that are called anything that a graph allows."""
    names = [name for name in HOSTILE if name and name.isprintable()]
    tensors = tuple(Tensor(name, 8, "activation" if k else "input") for k, name in enumerate(names))
    pairs = zip(names, names[1:], strict=False)
    ops = tuple(Op(f"{b}{a}", "Relu", (a,), (b,)) for a, b in pairs)
    return Graph("net */ #error", tensors, ops, (names[-1],))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_any_name_may_stand_in_them(tmp_path: Path, compiler: str) -> None:
    graph = hostile()
    plan = memplan.plan(graph, solver="greedy", io="resident")
    flags = ("-DNET_WITH_NAMES", "-DNET_WITH_SIZES", "-Wcomment", "-Wtrigraphs")
    assert replayed(compiler, tmp_path, c_files(Model(graph, "net"), plan), flags) == ""


@pytest.mark.parametrize("compiler", COMPILERS)
def test_tables_that_nobody_needs_are_left_out_by_macros(tmp_path: Path, compiler: str) -> None:
    model, plan = spilling()
    assert replayed(compiler, tmp_path, c_files(model, plan)) == ""
    tables = {"operand_places", "first_operand", "net_schedule"}
    made = program_of(model.graph, plan)
    symbols = sizes(compiler, tmp_path)
    assert sum(symbols.values()) == table_bytes(made) and tables < set(symbols)
    assert not tables & set(sizes(compiler, tmp_path, "-DNET_NO_OPERANDS", "-DNET_NO_SCHEDULE"))
    told = sizes(compiler, tmp_path, "-DNET_WITH_SIZES")
    assert set(told) - set(symbols) == {"net_tensor_bytes"}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_compiler_counts_the_bytes_that_were_planned(tmp_path: Path, compiler: str) -> None:
    model, plan = spilling()
    assert replayed(compiler, tmp_path, c_files(model, plan)) == ""
    told = sizes(compiler, tmp_path, kinds="B")
    assert told["net_memory_scratchpad"] == plan.metrics.peak == plan.target.scratchpad.capacity
    stored = {m.tensor for m in plan.moves if m.destination == "host"} - set(model.graph.outputs)
    assert told["net_memory_host"] == sum(model.graph.tensor[s].nbytes for s in stored)


def sizes(compiler: str, folder: Path, *flags: str, kinds: str = "rR") -> dict[str, int]:
    """The bytes of each symbol of these kinds, constants unless said, in the object that becomes of the source."""
    assert compiled(compiler, folder, "net_plan.c", flags=("-c", *flags)) == ""
    command = ["nm", "--print-size", "--radix=d", "program"]
    lines = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {row[3]: int(row[1]) for row in rows if len(row) == 4 and row[2] in kinds}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_arenas_and_tables_go_where_attributes_say(tmp_path: Path, compiler: str) -> None:
    model, plan = spilling()
    section = '-D{}=__attribute__((section("{}")))'
    flags = (
        section.format("NET_MEMORY_SCRATCHPAD_ATTRIBUTES", ".fast"),
        section.format("NET_TABLE", ".tables"),
    )
    assert replayed(compiler, tmp_path, c_files(model, plan), flags) == ""
    command = ["objdump", "--section-headers", "program"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert ".fast" in told and ".tables" in told


def test_the_same_plan_gives_the_same_text() -> None:
    model, plan = spilling()
    assert c_files(model, plan) == c_files(
        model, memplan.plan(model, scratchpad="MR", solver="greedy", workers=1)
    )


def test_a_plan_that_breaks_a_rule_is_not_written() -> None:
    model, plan = spilling()
    with pytest.raises(InvalidPlanError, match="breaks a rule: "):
        c_files(model, replace(plan, moves=plan.moves[1:]))
    with pytest.raises(PlanError, match="another graph"):
        c_files(Model(graph_of("x>a a>y"), "net"), plan)


def test_where_there_is_no_plan_nothing_is_written() -> None:
    graph = graph_of("x>a a>y")
    with pytest.raises(PlanError, match="needs 2 bytes"):
        c_files(Model(graph, "net"), memplan.plan(graph, scratchpad=1))
    viewed = Graph(
        "viewed",
        (Tensor("w", 4, "constant"), Tensor("v", 4, place=("w", 0))),
        (Op("view", "Reshape", ("w",), ("v",), view=True),),
        ("v",),
    )
    with pytest.raises(PlanError, match="no op of the plan has an operand"):
        c_files(Model(viewed, "net"), memplan.plan(viewed, weights="ignore"))


def test_an_alignment_that_c_has_not_is_refused() -> None:
    graph = graph_of("x>a a>y")
    odd = replace(graph, tensors=tuple(replace(t, alignment=3) for t in graph.tensors))
    for io in ("host", "resident"):
        with pytest.raises(PlanError, match="multiple of 3"):
            c_files(Model(odd, "net"), memplan.plan(odd, io=io, alignment=3))


def test_the_command_writes_three_files_named_for_c(tmp_path: Path) -> None:
    done = program("plan", "resnet8_int8", "--emit", "c,json", "-o", tmp_path)
    assert done.returncode == 0
    assert c_file_names("resnet8_int8") == (
        "resnet8_int8_plan.h",
        "resnet8_int8_plan.c",
        "resnet8_int8_plan_test.c",
    )
    names = {*c_file_names("resnet8_int8"), "resnet8_int8.plan.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert all(name in done.stdout for name in names)


def test_a_stem_that_no_file_may_have_is_no_matter(tmp_path: Path) -> None:
    model, plan = spilling()
    written = memplan.emit(replace(model, stem="../a b"), plan, "c", tmp_path)
    assert [path.name for path in written] == list(c_file_names("../a b"))
    assert all(path.parent == tmp_path and path.is_file() for path in written)
