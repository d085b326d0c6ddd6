"""Plans written by hand, and where their bytes lie in a program for firmware."""

from __future__ import annotations

from typing import Any

from memplan.firmware.lowering import program_of
from memplan.firmware.program import FirmwareProgram
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status
from tests.programs import program as graph_of

BOARD = Target(
    "board",
    (Memory("near", alignment=4), Memory("flash", readonly=True), Memory("far", alignment=8)),
    {"default": ("near",), "constants": ("near", "flash")},
    {"constants": "flash"},
)
"""Ops read and write the first memory, and constants where they lie."""


def lowered(
    graph: Graph,
    options: Options,
    residencies: tuple[Residency, ...],
    moves: tuple[Move, ...] = (),
    target: Target = BOARD,
    **parts: Any,
) -> FirmwareProgram:
    """The program of a valid plan that keeps the graph's order."""
    schedule = tuple(op.name for op in graph.ops)
    plan = Plan(
        graph.name, graph.sha256, target, options, "hand", Status.FEASIBLE, schedule, residencies, moves,
        graph.aliases, **parts,
    )  # fmt: skip
    assert check(graph, plan, claims=False) == []
    return program_of(graph, plan)


def near(tensor: str, start: int, stop: int, offset: int, size: int = 4) -> Residency:
    return Residency(tensor, "near", start, stop, offset, size)


def told(program: FirmwareProgram, place: int) -> str:
    """The block and the byte of a place."""
    block, offset = program.places[place]
    arenas = [arena.memory.name for arena in program.arenas]
    names = [*arenas, *(f"*{buffer.storage}" for buffer in program.buffers)]
    return f"{names[block]}+{offset}"


def operands(program: FirmwareProgram) -> list[list[str]]:
    return [[told(program, place) for place in places] for places in program.operands]


def copies(program: FirmwareProgram) -> list[str]:
    return [f"{told(program, c.source)} > {told(program, c.destination)}, {c.nbytes}" for c in program.copies]


SPILLED = (
    (near("x", 0, 1, 0), near("a", 0, 1, 8), near("a", 2, 3, 0), near("b", 1, 3, 4), near("y", 2, 3, 8)),
    (
        Move("x", "far", "near", 0, 0),
        Move("a", "near", "far", 1, 1),
        Move("a", "far", "near", 2, 2),
        Move("y", "near", "far", 3, 3),
    ),
)


def test_what_is_spilled_lies_behind_one_another_and_what_is_the_users_in_buffers() -> None:
    graph = graph_of("x>a w>b a,b>y", {"x": 3, "a": 4, "w": 2, "b": 1, "y": 2})
    program = lowered(graph, Options(weights="tensor"), *SPILLED)
    assert operands(program) == [["near+0", "near+8"], ["*w+0", "near+4"], ["near+0", "near+4", "near+8"]]
    assert copies(program) == [
        "*x+0 > near+0, 3",
        "near+8 > far+0, 4",
        "far+0 > near+0, 4",
        "near+8 > *y+0, 2",
    ]
    assert [(arena.memory.name, arena.nbytes, arena.alignment) for arena in program.arenas] == [
        ("near", 12, 4),
        ("far", 4, 8),
    ]
    assert [(b.storage, b.nbytes, b.memory, b.alignment) for b in program.buffers] == [
        ("x", 3, "far", 8),
        ("w", 2, "flash", 1),
        ("y", 2, "far", 8),
    ]
    assert [(x, told(program, place)) for x, place in (*program.given, *program.results)] == [
        ("x", "*x+0"),
        ("w", "*w+0"),
        ("y", "*y+0"),
    ]


def test_planned_addresses_behind_need_no_buffers() -> None:
    graph = graph_of("x>a w>b a,b>y", {"x": 3, "a": 4, "w": 2, "b": 1, "y": 2})
    memories = (*BOARD.memories[:2], Memory("far", addresses=True))
    target = Target("addressed", memories, {**BOARD.operands, "outputs": ("far",)}, BOARD.home)
    far = (
        Residency("x", "far", 0, 1, 0, 3),
        Residency("a", "far", 1, 3, 0, 4),
        Residency("y", "far", 2, 3, 4, 2),
    )
    rows = (*(r for r in SPILLED[0] if r.tensor != "y"), *far)
    program = lowered(graph, Options(weights="tensor"), rows, SPILLED[1][:3], target)
    assert copies(program) == ["far+0 > near+0, 3", "near+8 > far+0, 4", "far+0 > near+0, 4"]
    assert [b.storage for b in program.buffers] == ["w"]
    assert [(x, told(program, place)) for x, place in (*program.given, *program.results)] == [
        ("x", "far+0"),
        ("w", "*w+0"),
        ("y", "far+4"),
    ]


