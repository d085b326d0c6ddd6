"""Emitted plans replayed on the host: valid ones without a fault, and ones with a planted fault never."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import count, islice, product
from pathlib import Path

import pytest

import memplan
from memplan.base.errors import ExecutionError, PlanError
from memplan.firmware.emit import c_files
from memplan.firmware.header import header
from memplan.firmware.host_test import host_test
from memplan.firmware.lowering import program_of
from memplan.firmware.names import Names
from memplan.firmware.program import Address, FirmwareProgram, tensors_of
from memplan.firmware.source import source
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.judge.check.check import check
from memplan.machine.target import Target
from memplan.problem.plan import Plan
from tests.firmware.compiler import COMPILERS, replayed
from tests.forced import STRICT, WAYS, forced_plan
from tests.generate_wide import wide_graph, wide_plan

pytestmark = pytest.mark.parametrize("compiler", COMPILERS)


@cache
def planned(name: str, **options: str | bool) -> tuple[Graph, Plan]:
    model = memplan.load(name)
    return model.graph, memplan.plan(model, workers=1, **options)  # type: ignore[arg-type]


def wide_plans(feature: Callable[[Graph, Plan], object]) -> Iterator[tuple[str, str, str]]:
    """Files of random valid plans that have this feature, and alignments that C has."""
    for seed in count():
        rng = random.Random(seed)
        graph = wide_graph(rng, rng.randint(1, 12))
        plan = wide_plan(rng, graph)
        if feature(graph, plan) and not check(graph, plan, claims=False):
            with suppress(PlanError):
                yield c_files(Model(graph, "net"), plan)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet8_int8", {"solver": "greedy", "io": "resident"}),
        ("resnet8_int8", {"solver": "greedy", "io": "resident", "weights": "tensor", "inplace": True}),
        ("matmul_222_rank7_strassen", {"solver": "greedy", "scratchpad": "MR"}),
        ("resnet8_int8", {"solver": "greedy", "scratchpad": "MR", "weights": "stream"}),
        (
            "resnet8_int8",
            {"solver": "msa", "target": "ethos-u65", "objective": "latency", "weights": "tensor"},
        ),
        ("resnet8_int8", {"solver": "greedy", "target": "stm32h743", "weights": "tensor"}),
    ],
    ids=["no moves", "in place", "spills", "streamed weights", "copies beside ops", "several memories"],
)
def test_a_plan_of_a_solver_replays(
    tmp_path: Path, compiler: str, name: str, options: dict[str, str | bool]
) -> None:
    graph, plan = planned(name, **options)
    assert plan.schedule
    assert replayed(compiler, tmp_path, c_files(Model(graph, "net"), plan)) == ""


FEATURES: dict[str, Callable[[Graph, Plan], object]] = {
    "moves between three memories": lambda graph, plan: len({m.source for m in plan.moves}) > 2,
    "joined": lambda graph, plan: plan.joined and plan.moves,
    "in place": lambda graph, plan: plan.inplace and plan.moves,
    "recomputed": lambda graph, plan: len(plan.schedule) > len(graph.ops) and plan.moves,
    "beside ops": lambda graph, plan: sum(m.issue < m.due for m in plan.moves) > 1,
    "external": lambda graph, plan: plan.options.io == "external" and plan.moves,
    "addresses behind": lambda graph, plan: plan.moves and any(m.addresses for m in plan.target.memories),
    "several queues": lambda graph, plan: len({m.queue for m in plan.moves}) > 1,
    "views": lambda graph, plan: graph.aliases and plan.moves,
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_plan_with_everything_replays(tmp_path: Path, compiler: str, feature: str) -> None:
    assert replayed(compiler, tmp_path, next(wide_plans(FEATURES[feature])), ("-O2",)) == ""


@pytest.mark.slow(reason="plans of whole networks")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: " ".join((way[0].name, *way[1:])))
def test_a_plan_of_a_network_with_everything_replays(
    tmp_path: Path, compiler: str, way: tuple[Target, str, str]
) -> None:
    """Over four memories: parts joined, ops executed again, operands written over, copies between any two memories."""
    model = memplan.load("squeezenet1_1")
    plan = forced_plan(model, WAYS.index(way), *way)
    assert plan.joined and plan.inplace and plan.moves and len(plan.schedule) > len(model.graph.ops)
    assert replayed(compiler, tmp_path, c_files(Model(model.graph, "net"), plan)) == ""


@pytest.mark.slow
def test_random_plans_replay(tmp_path: Path, compiler: str) -> None:
    for texts in islice(wide_plans(lambda graph, plan: True), 60):
        assert replayed(compiler, tmp_path, texts) == ""


# Planted faults. Each makes a program that is wrong, whatever the plan is.


def _elsewhere(program: FirmwareProgram, step: int, k: int, place: Address) -> FirmwareProgram:
    """The operand `k` of a step at another place."""
    rows = [list(row) for row in program.operands]
    rows[step][k] = len(program.places)
    return replace(program, places=(*program.places, place), operands=tuple(map(tuple, rows)))


def _operands(program: FirmwareProgram) -> Iterator[tuple[int, int, int, bool]]:
    """Step, position, bytes, and whether it is written, of each operand in an arena that is of some bytes."""
    for t, op in enumerate(program.view.ops):
        names = tensors_of(program.view, op)
        for k, x in enumerate(names):
            nbytes = program.graph.tensor[x].nbytes
            if nbytes and program.places[program.operands[t][k]].block < len(program.arenas):
                yield t, k, nbytes, k >= len(names) - len(op.outputs)


def read_a_byte_behind(program: FirmwareProgram) -> FirmwareProgram:
    t, k, _, _ = next(row for row in _operands(program) if not row[3])
    place = program.places[program.operands[t][k]]
    return _elsewhere(program, t, k, place._replace(offset=place.offset + 1))


def written_a_byte_behind(program: FirmwareProgram) -> FirmwareProgram:
    t, k, _, _ = next(row for row in _operands(program) if row[3])
    place = program.places[program.operands[t][k]]
    return _elsewhere(program, t, k, place._replace(offset=place.offset + 1))


def written_beyond_the_arena(program: FirmwareProgram) -> FirmwareProgram:
    t, k, nbytes, _ = next(row for row in _operands(program) if row[3])
    place = program.places[program.operands[t][k]]
    end = program.arenas[place.block].nbytes
    return _elsewhere(program, t, k, place._replace(offset=end - nbytes + 1))


def two_live_tensors_overlap(program: FirmwareProgram) -> FirmwareProgram:
    """Two operands of one step share their place, whenever they lie there."""
    for t, _ in enumerate(program.operands):
        read = [
            (k, program.operands[t][k])
            for step, k, _, writes in _operands(program)
            if step == t and not writes
        ]
        if len({place for _, place in read}) > 1:
            one, other = read[0][1], next(place for _, place in read if place != read[0][1])
            places = list(program.places)
            places[other] = places[one]
            return replace(program, places=tuple(places))
    raise AssertionError("no op reads two tensors")


def written_over_an_operand(program: FirmwareProgram) -> FirmwareProgram:
    """By an op that cannot do so."""
    for t, k, _, writes in _operands(program):
        if writes and k and not program.view.ops[t].overwrites:
            return _elsewhere(program, t, k, program.places[program.operands[t][0]])
    raise AssertionError("every op may overwrite")


def a_load_is_dropped(program: FirmwareProgram) -> FirmwareProgram:
    return replace(program, copies=program.copies[1:])


def a_store_is_dropped(program: FirmwareProgram) -> FirmwareProgram:
    return replace(program, copies=program.copies[:-1])


def a_copy_is_a_byte_short(program: FirmwareProgram) -> FirmwareProgram:
    c = program.copies[0]
    return replace(program, copies=(c._replace(nbytes=c.nbytes - 1), *program.copies[1:]))


def a_copy_goes_the_other_way(program: FirmwareProgram) -> FirmwareProgram:
    c = program.copies[0]
    turned = c._replace(source=c.destination, destination=c.source)
    return replace(program, copies=(turned, *program.copies[1:]))


def a_copy_comes_late(program: FirmwareProgram) -> FirmwareProgram:
    """A load that a step needs is made at the end."""
    c, end = program.copies[0], len(program.operands)
    return replace(program, copies=(*program.copies[1:], c._replace(issue=end, due=end)))


FAULTS = [
    read_a_byte_behind, written_a_byte_behind, written_beyond_the_arena, two_live_tensors_overlap, written_over_an_operand,
    a_load_is_dropped, a_store_is_dropped, a_copy_is_a_byte_short, a_copy_goes_the_other_way, a_copy_comes_late,
]  # fmt: skip


def spilling() -> FirmwareProgram:
    graph, plan = planned("matmul_222_rank7_strassen", solver="greedy", scratchpad="MR")
    assert len(plan.moves) > len(graph.outputs) + 1
    return program_of(graph, plan)


def files(program: FirmwareProgram, shipped: FirmwareProgram | None = None) -> tuple[str, str, str]:
    """The files of a program, header and source those of another one."""
    told = Names("net", shipped or program)
    return header(told), source(told), host_test(Names("net", program))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_the_tables_is_found(
    tmp_path: Path, compiler: str, fault: Callable[[FirmwareProgram], FirmwareProgram]
) -> None:
    program = spilling()
    assert "violation: step" in replayed(compiler, tmp_path, files(program, fault(program)))


@pytest.mark.slow(reason="compiles several programs")
def test_tensors_that_overlap_while_one_is_still_read_are_found(tmp_path: Path, compiler: str) -> None:
    """Of a valid plan, a residency is put where a tensor lies that has no other one, and is read to its end."""
    model, found = memplan.load("tc_resnet8"), 0
    for seed in range(2):
        plan = forced_plan(model, seed, STRICT, "external", "traffic", inplace=False, recompute=1)
        test = host_test(Names("net", program_of(model.graph, plan)))
        placed = Counter(r.tensor for r in plan.residencies)
        alone = [r for r in plan.residencies if placed[r.tensor] == 1]
        for a, b in product(alone, plan.residencies):
            if a.memory == b.memory and a.start < b.start < a.stop <= b.stop:
                rows = tuple(r._replace(offset=a.offset) if r is b else r for r in plan.residencies)
                with suppress(
                    ExecutionError
                ):  # an op reads the one and writes the other, which nobody carries out
                    told = Names("net", program_of(model.graph, replace(plan, residencies=rows)))
                    said = replayed(compiler, tmp_path, (header(told), source(told), test))
                    assert "violation: step" in said, (a, b)
                    found += 1
    assert found > 3


def test_ops_in_another_order_are_found(tmp_path: Path, compiler: str) -> None:
    told, text, test = files(spilling())
    found = re.search(r"net_schedule\[\] = \{\n    (\d+), (\d+),", text)
    assert found
    swapped = text.replace(found[0], f"net_schedule[] = {{\n    {found[2]}, {found[1]},")
    assert "violation: step" in replayed(compiler, tmp_path, (told, swapped, test))


def test_copies_that_may_not_run_beside_ops_are_found(tmp_path: Path, compiler: str) -> None:
    """What an op writes over, or reads, is still being copied: each load of the plan takes until the next step ends."""
    program = spilling()
    end = len(program.operands)
    longer = tuple(c._replace(due=min(c.issue + 1, end)) for c in program.copies)
    said = replayed(compiler, tmp_path, files(program, replace(program, copies=longer)))
    assert "violation: step" in said


def test_a_memory_that_is_a_byte_short_is_refused_by_the_compiler(tmp_path: Path, compiler: str) -> None:
    program = spilling()
    nbytes = program.arenas[0].nbytes
    capacity = "-DNET_MEMORY_SCRATCHPAD_CAPACITY"
    assert replayed(compiler, tmp_path, files(program), (f"{capacity}={nbytes}u",)) == ""
    assert "fits_scratchpad" in replayed(compiler, tmp_path, files(program), (f"{capacity}={nbytes - 1}u",))


def test_an_arena_that_is_a_byte_short_is_refused_by_the_compiler(tmp_path: Path, compiler: str) -> None:
    told, text, test = files(spilling())
    nbytes = spilling().arenas[0].nbytes
    shorter = told.replace(f"SCRATCHPAD_BYTES {nbytes}u", f"SCRATCHPAD_BYTES {nbytes - 1}u")
    assert shorter != told
    assert "holds_scratchpad" in replayed(compiler, tmp_path, (shorter, text, test))


@pytest.mark.parametrize(
    "table", ["place_offsets", "operand_places", "copy_sources", "first_copy", "net_schedule"]
)
def test_a_table_that_lost_an_entry_is_refused_by_the_compiler(
    tmp_path: Path, compiler: str, table: str
) -> None:
    told, text, test = files(spilling())
    shorter = re.sub(rf"({table}\[\] = {{\n    )\d+,", r"\1", text, count=1)
    assert shorter != text
    assert f"{table.removeprefix('net_')}_is_whole" in replayed(compiler, tmp_path, (told, shorter, test))