def test_ignored_constants_are_no_operands_and_the_callers_are_buffers() -> None:
    graph = graph_of("x,w>a a>y")
    program = lowered(graph, Options(io="external"), (near("a", 0, 2, 4),))
    assert operands(program) == [["*x+0", "near+4"], ["near+4", "*y+0"]]
    assert [(b.storage, b.memory) for b in program.buffers] == [("x", None), ("y", None)]
    assert [t.name for t in program.tensors] == ["x", "a", "y"]


def test_a_constant_that_is_copied_away_from_its_home_lies_there_too() -> None:
    graph = graph_of("x>a w,a>y", {"w": 5})
    rows = (near("x", 0, 1, 0), near("a", 0, 2, 4), near("y", 1, 2, 0), near("w", 1, 2, 8, 8))
    moves = (
        Move("x", "far", "near", 0, 0),
        Move("w", "flash", "far", 1, 1),
        Move("w", "far", "near", 1, 1),
        Move("y", "near", "far", 2, 2),
    )
    program = lowered(graph, Options(weights="tensor"), rows, moves)
    assert copies(program)[1:3] == ["*w+0 > far+0, 5", "far+0 > near+8, 5"]


def test_joined_parts_and_views_lie_in_their_storage_and_run_nothing() -> None:
    tensors = (
        Tensor("x", 4, "input", "int8", (4,)),
        *(Tensor(name, 4, "activation", "int8", (4,)) for name in ("p", "q", "y")),
        Tensor("j", 8, "activation", "int8", (8,)),
        Tensor("v", 4, "activation", "int8", (4,), place=("j", 4)),
    )
    ops = (
        Op("p", "Relu", ("x",), ("p",)),
        Op("q", "Relu", ("p",), ("q",)),
        Op("j", "Concat", ("p", "q"), ("j",), joins=(("p", 0), ("q", 4))),
        Op("v", "Slice", ("j",), ("v",), view=True),
        Op("y", "Relu", ("v",), ("y",)),
    )
    graph = Graph("joined", tensors, ops, ("y",))
    rows = (near("x", 0, 1, 0), near("j", 0, 5, 8, 8), near("y", 4, 5, 0))
    program = lowered(graph, Options(io="resident", join=True), rows, joined=("j",))
    assert operands(program) == [
        ["near+0", "near+8"],
        ["near+8", "near+12"],
        [],
        [],
        ["near+12", "near+0"],
    ]


def test_the_next_value_of_a_donated_input_takes_its_buffer() -> None:
    graph = graph_of("x>a a>y")
    graph = Graph(graph.name, graph.tensors, graph.ops, graph.outputs, (("y", "x"),))
    rows = (near("x", 0, 1, 0), near("a", 0, 2, 4), near("y", 1, 2, 8))
    moves = (Move("x", "far", "near", 0, 0), Move("y", "near", "far", 2, 2))
    program = lowered(graph, Options(donate=("x",)), rows, moves)
    assert copies(program) == ["*x+0 > near+0, 1", "near+8 > *x+0, 1"]
    assert [b.storage for b in program.buffers] == ["x"]


def test_moves_of_no_bytes_are_no_copies() -> None:
    graph = graph_of("x>a a>b b>y", {"a": 0})
    moves = (
        Move("x", "far", "near", 0, 0),
        Move("a", "near", "far", 1, 1),
        Move("y", "near", "far", 3, 3),
    )
    rows = (near("x", 0, 1, 0), near("a", 0, 2, 4, 0), near("b", 1, 3, 0), near("y", 2, 3, 4))
    program = lowered(graph, Options(), rows, moves)
    assert copies(program) == ["*x+0 > near+0, 1", "near+4 > *y+0, 1"]
    assert [arena.memory.name for arena in program.arenas] == ["near"]


def test_an_operand_that_is_overwritten_shares_its_place() -> None:
    graph = graph_of("x>a a>b b>y", inplace="op1")
    rows = (near("x", 0, 1, 0), near("a", 0, 2, 4), near("b", 1, 3, 4), near("y", 2, 3, 0))
    options = Options(io="resident", inplace=True)
    program = lowered(graph, options, rows, inplace=(InPlace(1, "b", "a"),))
    assert operands(program)[1] == ["near+4", "near+4"]
    assert len(program.places) == 2 and program.copies == ()
